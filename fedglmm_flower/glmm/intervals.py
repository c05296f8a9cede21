"""Profile-likelihood confidence intervals of fixed effects."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from fedglmm_flower.errors import UsageError
from fedglmm_flower.glmm.fitted import FittedModel
from fedglmm_flower.glmm.refit import Source, by_likelihood, refit, without
from fedglmm_flower.glmm.rows import CrossProducts

_MOST_FITS = 25
_CLOSE = 1e-7  # of the signed root, at an end of an interval


@dataclass(frozen=True)
class Interval:
    """A confidence interval; an end that was not found is infinite."""

    name: str
    estimate: float
    low: float
    high: float


def profile_intervals(
    fitted: FittedModel, names: Sequence[str] | None = None, level: float = 0.95
) -> list[Interval]:
    """
    Intervals of the values that a likelihood-ratio test would not reject.

    The signed root of the deviance, zeta(b) = sign(b - b^) sqrt(2 (l^ - l(b))), is
    solved for the normal quantile on both sides (Bates et al. 2015, section 5.1).
    REML fits are profiled by ML.

    Parameters
    ----------
    fitted : FittedModel
    names : sequence of str, optional
        Fixed effects; all unless given.
    level : float
    """
    full = by_likelihood(fitted)
    quantile = float(ndtri(0.5 + 0.5 * level))
    wanted = full.names if names is None else tuple(names)
    unknown = [name for name in wanted if name not in full.names]
    if unknown:
        raise UsageError(
            f"profile: found {unknown[0]!r}; the fixed effects are "
            f"{', '.join(full.names)}"
        )
    if len(full.names) == 1 and wanted:
        raise UsageError(
            "profile: the model has a single fixed effect; use the Wald interval or "
            "the bootstrap"
        )
    return [_interval(full, name, quantile) for name in wanted]


def _interval(full: FittedModel, name: str, quantile: float) -> Interval:
    j = full.names.index(name)
    center, se = float(full.estimates[j]), float(full.se[j])

    def root(b: float) -> float:
        value = refit(full, held(full.source, j, b)).loglik
        return float(np.sqrt(max(2.0 * (full.loglik - value), 0.0)))

    low = center - solve_distance(lambda d: root(center - d), quantile, se)
    high = center + solve_distance(lambda d: root(center + d), quantile, se)
    return Interval(name, center, low, high)


def solve_distance(root: Callable[[float], float], quantile: float, se: float) -> float:
    """The distance at which the root is the quantile: a bracketed secant."""
    d0, z0 = 0.0, 0.0
    d1 = quantile * se
    low, high = 0.0, np.inf
    for _ in range(_MOST_FITS):
        z1 = root(d1)
        if abs(z1 - quantile) < _CLOSE:
            return d1
        low, high = (d1, high) if z1 < quantile else (low, d1)
        slope = (z1 - z0) / (d1 - d0)
        following = d1 + (quantile - z1) / slope if slope > 0 else 2.0 * d1
        if not low < following < high:
            following = 0.5 * (low + high) if np.isfinite(high) else 2.0 * d1
        following = min(following, 4.0 * d1)
        d0, z0, d1 = d1, z1, following
    return d1 if np.isfinite(high) else np.inf


def held(source: Source, j: int, value: float) -> Source:
    """The source with coefficient j held: its column moves into the offset."""
    if isinstance(source, CrossProducts):
        k = len(source.coefficients[j])
        turn = np.eye(k + 1)
        turn[k, :k] = -source.coefficients[j] * (value / source.response_scale)
        moved: Source = replace(source, products=turn @ source.products @ turn.T)
    else:
        column = source.basis @ source.coefficients[j]
        moved = replace(source, offset=source.offset + value * column)
    return without(moved, {source.names[j]})
