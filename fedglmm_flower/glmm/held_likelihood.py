"""The largest log-likelihood with one covariance parameter held."""

import copy
from collections.abc import Callable

import numpy as np

from fedglmm_flower.errors import UsageError
from fedglmm_flower.glmm.fitted import FittedModel
from fedglmm_flower.glmm.generalized import build_problem
from fedglmm_flower.glmm.held_covariance import Parameter, hold, lifted
from fedglmm_flower.glmm.marginal import Marginal
from fedglmm_flower.glmm.optimise import Objective, definite, information, maximise
from fedglmm_flower.glmm.rows import CrossProducts, FloatArray
from fedglmm_flower.glmm.satterthwaite import linear_problem

_STEP = 0.1  # whitened theta: about its standard error, for a first curvature
_FAR = 2.0  # longest step of a whitened theta

Profile = Callable[[float], float]


class _Climb:
    """Maximise with one value held after another, each from where the last ended."""

    def __init__(self) -> None:
        self.point: FloatArray | None = None
        self.B: FloatArray | None = None

    def __call__(
        self, objective: Objective, start: FloatArray, scale: FloatArray
    ) -> float:
        point = start if self.point is None else self.point
        if self.B is None:
            self.B = definite(information(objective, point, _STEP * scale), 1e-3)
        found = maximise(objective, point, self.B, _FAR * scale)
        if self.point is not None and not found.converged:
            again = maximise(objective, start, self.B, _FAR * scale)
            found = again if again.value > found.value else found
        if np.isfinite(found.value):
            self.point = lifted(found.point, scale)
        return found.value


def linear_profile(full: FittedModel, parameter: Parameter | None) -> Profile:
    """
    Of a linear model; None holds the residual sd.

    The deviance at (theta, sigma) is that profiled over sigma plus
    ``n (r - 1 - log r)``, r the ratio of the profiled to the given residual variance.
    """
    problem = linear_problem(full)
    if problem.objective is None or problem.structure is None:
        raise UsageError("profile: the model has no random effects")
    objective = copy.copy(problem.objective)
    covariance, n = problem.structure.covariance, objective.degrees
    residual = float(full.residual_sd or 1.0)
    climb = _Climb()

    def both(theta: FloatArray, sigma: float) -> tuple[float, FloatArray, float]:
        """Log-likelihood, its gradient in theta, and in log sigma at fixed theta."""
        at = objective.at(theta)
        ratio = at.sigma2 / sigma**2
        value = at.value - 0.5 * n * (ratio - 1.0 - np.log(ratio))
        slope = 0.5 * n * (1.0 - 1.0 / ratio) * at.sigma2_gradient / sigma**2
        return value, at.gradient - slope, n * (ratio - 1.0)

    def of_residual(value: float) -> float:
        def inner(x: FloatArray) -> tuple[float, FloatArray]:
            found, gradient, _ = both(x, value)
            return found, gradient

        ones = np.ones(covariance.size)
        return climb(inner, lifted(full.point, ones), ones)

    def of_parameter(value: float) -> float:
        # Theta is relative to the residual sd; the sd that is held is not.
        at_fit = residual * full.point
        held = hold(covariance, at_fit, parameter or Parameter(0, (0,)), value)
        objective.covariance = held.covariance

        def inner(x: FloatArray) -> tuple[float, FloatArray]:
            if not held.allows(x[:-1]):
                return -np.inf, np.zeros(len(x))
            sigma = float(np.exp(x[-1]))
            theta = (held.base + held.J @ x[:-1]) / sigma
            found, by_theta, by_log = both(theta, sigma)
            by_x = held.J.T @ by_theta / sigma
            return found, np.append(by_x, by_log - by_theta @ theta)

        scale = np.append(residual * held.scale, 1.0)
        start = np.append(lifted(held.start, residual * held.scale), np.log(residual))
        return climb(inner, start, scale)

    return of_residual if parameter is None else of_parameter


def generalised_profile(full: FittedModel, parameter: Parameter | None) -> Profile:
    """Of a generalised model; None holds the dispersion."""
    if isinstance(full.source, CrossProducts):  # pragma: no cover
        raise TypeError(type(full.source))
    problem, _ = build_problem(full.source, full.family, full.link, full.method)
    p, point = problem.p, full.point
    tail = int(problem.family.dispersed)
    size = len(point) - p - tail
    climb = _Climb()

    def of_dispersion(value: float) -> float:
        held = np.array([np.log(value)])

        def inner(x: FloatArray) -> tuple[float, FloatArray]:
            found, gradient = problem.objective(np.concatenate([x, held]))
            return found, gradient[:-1]

        scale = np.concatenate([np.full(p, 1.0 / _STEP), np.ones(size)])
        return climb(inner, lifted(point[:-1], scale), scale)

    if parameter is None:
        return of_dispersion
    if problem.structure is None or not isinstance(problem.objective, Marginal):
        raise UsageError("profile: the model has no random effects")
    objective = copy.copy(problem.objective)
    covariance = problem.structure.covariance

    def of_parameter(value: float) -> float:
        held = hold(covariance, point[p : p + size], parameter, value)
        objective.covariance = held.covariance
        f, t = len(held.start), len(held.base)

        def inner(x: FloatArray) -> tuple[float, FloatArray]:
            if not held.allows(x[p : p + f]):
                return -np.inf, np.zeros(len(x))
            theta = held.base + held.J @ x[p : p + f]
            found, g = objective(np.concatenate([x[:p], theta, x[p + f :]]))
            by_x = held.J.T @ g[p : p + t]
            return found, np.concatenate([g[:p], by_x, g[p + t :]])

        ones = np.full(p, 1.0 / _STEP)
        scale = np.concatenate([ones, held.scale, np.ones(tail)])
        free = lifted(held.start, held.scale)
        start = np.concatenate([point[:p], free, point[len(point) - tail :]])
        return climb(inner, start, scale)

    return of_parameter
