"""Move pseudo-rows until their moments are the released ones.

The step is Gauss-Newton in constraint space: with the mass-weighted norm of the
displacement, ``delta(z) = -grad(sum_j alpha_j f_j)(z)`` where ``G alpha = residual``
and ``G_jl = sum_i w_i grad f_j(z_i) . grad f_l(z_i)``.  ``G`` is (moments x moments)
however many rows there are, the displacement is the gradient of one polynomial, hence
smooth, and neither depends on how finely the rows divide the mass.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.linalg.blas import dsyrk
from scipy.special import expit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MAX_ITERATIONS = 200
TOLERANCE = 1e-10
_LONGEST_STEP = 1.0
LAYER = 0.3


@dataclass(frozen=True)
class Transported:
    """
    Moved rows and how well they match.

    Parameters
    ----------
    points : array of shape (rows, d)
        Continuous atoms, standardised within the cluster.
    residual : float
        Largest difference of a normalised moment.
    iterations : int
        Steps taken.
    """

    points: FloatArray
    residual: float
    iterations: int


class Box:
    """
    Public bounds of the columns: a smooth map from free to bounded coordinates.

    The identity away from the bounds, and soft within ``LAYER`` of them, so that no
    row ever passes a bound and few are pressed against it.

    Parameters
    ----------
    lower, upper : arrays of shape (d,)
        In standardised coordinates; infinite where a column has no bound.
    """

    def __init__(self, lower: FloatArray, upper: FloatArray) -> None:
        self.lower, self.upper = lower, upper

    def close(self, free: FloatArray) -> FloatArray:
        """Bounded coordinates of free ones."""
        out = free.copy()
        for k, (low, high) in enumerate(zip(self.lower, self.upper, strict=True)):
            x = free[:, k]
            if np.isfinite(low):
                x = low + LAYER * np.logaddexp(0.0, (x - low) / LAYER)
            if np.isfinite(high):
                x = high - LAYER * np.logaddexp(0.0, (high - x) / LAYER)
            if np.isfinite(low):
                x = np.maximum(x, low)
            out[:, k] = x
        return out

    def slope(self, free: FloatArray) -> FloatArray:
        """Derivative of :meth:`close`, shape of ``free``."""
        out = np.ones_like(free)
        for k, (low, high) in enumerate(zip(self.lower, self.upper, strict=True)):
            x = free[:, k]
            if np.isfinite(low):
                out[:, k] *= expit((x - low) / LAYER)
                x = low + LAYER * np.logaddexp(0.0, (x - low) / LAYER)
            if np.isfinite(high):
                out[:, k] *= expit((high - x) / LAYER)
        return out

    def open(self, points: FloatArray) -> FloatArray:
        """Free coordinates at which to start: the points, not far outside."""
        return np.clip(points, self.lower - 3 * LAYER, self.upper + 3 * LAYER)


class HermiteMoments:
    """
    Normalised Hermite products times indicators, as functions of the rows.

    Parameters
    ----------
    exponents : array of shape (m, d)
        Degrees in the continuous atoms; each row has at least one.
    masks : array of shape (m, rows)
        Indicator part of each function on the rows, whose cells are fixed.
    weights : array of shape (rows,)
        Masses, sum to one.
    """

    def __init__(
        self, exponents: IntArray, masks: FloatArray, weights: FloatArray
    ) -> None:
        self.exponents = exponents
        self.weights = weights
        share = np.maximum(masks @ weights, 1e-12)
        # A moment inside a rare cell is judged by the spread it has there.
        self.scale = 1.0 / np.sqrt(share)
        self.masks = masks * self.scale[:, None]

    def values(self, points: FloatArray) -> FloatArray:
        """Means of all functions, shape (m,)."""
        tables = [
            hermite(points[:, k], int(self.exponents[:, k].max(initial=0)))
            for k in range(points.shape[1])
        ]
        out = self.masks.copy()
        for k, table in enumerate(tables):
            out *= table[self.exponents[:, k]]
        means: FloatArray = out @ self.weights
        return means

    def gradients(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Means, shape (m,), and gradients, shape (m, d, rows)."""
        d = points.shape[1]
        tables = [
            hermite(points[:, k], int(self.exponents[:, k].max(initial=0)))
            for k in range(d)
        ]
        factors = [table[self.exponents[:, k]] for k, table in enumerate(tables)]
        m, rows = self.masks.shape
        gradients = np.empty((m, d, rows))
        for k in range(d):
            e = self.exponents[:, k]
            slope = np.sqrt(e)[:, None] * tables[k][np.maximum(e - 1, 0)]
            slope *= self.masks
            for other, factor in enumerate(factors):
                if other != k:
                    slope *= factor
            gradients[:, k] = slope
        value = self.masks.copy()
        for factor in factors:
            value *= factor
        return value @ self.weights, gradients


