"""Error against the count of numbers, one panel for each case."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

import matplotlib.pyplot as plt

Record = dict[str, Any]
# Kinds of sets by the start of their label: the first that fits.
_KINDS = (
    ("plain", "plain moments, K = 2 to 6", "o-", "tab:blue"),
    ("anchored, tables", "anchored, tables", "P", "tab:purple"),
    ("anchored, pairs", "anchored, pairs", "X", "tab:brown"),
    ("anchored K=2, third", "anchored, third derivative", "v", "tab:olive"),
    ("anchored K=2, no bend", "anchored without the bend", "s", "tab:orange"),
    ("anchored K=3, no bend", "anchored without the bend", "s", "tab:orange"),
    ("anchored K", "anchored, K = 1 to 4", "D-", "tab:red"),
    ("public", "public anchor", "^", "tab:pink"),
    ("tables", "tables with moments in cells", "*--", "tab:green"),
    ("pairs", "high order for pairs only", "x", "tab:gray"),
)


def draw(found: Sequence[Record], path: Path) -> None:
    """Write the plot as SVG, the same bytes for the same records."""
    sets = [r for r in found if r["kind"] == "set" and "failed" not in r]
    cases = list(dict.fromkeys(r["case"] for r in sets))
    mpl.rcParams["svg.hashsalt"] = "release-sets"
    mpl.rcParams["svg.fonttype"] = "none"
    figure, panels = plt.subplots(2, 3, figsize=(12, 7), layout="constrained")
    for panel, case in zip(panels.flat, cases, strict=False):
        for start, name, style, color in dict.fromkeys(_KINDS):
            points = sorted(
                (r["statistics"], r["se"])
                for r in sets
                if r["case"] == case and _kind(r["label"]) == start
            )
            if points:
                x, y = zip(*points, strict=True)
                panel.plot(x, y, style, color=color, label=name, ms=5, lw=1)
        panel.set_title(case, fontsize=10)
        panel.set_yscale("log")
        panel.set_xscale("log")
        ticks = [20, 30, 50, 70, 100, 150, 200, 300]
        panel.set_xticks(ticks, [str(t) for t in ticks], minor=False)
        panel.set_xticks([], minor=True)
        panel.grid(visible=True, which="major", alpha=0.3)
    for panel in panels[-1]:
        panel.set_xlabel("numbers sent by a site")
    for panel in panels[:, 0]:
        panel.set_ylabel("largest shift, standard errors")
    entries: dict[str, Any] = {}
    for panel in panels.flat:
        handles, labels = panel.get_legend_handles_labels()
        entries.update(
            (label, handle)
            for label, handle in zip(labels, handles, strict=True)
            if label not in entries
        )
    figure.legend(
        entries.values(),
        entries.keys(),
        loc="outside lower center",
        ncols=4,
        fontsize=9,
    )
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)


def _kind(label: str) -> str:
    return next(start for start, *_ in _KINDS if label.startswith(start))
