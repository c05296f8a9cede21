"""Figures of a result as places and texts; a template or a plot draws them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from unicodedata import east_asian_width

from fedglmm_flower.report.axis import Axis
from fedglmm_flower.report.numbers import ratio, short
from fedglmm_flower.report.scale import scale_of

WIDTH = 400.0
_LABELLED = 80  # effects of a figure beyond which their names would overlap
_NAME = 17  # letters of a name beside a line
# 0.975 quantile of the normal distribution
_Z = 1.959963984540054


@dataclass(frozen=True)
class Line:
    """
    One estimate with its interval.

    Parameters
    ----------
    name, label : str
        In full, and as long as fits.
    text : str
        Estimate and interval in words.
    x, low, high : float
        Places of the estimate and of the ends.
    y : float
        Place of the line.
    from_below, from_above : bool
        Whether an end lies outside and is drawn as an arrow.
    reference : float or None
        Place of the pooled estimate.
    """

    name: str
    label: str
    text: str
    x: float
    low: float
    high: float
    y: float
    from_below: bool = False
    from_above: bool = False
    reference: float | None = None


@dataclass(frozen=True)
class Figure:
    """
    A figure of estimates.

    Parameters
    ----------
    key : str
        Name for references inside a page.
    title, description : str
        For those who see it, and for those who do not.
    axis_title : str
        What the axis shows.
    axis : Axis
    lines : tuple of Line
    height : float
        Of the drawing; its width is always the same.
    labelled : bool
        Whether every line has its name beside it.
    """

    key: str
    title: str
    description: str
    axis_title: str
    axis: Axis
    lines: tuple[Line, ...]
    height: float
    labelled: bool = True

    @property
    def has_reference(self) -> bool:
        """Whether a pooled fit stands beside."""
        return any(line.reference is not None for line in self.lines)


def forest(result: Mapping[str, Any]) -> Figure | None:
    """Fixed effects but the intercept; None where there is none with an interval."""
    scale = scale_of(result["family"], result["link"])
    shown = [
        row
        for row in result["fixed"]
        if row["name"] != "Intercept" and row["se"] is not None
    ]
    if not shown:
        return None
    pooled = {
        row["name"]: row["estimate"]
        for row in (result["pooled"] or {}).get("fixed", ())
    }
    ends = [row[key] for row in shown for key in ("ci_low", "ci_high")]
    axis = Axis.around(ends, 8.0, WIDTH - 8.0, is_ratio=scale.is_ratio)
    lines = []
    for k, row in enumerate(shown):
        text = f"{_read(row['estimate'], scale.is_ratio)} "
        text += f"({_interval(row, scale.is_ratio)})"
        reference = pooled.get(row["name"])
        lines.append(
            _line(
                axis,
                row["name"],
                text,
                (row["estimate"], row["ci_low"], row["ci_high"]),
                44.0 + 46.0 * k,
                32,
                None if reference is None else axis.place(reference),
            )
        )
    what = f"{scale.effect[0].upper()}{scale.effect[1:]}"
    return Figure(
        "forest",
        f"{what} of each column, with 95 % interval",
        "; ".join(f"{line.name}: {line.text}" for line in lines),
        what + (", logarithmic scale" if scale.is_ratio else ""),
        axis,
        tuple(lines),
        46.0 * len(lines) + 68.0,
    )


def caterpillars(result: Mapping[str, Any]) -> list[Figure]:
    """Random effects, one figure for each group and term, in order of size."""
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in result["ranef"]:
        found.setdefault((row["group"], row["term"]), []).append(row)
    return [
        _caterpillar(group, term, rows, k)
        for k, ((group, term), rows) in enumerate(found.items())
    ]


def _caterpillar(
    group: str, term: str, rows: Sequence[Mapping[str, Any]], number: int
) -> Figure:
    ordered = sorted(rows, key=lambda row: (row["estimate"], row["level"]))
    labelled = len(ordered) <= _LABELLED
    pitch = 16.0 if labelled else max(1.0, 800.0 / len(ordered))
    triples = [
        (
            row["estimate"],
            row["estimate"] - _Z * row["sd"],
            row["estimate"] + _Z * row["sd"],
        )
        for row in ordered
    ]
    ends = [end for _, low, high in triples for end in (low, high)]
    left = 118.0 if labelled else 8.0
    axis = Axis.around(ends, left, WIDTH - 8.0, is_ratio=False)
    lines = tuple(
        _line(
            axis,
            row["level"],
            f"{short(triple[0])} ({short(triple[1])} to {short(triple[2])})",
            triple,
            30.0 + pitch * k,
            _NAME,
        )
        for k, (row, triple) in enumerate(zip(ordered, triples, strict=True))
    )
    apart = sum(low > 0 or high < 0 for _, low, high in triples)
    first, last = lines[0], lines[-1]
    description = (
        f"{len(lines)} effects on the scale of the linear predictor; lowest "
        f"{first.name}: {first.text}; highest "
        f"{last.name}: {last.text}; "
        + ("1 interval does not" if apart == 1 else f"{apart} intervals do not")
        + " hold zero"
    )
    return Figure(
        f"ranef-{number}",
        f"Effects of {group} on {term}, with 95 % interval",
        description,
        "Distance from the average",
        axis,
        lines,
        pitch * len(lines) + 62.0,
        labelled,
    )


def _line(
    axis: Axis,
    name: str,
    text: str,
    triple: tuple[float, float, float],
    y: float,
    letters: int,
    reference: float | None = None,
) -> Line:
    value, low, high = triple
    label = _shortened(name, letters)
    return Line(
        name,
        label,
        text,
        axis.place(value),
        axis.place(low),
        axis.place(high),
        round(y, 2),
        from_below=low < axis.low,
        from_above=high > axis.high,
        reference=reference,
    )


def _shortened(name: str, room: float) -> str:
    """
    A name that fits beside a line; broad letters take more room.

    Examples
    --------
    >>> _shortened("north-east", 11), _shortened("MMMMMMMMMM", 11)
    ('north-east', 'MMMMM…')
    """
    used, kept = 0.0, ""
    for letter in name:
        is_broad = letter in "mw@%" or letter.isupper()
        used += 1.6 if is_broad or east_asian_width(letter) in "WF" else 1.0
        if used > room:
            return f"{kept[:-1]}…"
        kept += letter
    return kept


def _read(value: float, is_ratio: bool) -> str:  # noqa: FBT001 - one of two scales
    return ratio(value) if is_ratio else short(value)


def _interval(row: Mapping[str, Any], is_ratio: bool) -> str:  # noqa: FBT001 - as above
    return f"{_read(row['ci_low'], is_ratio)} to {_read(row['ci_high'], is_ratio)}"
