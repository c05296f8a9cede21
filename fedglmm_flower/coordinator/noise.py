"""A fit under noise as a whole: estimates, and intervals that hold the noise."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedglmm_flower.coordinator.fitting import Tick
from fedglmm_flower.coordinator.noise_blocks import noisy_sums, starting_point
from fedglmm_flower.coordinator.noise_bootstrap import Bootstrap, bootstrap, sds_of
from fedglmm_flower.coordinator.noise_fit import NoisyFit, NoisySums, fit_noisy
from fedglmm_flower.coordinator.noise_shape import shape_error
from fedglmm_flower.coordinator.opening import Opened
from fedglmm_flower.study.study import Study

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NoisyOutcome:
    """
    What a fit under noise found.

    Parameters
    ----------
    sums : NoisySums
        What was fitted.
    fit : NoisyFit
    draws : Bootstrap or None
        None for analytic intervals.
    fit_s : float
        Seconds.
    shape : array of shape (f,)
        How far skewed columns would move the fixed effects.
    """

    sums: NoisySums
    fit: NoisyFit
    draws: Bootstrap | None
    fit_s: float
    shape: FloatArray

    @property
    def by_bootstrap(self) -> bool:
        """Whether the estimates are corrected, and the intervals those of draws."""
        return self.draws is not None and self.draws.usable

    @property
    def fixed(self) -> FloatArray:
        """Fixed effects."""
        if self.draws is not None and self.draws.usable:
            return self.draws.corrected(self.fit.mixed.fixed)
        return self.fit.mixed.fixed

    @property
    def covariance(self) -> FloatArray:
        """Their covariance, by sampling and noise together."""
        if self.draws is not None and self.draws.usable:
            return self.draws.covariance
        return self.fit.mixed.covariance

    @property
    def sds(self) -> FloatArray:
        """Standard deviations of the random effects, term after term."""
        found = sds_of(self.fit)
        if self.draws is not None and self.draws.usable:
            return self.draws.corrected_sds(found)
        return found


def fit_under_noise(
    study: Study,
    opened: Mapping[str, Opened],
    seed: int,
    tick: Tick,
    *,
    draws: int = 0,
    store: Path | None = None,
) -> NoisyOutcome:
    """
    Fit releases with noise.

    Parameters
    ----------
    study : Study
        The question.
    opened : mapping
        Accepted releases.
    seed : int
        Of the bootstrap.
    tick : callable
        Called with stage, done and total.
    draws : int
        Bootstrap draws; 0 for analytic intervals.
    store : path, optional
        See :func:`~fedglmm_flower.coordinator.noise_bootstrap.bootstrap`.

    Raises
    ------
    FitError
        If the model, or what the noise left, cannot be fitted.
    """
    started = time.perf_counter()
    tick("fit", 0, 1)
    sums = noisy_sums(study, opened)
    fit = fit_noisy(sums, starting_point(study, sums))
    tick("fit", 1, 1)
    found = None
    if draws:
        found = bootstrap(sums, fit, draws=draws, seed=seed, tick=tick, store=store)
    shape = shape_error(sums, fit)
    return NoisyOutcome(sums, fit, found, time.perf_counter() - started, shape)
