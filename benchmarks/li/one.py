"""One data set of a setting, fitted in every way."""

import math
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmarks.records import Record
from benchmarks.simulation.designs import Setting, rows_of
from benchmarks.simulation.one import asked, opened
from fedglmm_flower.coordinator.combine import Combined
from fedglmm_flower.coordinator.fitting import Fitted, fit_releases, silent
from fedglmm_flower.coordinator.refine import refine
from fedglmm_flower.errors import FedglmmError
from fedglmm_flower.glmm import FittedModel, fit
from fedglmm_flower.glmm.frame import Frame
from fedglmm_flower.glmm.score import score_at
from fedglmm_flower.site.mechanism import software_name
from fedglmm_flower.site.released import Spent
from fedglmm_flower.site.scored import Point, ReleasedScore
from fedglmm_flower.site.site_rows import site_rows
from fedglmm_flower.site.whole_table import TableStudy

# As many numbers as two sites of 500 rows let out, and no more than a K of 2 needs.
OFFER = ("anchored", 2)
ITERATIONS = 40


class _DataSet:
    """A table, and the one round over it, which several ways start from."""

    def __init__(self, setting: Setting, replicate: int) -> None:
        self.setting, self.replicate = setting, replicate
        self.frame: pd.DataFrame = rows_of(setting, replicate)
        self.table: TableStudy = asked(setting, self.frame, OFFER)
        self._combined: Combined | FedglmmError | None = None
        study = self.table.study
        self.frame_of = Frame.of(study.model)
        self.rows = {
            site: site_rows(study, self.table.source(site), site)[0]
            for site in study.sites
        }

    def pooled(self, method: str) -> Combined:
        """
        The pooled fit in the place of a one round.

        A fresh fit takes nothing from it but the form of its result, and this one is
        made at once.
        """
        study = self.table.study
        model = self.table.pooled_fit(study.sites, "laplace")
        stands = Fitted(model, True, {}, (), None, 0.0, 0.0)
        answers = opened(self.table)
        return Combined(study, answers, {}, stands, method, "benchmark", 0.0, 0)

    def combined(self, method: str) -> Combined:
        """The one round, which is made once."""
        if self._combined is None:
            try:
                self._combined = self._one_round()
            except FedglmmError as error:
                self._combined = error
        if isinstance(self._combined, FedglmmError):
            raise self._combined
        one = self._combined
        return Combined(
            one.study, one.opened, {}, one.found, method, "benchmark", 0.0, one.seed
        )

    def ask(self, point: Point, sites: tuple[str, ...]) -> dict[str, ReleasedScore]:
        """Scores of the sites, as they answer without a gate."""
        lower = np.tril_indices(self.frame_of.size)
        found = {}
        for site in sites:
            rows = self.rows[site]
            made, _ = score_at(self.frame_of, rows, np.array(point.values), point.nodes)
            found[site] = ReleasedScore(
                site,
                self.table.study.digest,
                point,
                rows.n_rows,
                float(made.value),
                tuple(map(float, made.gradient)),
                tuple(map(float, made.information[lower])),
                Spent("none", math.inf, 0.0, "none"),
                software_name(),
            )
        return found

    def _one_round(self) -> Combined:
        study, answers = self.table.study, opened(self.table)
        one = fit_releases(
            study, answers, "laplace", self.replicate, silent, judged=False
        )
        return Combined(
            study, answers, {}, one, "laplace", "benchmark", 0.0, self.replicate
        )


def _glm(data: _DataSet) -> Record:
    formula = data.setting.formula.replace(" + (1 | g)", "")
    return _of_model(fit(formula, data.frame, family=data.setting.family)) | {
        "sd": None
    }


def _pooled(data: _DataSet) -> Record:
    return _of_model(data.table.pooled_fit(data.table.study.sites, "laplace"))


def _one(data: _DataSet) -> Record:
    return _of_model(data.combined("laplace").fitted.model) | {"rounds": 1}


def _further(method: str, steps: int, *, fresh: bool) -> Callable[[_DataSet], Record]:
    def run(data: _DataSet) -> Record:
        combined = data.pooled(method) if fresh else data.combined(method)
        found = refine(combined, data.ask, steps, fresh=fresh).to_dict()
        notes = found["diagnostics"]["refinement"]
        return {
            # An iterative fit needs no release: it counts its questions alone.
            "rounds": notes["rounds"] - int(fresh),
            "state": notes["state"],
            "converged": notes["state"] == "arrived" if fresh else found["converged"],
            "estimates": [row["estimate"] for row in found["fixed"]],
            "se": [row["se"] for row in found["fixed"]],
            "sd": found["random"][0]["sd"],
        }

    return run


def _of_model(fitted: FittedModel) -> Record:
    return {
        "converged": fitted.converged,
        "state": fitted.verdicts[0].name.lower(),
        "estimates": [float(v) for v in fitted.estimates],
        "se": [float(v) for v in fitted.se],
        "sd": float(fitted.random[0].sd[0]) if fitted.random else None,
    }


def _short(value: float | None) -> float | None:
    """Nine digits; nothing where a standard error does not exist."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.9g}")


WAYS: dict[str, Callable[[_DataSet], Record]] = {
    "pooled GLM": _glm,
    "pooled GLMM": _pooled,
    "LA": _further("laplace", ITERATIONS, fresh=True),
    "GH(2)": _further("aghq:2", ITERATIONS, fresh=True),
    "GH(9)": _further("aghq:9", ITERATIONS, fresh=True),
    "one round": _one,
    "one round + 1 step": _further("laplace", 1, fresh=False),
    "one round + 3 steps": _further("laplace", 3, fresh=False),
}


def records(setting: Setting, replicate: int, wanted: list[str]) -> list[Record]:
    """
    One record for each wanted way.

    Parameters
    ----------
    setting : Setting
    replicate : int
    wanted : list of str
        Of ``WAYS``.
    """
    data, found = _DataSet(setting, replicate), []
    for way in wanted:
        began = time.perf_counter()
        record: Record = {"setting": setting.name, "replicate": replicate, "way": way}
        try:
            record |= WAYS[way](data)
        except FedglmmError as error:
            record["failed"] = f"{type(error).__name__}: {error}"
        for name in ("estimates", "se"):
            if name in record:
                record[name] = [_short(v) for v in record[name]]
        record["seconds"] = round(time.perf_counter() - began, 3)
        found.append(record)
    return found