def hermite(x: FloatArray, degree: int) -> FloatArray:
    """
    Hermite polynomials, orthonormal under the standard normal, shape (degree+1, n).

    Examples
    --------
    >>> hermite(np.array([2.0]), 2).ravel().round(6).tolist()
    [1.0, 2.0, 2.12132]
    """
    out = np.ones((degree + 1, len(x)))
    if degree:
        out[1] = x
    for k in range(1, degree):
        out[k + 1] = (x * out[k] - np.sqrt(k) * out[k - 1]) / np.sqrt(k + 1)
    return out


def transport(
    start: FloatArray,
    functions: HermiteMoments,
    targets: FloatArray,
    box: Box,
    *,
    max_iterations: int = MAX_ITERATIONS,
    tolerance: float = TOLERANCE,
) -> Transported:
    """
    Levenberg-Marquardt on the rows, in constraint space.

    Parameters
    ----------
    start : array of shape (rows, d)
        Smooth start: a quasi-random Gaussian.
    functions : HermiteMoments
        What to match.
    targets : array of shape (m,)
        Released means of the same functions, unscaled.
    max_iterations : int
        Most steps.
    tolerance : float
        Residual at which to stop.

    Notes
    -----
    1. value and gradients at the rows; residual ``r = mean - target``
    2. solve ``(G + damping * diag(G)) alpha = r``
    3. move every row by ``-grad(sum alpha_j f_j)``, shortened to one standard
       deviation
    4. accept when the residual falls, and relax the damping; else increase it
    """
    goal = targets * functions.scale
    root = np.sqrt(functions.weights)
    free = box.open(start)
    points, damping = box.close(free), 1e-3
    means, gradients = functions.gradients(points)
    residual = means - goal
    size = float(residual @ residual)
    steps = stalls = 0
    while steps < max_iterations and np.abs(residual).max(initial=0.0) > tolerance:
        steps += 1
        gradients *= box.slope(free).T * root
        flat = gradients.reshape(len(gradients), -1)
        gram = dsyrk(1.0, flat.T, trans=True)
        gram += np.triu(gram, 1).T
        moved = False
        while damping < 1e8:
            alpha = _solve(gram, damping, residual)
            delta = -((alpha @ flat).reshape(points.shape[::-1]) / root).T
            length = float(np.sqrt((delta**2).sum(1)).max(initial=0.0))
            if length > _LONGEST_STEP:
                delta *= _LONGEST_STEP / length
            tried = free + delta
            new = functions.values(box.close(tried)) - goal
            new_size = float(new @ new)
            if np.isfinite(new_size) and new_size < size:
                moved = True
                break
            damping = max(damping, 1e-12) * 8
        if not moved:
            break
        stalls = stalls + 1 if new_size > 0.98 * size else 0
        free, points = tried, box.close(tried)
        damping = damping / 10 if new_size < 0.3 * size else damping / 2
        damping = max(damping, 1e-15)
        means, gradients = functions.gradients(points)
        residual = means - goal
        size = float(residual @ residual)
        if stalls >= 15:
            break
    return Transported(points, float(np.abs(residual).max(initial=0.0)), steps)


def _solve(gram: FloatArray, damping: float, residual: FloatArray) -> FloatArray:
    diagonal = np.maximum(np.diag(gram), 1e-10)
    ridge = np.diag(damping * diagonal)
    try:
        factor = cho_factor(gram + ridge, lower=True, check_finite=False)
        solution: FloatArray = cho_solve(factor, residual, check_finite=False)
    except LinAlgError:
        solution = np.asarray(np.linalg.lstsq(gram + ridge, residual, rcond=1e-14)[0])
    return solution


def hermite_transform(
    exponents: IntArray,
    groups: Sequence[int],
    means: FloatArray,
    sds: FloatArray,
) -> FloatArray:
    """
    Matrix from monomial moments to normalised Hermite moments.

    Parameters
    ----------
    exponents : array of shape (m, d)
        Exponents of the monomials; closed under division within each group.
    groups : sequence of int of length m
        Functions with the same indicator part have the same number.
    means, sds : arrays of shape (d,)
        ``x = mean + sd * z``; the Hermite polynomials are of ``z``.

    Returns
    -------
    array of shape (m, m)
    """
    same = np.equal.outer(np.asarray(groups), np.asarray(groups))
    out: FloatArray = same.astype(np.float64)
    for k in range(exponents.shape[1]):
        e = exponents[:, k]
        table = _hermite_of_raw(int(e.max(initial=0)), means[k], sds[k])
        out *= table[e[:, None], e[None, :]]
    return out


def _hermite_of_raw(degree: int, mean: float, sd: float) -> FloatArray:
    """Coefficients of ``h_k((x - mean) / sd)`` in powers of x, by recurrence."""
    table = np.zeros((degree + 1, degree + 1))
    table[0, 0] = 1.0
    for k in range(degree):
        shifted = np.zeros(degree + 1)
        shifted[1:] = table[k, :-1]
        table[k + 1] = (shifted - mean * table[k]) / sd
        if k:
            table[k + 1] -= np.sqrt(k) * table[k - 1]
        table[k + 1] /= np.sqrt(k + 1)
    return table
