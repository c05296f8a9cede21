"""Profile-likelihood confidence intervals of standard deviations."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize
from scipy.special import ndtri

from fedglmm_flower.errors import UsageError
from fedglmm_flower.glmm.boundary import restricted
from fedglmm_flower.glmm.fitted import FittedModel
from fedglmm_flower.glmm.generalized import build_problem
from fedglmm_flower.glmm.intervals import Interval, solve_distance
from fedglmm_flower.glmm.refit import by_likelihood
from fedglmm_flower.glmm.rows import CrossProducts, FloatArray
from fedglmm_flower.glmm.satterthwaite import linear_problem


def sd_intervals(fitted: FittedModel, level: float = 0.95) -> list[Interval]:
    """
    Profile intervals of the standard deviations of uncorrelated random effects.

    An interval that reaches zero starts there.  The residual sd of a linear model
    comes last.  REML fits are profiled by ML.

    Raises
    ------
    UsageError
        For correlated effects, whose sds are no parameters of their own; the
        bootstrap gives their intervals.
    """
    if any(t.correlated and len(t.names) > 1 for t in fitted.random):
        raise UsageError(
            "profile: found correlated random effects; intervals of their standard "
            "deviations come from the bootstrap, or write || for uncorrelated effects"
        )
    full = by_likelihood(fitted)
    quantile = float(ndtri(0.5 + 0.5 * level))
    profile = _linear(full) if full.family == "gaussian" else _generalised(full)
    labels = [f"sd {t.group} {name}" for t in full.random for name in t.names]
    sds = [float(s) for t in full.random for s in t.sd]
    if full.residual_sd is not None:
        labels.append("residual sd")
        sds.append(full.residual_sd)
    smallest = 0.05 * max(sds)
    return [
        _interval(
            label,
            sd,
            lambda value, j=j: float(  # type: ignore[misc]
                np.sqrt(max(2.0 * (full.loglik - profile(j, value)), 0.0))
            ),
            quantile=quantile,
            scale=max(0.2 * sd, smallest),
        )
        for j, (label, sd) in enumerate(zip(labels, sds, strict=True))
    ]


def _interval(
    label: str,
    sd: float,
    root: Callable[[float], float],
    *,
    quantile: float,
    scale: float,
) -> Interval:
    """Both ends, given the signed root of the deviance."""
    high = sd + solve_distance(lambda d: root(sd + d), quantile, scale)
    low = 0.0
    if sd > 0 and (label == "residual sd" or root(0.0) > quantile):
        # On the logarithm, where zero is infinitely far.
        step = solve_distance(lambda d: root(sd * np.exp(-d)), quantile, 0.2)
        low = float(sd * np.exp(-step))
    return Interval(label, sd, low, high)


def _generalised(full: FittedModel) -> Callable[[int, float], float]:
    """Largest log-likelihood with the j-th standard deviation held."""
    if isinstance(full.source, CrossProducts):  # pragma: no cover
        raise TypeError(type(full.source))
    problem, _ = build_problem(full.source, full.family, full.link, full.method)
    if problem.structure is None:  # pragma: no cover
        raise UsageError("profile: the model has no random effects")
    covariance = problem.structure.covariance
    factors = np.concatenate([np.diag(R) for R in covariance.factors])

    def value(j: int, sd: float) -> float:
        start = full.point.copy()
        free = np.ones(len(start), dtype=np.bool_)
        start[problem.p + j] = sd * factors[j]
        free[problem.p + j] = False
        for other in range(covariance.size):
            if free[problem.p + other] and start[problem.p + other] == 0.0:
                start[problem.p + other] = 0.05  # zero may no longer be best
        found = restricted(
            problem.objective, start, free, problem.curvature, problem.limit
        )
        return found.value

    return value


def _linear(full: FittedModel) -> Callable[[int, float], float]:
    """The same for a linear model, where the residual sd is one more parameter."""
    problem = linear_problem(full)
    objective = problem.objective
    if objective is None or problem.structure is None:
        raise UsageError("profile: the model has no random effects")
    factors = np.concatenate([np.diag(R) for R in problem.structure.covariance.factors])
    size, n = len(factors), objective.degrees
    residual = float(full.residual_sd or 1.0)

    def value(j: int, sd: float) -> float:
        others = [i for i in range(size) if i != j]

        def deviance(x: FloatArray) -> float:
            log_sigma = np.log(sd) if j == size else x[-1]
            sigma = float(np.exp(log_sigma))
            theta = np.empty(size)
            theta[others] = x[: len(others)]
            if j < size:
                theta[j] = sd * factors[j] / sigma
            profile = objective.at(theta)
            ratio = profile.sigma2 / sigma**2
            return float(-2.0 * profile.value + n * (ratio - 1.0 - np.log(ratio)))

        start = np.maximum(np.abs(full.point[others]), 0.05)
        if j < size:
            start = np.append(start, np.log(residual))
        best = minimize(deviance, start, method="BFGS", options={"gtol": 1e-7})
        return -0.5 * float(best.fun)

    return value
