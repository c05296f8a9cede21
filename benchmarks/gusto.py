"""GUSTO-I as the benchmarks see it: study, rows and releases of its 48 sites."""

from pathlib import Path

import pandas as pd

from examples.gusto.federation import make_study
from fedglmm_flower.coordinator.targets import Targets, targets_of
from fedglmm_flower.site import NO_DISCLOSURE_CONTROL, FrameSource, release
from fedglmm_flower.study import Study

TABLE = Path(__file__).resolve().parents[1] / "examples" / "gusto" / "gusto.csv"


def load() -> tuple[Study, dict[str, pd.DataFrame]]:
    """The demo's study, and the rows of each site as text."""
    table = pd.read_csv(TABLE, dtype=str, keep_default_na=False)
    rows = {str(name): part for name, part in table.groupby("grpl")}
    return make_study(list(rows)), rows


def targets(study: Study, rows: dict[str, pd.DataFrame]) -> dict[str, Targets]:
    """What the coordinator opens of each site."""
    found = {}
    for site in study.sites:
        source = FrameSource(rows[site])
        answer = release(study, source, NO_DISCLOSURE_CONTROL, site=site)
        statistics = study.statistics(answer.order)
        found[site] = targets_of(study.model, statistics, answer.clusters[0], site)
    return found
