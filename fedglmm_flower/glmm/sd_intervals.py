"""Profile-likelihood confidence intervals of covariance parameters."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from fedglmm_flower.glmm.fitted import FittedModel
from fedglmm_flower.glmm.held_covariance import Parameter
from fedglmm_flower.glmm.held_likelihood import generalised_profile, linear_profile
from fedglmm_flower.glmm.intervals import Interval, solve_distance
from fedglmm_flower.glmm.negative_binomial import LARGEST_THETA
from fedglmm_flower.glmm.refit import by_likelihood

_POISSON = 1e6  # theta of nbinom2 that cannot be told from infinity
_RIGHT = 0.5 * np.pi  # the angle of correlation 1


@dataclass(frozen=True)
class _Wanted:
    """One interval to find; no parameter means residual sd or dispersion."""

    label: str
    estimate: float
    parameter: Parameter | None

    @property
    def correlation(self) -> bool:
        return self.parameter is not None and len(self.parameter.effects) == 2


def sd_intervals(fitted: FittedModel, level: float = 0.95) -> list[Interval]:
    """
    Profile intervals of standard deviations, correlations and dispersion.

    They are the values that a likelihood-ratio test would not reject, as lme4's
    ``confint(method = "profile")``.  Names are ``sd GROUP EFFECT`` and ``corr GROUP
    EFFECT, EFFECT``, term by term; then ``residual sd``, or ``dispersion``.  REML fits
    are profiled by ML.  An interval that reaches the edge of the range ends there: an
    sd at 0, a correlation at -1 or 1, nbinom2's theta at infinity.  The correlation of
    an effect without variance is NaN with the interval from -1 to 1.

    Parameters
    ----------
    fitted : FittedModel
        With random effects.
    level : float

    Raises
    ------
    UsageError
        If the model has no random effects.
    """
    full = by_likelihood(fitted)
    quantile = float(ndtri(0.5 + 0.5 * level))
    gaussian = full.family == "gaussian"
    wanted = _wanted(full)
    smallest = 0.05 * max((w.estimate for w in wanted if _is_sd(w)), default=1.0)
    found = []
    for one in wanted:
        if np.isnan(one.estimate):
            found.append(Interval(one.label, one.estimate, -1.0, 1.0))
            continue
        profile = (linear_profile if gaussian else generalised_profile)(
            full, one.parameter
        )
        top = full.loglik
        if full.method.startswith("aghq"):
            # The grid of nodes turns with the order of the effects.
            top = profile(one.estimate)
        root = _root(profile, top)
        if one.parameter is None:
            low, high = _positive(one.estimate, root, quantile)
        elif one.correlation:
            low, high = _angle(one.estimate, root, quantile)
        else:
            low, high = _sd(one.estimate, root, quantile, smallest)
        found.append(Interval(one.label, one.estimate, low, high))
    return found


def _is_sd(one: _Wanted) -> bool:
    return one.parameter is not None and not one.correlation


def _wanted(full: FittedModel) -> list[_Wanted]:
    """All covariance parameters in the order of the summary."""
    out = []
    for t, term in enumerate(full.random):
        for j, (name, sd) in enumerate(zip(term.names, term.sd, strict=True)):
            label = f"sd {term.group} {name}"
            out.append(_Wanted(label, float(sd), Parameter(t, (j,))))
        for i in range(len(term.names) if term.correlated else 0):
            for j in range(i + 1, len(term.names)):
                label = f"corr {term.group} {term.names[i]}, {term.names[j]}"
                r = term.correlation(i, j)
                value = np.nan if r is None else r
                out.append(_Wanted(label, value, Parameter(t, (i, j))))
    if full.residual_sd is not None:
        out.append(_Wanted("residual sd", full.residual_sd, None))
    if full.dispersion is not None:
        out.append(_Wanted("dispersion", full.dispersion, None))
    return out


def _root(profile: Callable[[float], float], top: float) -> Callable[[float], float]:
    """The signed root of the deviance, without its sign."""
    return lambda value: float(np.sqrt(max(2.0 * (top - profile(value)), 0.0)))


def _sd(
    sd: float, root: Callable[[float], float], quantile: float, smallest: float
) -> tuple[float, float]:
    """Both ends of a standard deviation's interval; zero where it is inside."""
    high = sd + solve_distance(
        lambda d: root(sd + d), quantile, max(0.2 * sd, smallest)
    )
    if sd == 0.0 or root(0.0) <= quantile:
        return 0.0, high
    # On the logarithm, where zero is infinitely far.
    step = solve_distance(lambda d: root(sd * np.exp(-d)), quantile, 0.2)
    return float(sd * np.exp(-step)), high


def _positive(
    value: float, root: Callable[[float], float], quantile: float
) -> tuple[float, float]:
    """Both ends on the logarithm; infinity where it is inside."""
    down = solve_distance(lambda d: root(value * np.exp(-d)), quantile, 0.1)
    high = np.inf
    # Theta has an end of its own, beyond which nothing is evaluated.
    far = min(_POISSON * max(1.0, value), 0.99 * LARGEST_THETA)
    if value < _POISSON and root(far) > quantile:
        up = solve_distance(lambda d: root(value * np.exp(d)), quantile, 0.1)
        high = float(value * np.exp(up))
    return float(value * np.exp(-down)), high


def _angle(
    r: float, root: Callable[[float], float], quantile: float
) -> tuple[float, float]:
    """Both ends of a correlation, along the angle, where -1 and 1 are near."""
    middle = float(np.arcsin(np.clip(r, -1.0, 1.0)))
    ends = []
    for side in (-1.0, 1.0):
        room = _RIGHT - side * middle

        def at(d: float, side: float = side, room: float = room) -> float:
            return root(float(np.sin(middle + side * min(d, room))))

        if room < 1e-6 or at(room) <= quantile:
            ends.append(side)
            continue
        step = solve_distance(at, quantile, 0.2 * min(room, 1.0))
        ends.append(float(np.sin(middle + side * min(step, room))))
    return ends[0], ends[1]
