"""Figures of a result in matplotlib, for papers and notebooks."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fedglmm_flower.errors import UsageError
from fedglmm_flower.report.figures import WIDTH, Figure, caterpillars, forest

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_forest(result: Mapping[str, Any], ax: "Axes | None" = None) -> "Axes":
    """
    Fixed effects with intervals, the intercept left out; ratios where they are read so.

    Parameters
    ----------
    result : mapping
        Content of ``result.json``.
    ax : matplotlib axes, optional
        Where to draw; new ones when left out.

    Raises
    ------
    UsageError
        If there is nothing to draw, or matplotlib is not installed.
    """
    figure = forest(result)
    if figure is None:
        raise UsageError(
            "plot_forest: found no fixed effect with a standard error beside the "
            "intercept; one is required; print the summary instead"
        )
    return _draw(figure, ax)


def plot_ranef(
    result: Mapping[str, Any],
    group: str | None = None,
    term: str = "Intercept",
    ax: "Axes | None" = None,
) -> "Axes":
    """
    Random effects in order of size, with conditional intervals.

    Parameters
    ----------
    result : mapping
        Content of ``result.json``.
    group : str, optional
        Grouping column; the first when left out.
    term : str
        Which effect of the group.
    ax : matplotlib axes, optional
        Where to draw; new ones when left out.

    Raises
    ------
    UsageError
        If the result has no such effects, or matplotlib is not installed.
    """
    keys = list(dict.fromkeys((r["group"], r["term"]) for r in result["ranef"]))
    wanted = [
        k for k, key in enumerate(keys) if group in (None, key[0]) and key[1] == term
    ]
    if not wanted:
        there = ", ".join(f"{name} {what}" for name, what in keys) or "none"
        raise UsageError(
            f"plot_ranef: found no effects of {group or 'a group'} on {term}; the "
            f"result has {there}; name one of them"
        )
    return _draw(caterpillars(result)[wanted[0]], ax)


def _draw(figure: Figure, ax: "Axes | None") -> "Axes":
    if ax is None:
        try:
            from matplotlib import pyplot as plt  # noqa: PLC0415 - an extra
        except ImportError:
            raise UsageError(
                "plots: matplotlib is not installed; it is required for figures in "
                "Python; run: pip install 'fedglmm-flower[plots]', or write a report, "
                "which needs nothing"
            ) from None
        size = (6.4, max(2.4, figure.height / 70))
        ax = plt.subplots(figsize=size, layout="constrained")[1]
    count = len(figure.lines)
    for k, line in enumerate(figure.lines):
        y = count - 1 - k
        ax.plot([line.low, line.high], [y, y], color="C0", linewidth=1.5)
        ax.plot([line.x], [y], "o", color="C0", markersize=4)
        if line.reference is not None:
            ax.plot([line.reference], [y - 0.25], "D", color="C1", fillstyle="none")
    ax.axvline(figure.axis.place(0.0), color="0.5", linestyle="--", linewidth=1)
    ticks = figure.axis.ticks
    ax.set_xticks([tick.x for tick in ticks], [tick.text for tick in ticks])
    ax.set_xlim(0.0 if figure.axis.left < WIDTH / 8 else figure.axis.left, WIDTH)
    if figure.labelled:
        ax.set_yticks(range(count), [line.name for line in reversed(figure.lines)])
    else:
        ax.set_yticks([])
    ax.set_xlabel(figure.axis_title)
    return ax
