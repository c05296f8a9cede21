"""Maximise a smooth log-likelihood: BFGS to come near, Newton to arrive.

Where the Hessian is known in closed form, Newton all the way.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fedglmm_flower.glmm.rows import FloatArray

Objective = Callable[[FloatArray], tuple[float, FloatArray]]
Hessian = Callable[[FloatArray], FloatArray]

NEAR = 1e-6  # standard errors: BFGS hands over to Newton
ARRIVED = 1e-8  # standard errors: the gradient counts as zero
_QUADRATIC = 1e-2  # standard errors: from here Newton doubles its digits
_ITERATIONS = 200
# Steps in a row that gain no more than rounding: slopes promise what is not there, as
# on the plateau of a dispersion without end.
_STALLED, _ROUNDING = 5, 1e-13
_STEP = 1e-3  # standard errors: spacing of differences of the gradient


@dataclass(frozen=True)
class Maximum:
    """
    Where the optimiser stopped.

    Attributes
    ----------
    point, value, gradient
    information : array
        Minus the Hessian.
    distance : float
        Largest element of the gradient times its standard error.
    definite : bool
        Whether the information is positive definite.
    """

    point: FloatArray
    value: float
    gradient: FloatArray
    information: FloatArray
    distance: float
    definite: bool

    @property
    def converged(self) -> bool:
        """Whether this is a maximum."""
        return self.definite and self.distance <= ARRIVED


def _tried(objective: Objective, x: FloatArray) -> tuple[float, FloatArray]:
    """The objective, or minus infinity where it cannot be evaluated."""
    with np.errstate(all="ignore"):
        try:
            value, gradient = objective(x)
        except np.linalg.LinAlgError:
            return -np.inf, np.zeros_like(x)
    if not (np.isfinite(value) and np.isfinite(gradient).all()):
        return -np.inf, np.zeros_like(x)
    return value, gradient


def _scale(B: FloatArray) -> FloatArray:
    """Square roots of the diagonal, kept away from zero."""
    diagonal = np.abs(np.diag(B))
    floor = 1e-14 * float(diagonal.max(initial=0.0)) + 1e-100
    return np.asarray(np.sqrt(np.maximum(diagonal, floor)), dtype=np.float64)


def definite(B: FloatArray, floor: float = 1e-8) -> FloatArray:
    """The nearest usable curvature: eigenvalues made positive, in natural scale."""
    scale = _scale(B)
    values, vectors = np.linalg.eigh(B / np.outer(scale, scale))
    values = np.maximum(np.abs(values), floor)
    return np.asarray((vectors * values) @ vectors.T * np.outer(scale, scale))


def inverse(B: FloatArray) -> FloatArray:
    """Inverse of a curvature, exactly symmetric."""
    half = np.asarray(np.linalg.inv(B), dtype=np.float64)
    return 0.5 * (half + half.T)


def information(
    objective: Objective,
    x: FloatArray,
    scale: FloatArray,
    hessian: Hessian | None = None,
) -> FloatArray:
    """
    Minus the Hessian, by central differences of the exact gradient if need be.

    Parameters
    ----------
    objective : callable
    x : array of shape (d,)
    scale : array of shape (d,)
        Conditional standard error of each parameter; the spacing is 1/1000 of it.
    hessian : callable, optional
        Closed form of minus the Hessian.
    """
    if hessian is not None:
        with np.errstate(all="ignore"):
            return hessian(x)
    d = len(x)
    B = np.empty((d, d))
    for j in range(d):
        h = np.zeros(d)
        h[j] = _STEP * scale[j]
        up, down = _tried(objective, x + h)[1], _tried(objective, x - h)[1]
        B[j] = (down - up) / (2 * h[j])
    return 0.5 * (B + B.T)


def _line(
    objective: Objective,
    x: FloatArray,
    value: float,
    *,
    step: FloatArray,
    slope: float,
    cap: float,
) -> tuple[float, float, FloatArray] | None:
    """Length, value and gradient of an acceptable step; None if there is none."""
    t = min(1.0, cap)
    for _ in range(30):
        trial, trial_g = _tried(objective, x + t * step)
        if trial >= value + 1e-4 * t * slope - _ROUNDING * abs(value):
            break
        if np.isfinite(trial):
            curve = value + t * slope - trial
            t *= float(np.clip(0.5 * t * slope / curve, 0.1, 0.5))
        else:
            t *= 0.2
    else:
        return None
    while t < cap and trial_g @ step > 0.7 * slope and t < 64:
        further, further_g = _tried(objective, x + 2 * t * step)
        if further <= trial:
            break
        t, trial, trial_g = 2 * t, further, further_g
    return t, trial, trial_g


def bfgs(
    objective: Objective,
    x: FloatArray,
    B: FloatArray,
    limit: FloatArray,
    hessian: Hessian | None = None,
) -> tuple[FloatArray, float, FloatArray, FloatArray]:
    """
    Climb with the BFGS update of the curvature B until the step is `NEAR` zero.

    With a closed form of the Hessian, B is that, made definite, at every point.

    Parameters
    ----------
    objective : callable
        Point -> (value, gradient).
    x : array of shape (d,)
    B : array of shape (d, d)
        Positive definite guess of minus the Hessian.
    limit : array of shape (d,)
        Longest step of each parameter.
    hessian : callable, optional
        Closed form of minus the Hessian.

    Returns
    -------
    point, value, gradient, curvature
    """
    value, g = _tried(objective, x)
    fresh, stalled = True, 0
    near = NEAR if hessian is None else _QUADRATIC
    for _ in range(_ITERATIONS):
        try:
            step = np.asarray(np.linalg.solve(B, g), dtype=np.float64)
        except np.linalg.LinAlgError:
            # Flat to the last digit, as under separation: the verdict will say so.
            B = definite(B)
            break
        slope = float(g @ step)
        if slope < near**2:
            break
        cap = float((limit / np.maximum(np.abs(step), 1e-300)).min())
        reached = _line(objective, x, value, step=step, slope=slope, cap=cap)
        if reached is None:
            if fresh:
                break
            scale = 1 / np.sqrt(np.diag(B))
            B = definite(information(objective, x, scale, hessian), 1e-6)
            fresh = True
            continue
        t, trial, trial_g = reached
        stalled = stalled + 1 if trial - value <= _ROUNDING * abs(value) else 0
        if stalled == _STALLED:
            break
        s, y = t * step, g - trial_g
        x, value, g = x + s, trial, trial_g
        fresh = False
        if hessian is not None:
            B = definite(information(objective, x, limit, hessian), 1e-6)
        elif s @ y > 1e-10 * np.sqrt((s @ s) * (y @ y)):
            Bs = B @ s
            B = B - np.outer(Bs, Bs) / (s @ Bs) + np.outer(y, y) / (s @ y)
    return x, value, g, B


def maximise(
    objective: Objective,
    start: FloatArray,
    B: FloatArray,
    limit: FloatArray,
    hessian: Hessian | None = None,
) -> Maximum:
    """
    Find the maximum to `ARRIVED` standard errors, and the information there.

    Parameters
    ----------
    objective, start, B, limit, hessian
        As for `bfgs`.
    """
    if len(start) == 0:
        value, g = objective(start)
        return Maximum(start, value, g, np.zeros((0, 0)), 0.0, definite=True)
    x, value, g, B = bfgs(objective, start, definite(B), limit, hessian)
    scale = 1 / np.sqrt(np.diag(B))
    exact = information(objective, x, scale, hessian)
    distance, positive = np.inf, False
    for attempt in range(8):
        errors, positive = _standard_errors(exact)
        distance = float((np.abs(g) * errors).max())
        if distance <= ARRIVED and attempt:
            break
        step = np.linalg.solve(exact if positive else definite(exact), g)
        step *= min(1.0, float((limit / np.maximum(np.abs(step), 1e-300)).min()))
        moved = float(np.sqrt(max(float(step @ (exact @ step)), 0.0)))
        trial, trial_g = _tried(objective, x + step)
        if trial < value - 1e-9 * (1 + abs(value)):
            x, value, g, B = bfgs(objective, x, definite(exact), limit, hessian)
            exact = information(objective, x, errors, hessian)
            continue
        x, value, g = x + step, trial, trial_g
        if moved > NEAR or not positive:
            exact = information(objective, x, errors, hessian)
    errors, positive = _standard_errors(exact)
    distance = float((np.abs(g) * errors).max())
    return Maximum(x, value, g, exact, distance, positive)


def _standard_errors(B: FloatArray) -> tuple[FloatArray, bool]:
    """Standard errors of a curvature, and whether it was positive definite."""
    scale = _scale(B)
    values = np.linalg.eigvalsh(B / np.outer(scale, scale))
    positive = bool(values[0] > 1e-9)
    inverse = np.linalg.inv(B if positive else definite(B))
    return np.sqrt(np.abs(np.diag(inverse))), positive
