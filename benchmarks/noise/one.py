"""One replicate: 20 noisy sites, with noise ignored, analysed and bootstrapped."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedglmm_flower.coordinator.noise_blocks import noisy_sums, starting_point
from fedglmm_flower.coordinator.noise_bootstrap import bootstrap, sds_of
from fedglmm_flower.coordinator.noise_fit import fit_noisy
from fedglmm_flower.coordinator.noisy import noisy_targets
from fedglmm_flower.coordinator.opening import Opened
from fedglmm_flower.errors import FitError
from fedglmm_flower.glmm import fit
from fedglmm_flower.site.discrete_gaussian import DiscreteGaussian
from fedglmm_flower.site.features import Features
from fedglmm_flower.site.fixed_point import BITS, STEP, guarded, radius
from fedglmm_flower.site.public_scales import clipping_of, public_weights
from fedglmm_flower.site.records import bounded_cells, bounded_rows
from fedglmm_flower.site.released import ClusterRelease, Noise, Released, Spent
from fedglmm_flower.site.residual_basis import mixing_of
from fedglmm_flower.study import Column, Study

FloatArray = npt.NDArray[np.float64]
SITES = 20
TRUTH = np.array([-1.0, 0.5, -0.3, 0.6, 0.4])
TAU = 0.3
NAMES = ("Intercept", "x1", "x2", "b1", "b2")
NORM, DELTA = 1.25, 1e-6


@dataclass(frozen=True)
class Setting:
    """
    One setting.

    Parameters
    ----------
    rows : int
        Rows of each site.
    epsilon : float
    release_set : str
    order : int
    off : float
        How far the public anchor is from the truth in every coefficient.
    """

    rows: int
    epsilon: float
    release_set: str
    order: int
    off: float = 0.0

    @property
    def name(self) -> str:
        """For tables and files of results."""
        return f"n={self.rows} eps={self.epsilon:g} {self.release_set}:{self.order}" + (
            f" off={self.off:g}" if self.release_set == "public" else ""
        )


@lru_cache(maxsize=8)
def study_of(release_set: str, order: int, off: float) -> Study:
    """Four covariates, two of them 0/1."""
    columns = (
        Column("x1", "continuous", (), "", -4.0, 4.0, 0.0, 1.0),
        Column("x2", "continuous", (), "", -4.0, 4.0, 0.0, 1.0),
        *(Column(name, "binary") for name in ("b1", "b2", "y")),
    )
    anchor = tuple(sorted(zip(NAMES, map(float, TRUTH + off), strict=True)))
    return Study(
        name="noise",
        formula="y ~ x1 + x2 + b1 + b2 + (1 | site)",
        family="binomial",
        link="logit",
        method="laplace",
        site_column="site",
        columns=columns,
        sites=tuple(f"s{i:02d}" for i in range(SITES)),
        release_set=release_set,
        order=order,
        anchor=anchor if release_set == "public" else (),
    )


def rows_of(rows: int, rng: np.random.Generator) -> pd.DataFrame:
    """Rows of one site."""
    x1 = rng.normal(0.0, 1.0, rows)
    x2 = 0.3 * x1 + rng.normal(0.0, 0.95, rows)
    b1, b2 = rng.random(rows) < 0.3, rng.random(rows) < 0.2
    columns = np.column_stack([np.ones(rows), x1, x2, b1, b2])
    eta = columns @ TRUTH + TAU * rng.normal()
    y = rng.random(rows) < 1.0 / (1.0 + np.exp(-eta))
    frame = pd.DataFrame(columns[:, 1:], columns=list(NAMES[1:]))
    return frame.assign(y=y.astype(int))


@lru_cache(maxsize=2)
def tables(rows: int, seed: int) -> dict[str, pd.DataFrame]:
    """Rows of all sites of a replicate: the same in every setting of as many rows."""
    rng = np.random.default_rng([seed, 20])
    return {f"s{i:02d}": rows_of(rows, rng) for i in range(SITES)}


@lru_cache(maxsize=2)
def pooled(rows: int, seed: int) -> dict[str, Any]:
    """The fit of the rows themselves."""
    frame = pd.concat(
        [frame.assign(site=site) for site, frame in tables(rows, seed).items()],
        ignore_index=True,
    )
    found = fit("y ~ x1 + x2 + b1 + b2 + (1 | site)", frame, family="binomial")
    return _told(found.estimates, found.covariance, np.array(found.random[0].sd))


@lru_cache(maxsize=8)
def _mechanism(setting: Setting) -> tuple[Features, FloatArray, DiscreteGaussian]:
    study = study_of(setting.release_set, setting.order, setting.off)
    statistics = study.statistics(setting.order, setting.release_set)
    features = Features(study.model, statistics, study.anchor_values)
    gaussian = DiscreteGaussian(features.size, radius(NORM), setting.epsilon, DELTA)
    return features, public_weights(features), gaussian


def releases(setting: Setting, seed: int) -> tuple[Study, dict[str, Opened]]:
    """What the sites send: the mechanism of a site, without its ledger."""
    study = study_of(setting.release_set, setting.order, setting.off)
    features, weights, gaussian = _mechanism(setting)
    mixing = mixing_of(study.model, features.statistics)
    found = {}
    for site, frame in tables(setting.rows, seed).items():
        cells = bounded_cells(study.model, frame)
        rows, counted = bounded_rows(study.model, cells, setting.rows)
        terms = clipping_of(features, weights, NORM).terms(rows, counted)
        sums = guarded(terms.T, NORM).sum(axis=0)
        noisy = np.array(gaussian.draw([int(v) for v in sums]), dtype=float)
        *values, count = (mixing @ (noisy * STEP / weights)).tolist()
        released = Released(
            site,
            study.digest,
            setting.release_set,
            setting.order,
            None,
            (ClusterRelease((), setting.rows, tuple(values), count),),
            Spent("discrete gaussian", setting.epsilon, DELTA, "zero_out"),
            "benchmark",
            noise=Noise(
                gaussian.rho, gaussian.scale, BITS, NORM, tuple(weights.tolist())
            ),
        )
        targets = noisy_targets(study.model, features.statistics, released, site)
        found[site] = Opened(released, (), 0, targets)
    return study, found


def record(setting: Setting, replicate: int, draws: int) -> dict[str, Any]:
    """Estimates and standard errors of one replicate."""
    study, opened = releases(setting, replicate)
    sums = noisy_sums(study, opened)
    start = starting_point(study, sums)
    out: dict[str, Any] = {"setting": setting.name, "replicate": replicate}
    try:
        noisy = fit_noisy(sums, start)
    except FitError as error:
        return {**out, "failed": str(error)[:60]}
    out["converged"] = noisy.converged
    out["pooled"] = pooled(setting.rows, replicate)
    out["analytic"] = _told(noisy.mixed.fixed, noisy.mixed.covariance, sds_of(noisy))
    out["without"] = np.sqrt(np.diag(noisy.plain)).tolist()
    # The same estimates with standard errors that take the sums for exact.
    out["naive"] = _told(noisy.mixed.fixed, noisy.plain, sds_of(noisy))
    if draws:
        found = bootstrap(
            sums, noisy, draws=draws, seed=replicate, tick=lambda *_: None, workers=1
        )
        out["draws"], out["lost"] = draws, found.failed
        out["bootstrap"] = _told(
            found.corrected(noisy.mixed.fixed),
            found.covariance,
            found.corrected_sds(sds_of(noisy)),
        )
    return out


def _told(fixed: FloatArray, covariance: FloatArray, sds: FloatArray) -> dict[str, Any]:
    return {
        "fixed": fixed.tolist(),
        "se": np.sqrt(np.diag(covariance)).tolist(),
        "sd": float(sds[0]),
    }
