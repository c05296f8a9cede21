"""A site's own penalised estimate: the anchor of its release."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from fedglmm_flower.errors import FitError
from fedglmm_flower.glmm.anchor import AnchorFrame
from fedglmm_flower.glmm.cumulant import FloatArray
from fedglmm_flower.glmm.curves import Curve

Passes = Callable[[], Iterable[tuple[FloatArray, Sequence[FloatArray]]]]
_MOST_STEPS = 60
# Newton's decrement at the end: far below what the sums could show.
_TOLERANCE = 1e-20


def penalised_estimate(
    frame: AnchorFrame,
    curves: Sequence[Curve],
    passes: Passes,
    linear: FloatArray,
    center: FloatArray,
) -> FloatArray:
    """
    Coefficients of the anchor's columns, by Newton's method with step halving.

    Parameters
    ----------
    frame : AnchorFrame
        Columns and penalty.
    curves : sequence of Curve
        What is integrated.
    passes : callable
        Gives batches of moment functions (rows, k) and the measure (rows,) of each
        function, anew at each call.
    linear : array of shape (p,)
        Sums of response times column.
    center : array of shape (p,)
        See :meth:`AnchorFrame.center`.

    Raises
    ------
    FitError
        If it does not converge.
    """
    T = frame.transform
    goal = T @ linear
    c = center.copy()

    def look(at: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        b = T.T @ at
        value, first = 0.0, np.zeros(len(frame.columns))
        second = np.zeros(len(frame.monomials))
        coefficients = b @ frame.columns + frame.offset
        for functions, measures in passes():
            eta = functions @ coefficients
            for curve, measure in zip(curves, measures, strict=True):
                weight, h = curve.factor * measure, curve.h
                value += float(weight @ h(eta, 0))
                first += frame.columns @ ((weight * h(eta, 1)) @ functions)
                second += (weight * h(eta, 2)) @ functions
        away = at - center
        objective = value - goal @ at + 0.5 * float(frame.penalty @ away**2)
        gradient = T @ first - goal + frame.penalty * away
        hessian = T @ (frame.products @ second) @ T.T + np.diag(frame.penalty)
        return float(objective), gradient, hessian

    value, gradient, hessian = look(c)
    for _ in range(_MOST_STEPS):
        step = np.linalg.solve(hessian, gradient)
        gain = float(gradient @ step)
        if gain < _TOLERANCE:
            return np.asarray(T.T @ c)
        size = 1.0
        while True:
            tried = look(c - size * step)
            # Rounding of the sum must not stop the last step.
            if tried[0] <= value + 1e-12 * abs(value) or size < 1e-6:
                break
            size /= 2
        c = c - size * step
        value, gradient, hessian = tried
    raise FitError(
        "anchored release: the site's own estimate does not converge; a penalised "
        "estimate is required; use the canonical set"
    )
