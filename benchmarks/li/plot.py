"""Distances from the truth, one panel for each setting."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np

from benchmarks.li.one import WAYS
from benchmarks.li.table import rows_of_setting
from benchmarks.records import Record

mpl.use("svg")

import matplotlib.pyplot as plt


def draw(found: Sequence[Record], settings: Sequence[str], path: Path) -> None:
    """Write the plot as SVG, the same bytes for the same records."""
    mpl.rcParams["svg.hashsalt"] = "li"
    mpl.rcParams["svg.fonttype"] = "none"
    figure, panels = plt.subplots(
        2, 4, figsize=(13, 7), layout="constrained", sharey="row"
    )
    places = {way: len(WAYS) - i for i, way in enumerate(WAYS)}
    order = [s for s in settings if "x500" in s] + [s for s in settings if "x30-" in s]
    for panel, setting in zip(panels.flat, order, strict=False):
        for way, row in rows_of_setting(found, setting).items():
            panel.plot(
                row.distances,
                np.full(len(row.distances), places[way]),
                "o",
                color="tab:gray",
                alpha=0.5,
                ms=3,
            )
            middle = float(np.median(row.distances))
            panel.plot([middle], [places[way]], "D", color="tab:red", ms=6)
        panel.set_title(setting.removeprefix("li-"), fontsize=10)
        panel.set_xscale("log")
        panel.set_yticks(list(places.values()), list(places))
        panel.grid(visible=True, axis="x", which="major", alpha=0.3)
    for panel in panels[-1]:
        panel.set_xlabel("distance of all coefficients from the truth")
    figure.savefig(path, format="svg", metadata={"Date": None})
    plt.close(figure)
