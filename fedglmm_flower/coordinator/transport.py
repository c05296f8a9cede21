"""Move pseudo-rows until their moments are the released ones.

The step is Gauss-Newton in constraint space: with the mass-weighted norm of the
displacement, ``delta(z) = -grad(sum_j alpha_j f_j)(z)`` where ``G alpha = residual``
and ``G_jl = sum_i w_i grad f_j(z_i) . grad f_l(z_i)``.  ``G`` is (moments x moments)
however many rows there are, the displacement is the gradient of one polynomial, hence
smooth, and neither depends on how finely the rows divide the mass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict

import numpy as np
import numpy.typing as npt
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.special import expit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


class Functions(Protocol):
    """What the rows are moved for; see :class:`HermiteMoments`."""

    scale: FloatArray

    def values(self, points: FloatArray) -> FloatArray:
        """Scaled means of all functions."""
        ...

    def slopes(self, points: FloatArray) -> FloatArray:
        """Gradients at every row, shape (any, d, rows)."""
        ...

    def gram(self, slopes: FloatArray) -> FloatArray:
        """Mass-weighted products of gradients."""
        ...

    def combine(self, alpha: FloatArray, slopes: FloatArray) -> FloatArray:
        """Gradient of a combination at every row, shape (rows, d)."""
        ...


class Limits(TypedDict, total=False):
    """When to stop."""

    max_iterations: int
    tolerance: float


MAX_ITERATIONS = 200
TOLERANCE = 1e-10
_LONGEST_STEP = 1.0
LAYER = 0.3
# Of products inside cells that are held at once.
_MOST_NUMBERS = 2**23


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

    Inside one cell of the factors every function is a multiple of one of a few
    polynomials, so polynomials are computed once, and sums are taken cell by cell.

    Parameters
    ----------
    exponents : array of shape (m, d)
        Degrees in the continuous atoms; each row has at least one.
    masks : array of shape (m, cells)
        Indicator part of each function on the cells.
    index : array of shape (rows,)
        Cell of each row, in ascending order; rows do not change their cell.
    weights : array of shape (rows,)
        Masses, sum to one.
    """

    def __init__(
        self,
        exponents: IntArray,
        masks: FloatArray,
        index: IntArray,
        weights: FloatArray,
    ) -> None:
        self.exponents = exponents
        self.weights = weights
        self.degrees, which = np.unique(exponents, axis=0, return_inverse=True)
        self.which = which.ravel()
        cells, self.starts, self.cell = np.unique(
            index, return_index=True, return_inverse=True
        )
        # Functions with the same indicator part share their sums over cells.
        parts, part = np.unique(masks[:, cells], axis=0, return_inverse=True)
        self.part = part.ravel()
        share = np.maximum(parts @ np.add.reduceat(weights, self.starts), 1e-12)
        # A moment inside a rare cell is judged by the spread it has there.
        scale = 1.0 / np.sqrt(share)
        self.parts = parts * scale[:, None]
        self.scale: FloatArray = scale[self.part]
        self.masks = self.parts[self.part]
        # The derivative of a Hermite product is one of lower degree.
        unit = np.eye(exponents.shape[1], dtype=np.int64)
        below = np.maximum(self.degrees[:, None, :] - unit, 0)
        self.lower, at = np.unique(
            below.reshape(-1, exponents.shape[1]), axis=0, return_inverse=True
        )
        self.below = at.reshape(below.shape[:2])

    def values(self, points: FloatArray) -> FloatArray:
        """Means of all functions, shape (m,)."""
        product = np.tile(self.weights, (len(self.degrees), 1))
        for k, table in enumerate(self._tables(points)):
            product *= table[self.degrees[:, k]]
        in_cells = np.add.reduceat(product, self.starts, axis=1)
        means: FloatArray = (self.masks * in_cells[self.which]).sum(axis=1)
        return means

    def slopes(self, points: FloatArray) -> FloatArray:
        """Gradients of the polynomials, shape (polynomials, d, rows)."""
        tables = self._tables(points)
        lower = np.ones((len(self.lower), len(points)))
        for k, table in enumerate(tables):
            used = np.flatnonzero(self.lower[:, k])
            lower[used] *= table[self.lower[used, k]]
        out = np.zeros((len(self.degrees), len(tables), len(points)))
        for k, e in enumerate(self.degrees.T):
            used = np.flatnonzero(e)
            size = np.sqrt(e[used])[:, None]
            out[used, k] = size * lower[self.below[used, k]]
        return out

    def gram(self, slopes: FloatArray) -> FloatArray:
        """Mass-weighted products of the functions' gradients, shape (m, m)."""
        out = np.zeros((len(self.masks), len(self.masks)))
        count = len(self.degrees)
        at_once = max(1, _MOST_NUMBERS // count**2)
        for first in range(0, len(self.starts), at_once):
            cells = np.arange(first, min(first + at_once, len(self.starts)))
            inner = self._inner(slopes, cells)
            for part, mask in enumerate(self.parts):
                active = np.flatnonzero(mask[cells])
                if not len(active):
                    continue
                members = np.flatnonzero(self.part == part)
                own = inner[active][:, self.which[members]].reshape(len(active), -1)
                here = cells[active]
                sums = (self.parts[:, here] * mask[here]) @ own
                columns = self.part * (len(members) * count) + self.which
                at = count * np.arange(len(members))[:, None] + columns
                out[members] += np.take(sums, at)
        return out

    def _inner(self, slopes: FloatArray, cells: IntArray) -> FloatArray:
        """The same of polynomials inside some cells, shape (cells, E, E)."""
        root = np.sqrt(self.weights)
        inner = np.zeros((len(cells), len(self.degrees), len(self.degrees)))
        ends = np.append(self.starts[1:], len(root))
        for k, e in enumerate(self.degrees.T):
            # A polynomial is flat along an atom that it does not contain.
            used = np.flatnonzero(e)
            weighted, block = slopes[used, k] * root, np.ix_(used, used)
            for one, start, end in zip(
                inner, self.starts[cells], ends[cells], strict=True
            ):
                rows = weighted[:, start:end]
                one[block] += rows @ rows.T
        return inner

    def combine(self, alpha: FloatArray, slopes: FloatArray) -> FloatArray:
        """Gradient of ``sum_j alpha_j f_j`` at every row, shape (rows, d)."""
        sizes = np.zeros((len(self.degrees), self.masks.shape[1]))
        np.add.at(sizes, self.which, self.masks * alpha[:, None])
        total = np.empty((slopes.shape[2], slopes.shape[1]))
        ends = [*self.starts[1:], len(self.weights)]
        for cell, (start, end) in enumerate(zip(self.starts, ends, strict=True)):
            moved = np.tensordot(sizes[:, cell], slopes[:, :, start:end], 1)
            total[start:end] = moved.T
        return total

    def _tables(self, points: FloatArray) -> list[FloatArray]:
        most = self.degrees.max(axis=0, initial=0)
        return [hermite(x, int(e)) for x, e in zip(points.T, most, strict=True)]


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
    functions: Functions,
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
    functions : Functions
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
    goal: FloatArray = targets * functions.scale
    free = box.open(start)
    points, damping = box.close(free), 1e-3
    residual = functions.values(points) - goal
    size = float(residual @ residual)
    steps = stalls = 0
    while steps < max_iterations and np.abs(residual).max(initial=0.0) > tolerance:
        steps += 1
        slopes = functions.slopes(points)
        slopes *= box.slope(free).T
        gram = functions.gram(slopes)
        moved = False
        while damping < 1e8:
            alpha = _solve(gram, damping, residual)
            if alpha is None:
                damping = max(damping, 1e-12) * 8
                continue
            delta = -functions.combine(alpha, slopes)
            length = float(np.sqrt((delta**2).sum(1)).max(initial=0.0))
            if length > _LONGEST_STEP:
                delta *= _LONGEST_STEP / length
            tried = free + delta
            closed = box.close(tried)
            new = functions.values(closed) - goal
            new_size = float(new @ new)
            if np.isfinite(new_size) and new_size < size:
                moved = True
                break
            damping = max(damping, 1e-12) * 8
        if not moved:
            break
        stalls = stalls + 1 if new_size > 0.98 * size else 0
        damping = damping / 10 if new_size < 0.3 * size else damping / 2
        damping = max(damping, 1e-15)
        free, points, residual, size = tried, closed, new, new_size
        if stalls >= 15:
            break
    return Transported(points, float(np.abs(residual).max(initial=0.0)), steps)


def _solve(gram: FloatArray, damping: float, residual: FloatArray) -> FloatArray | None:
    """A damped step; None where the products are too bad for any solver."""
    damped = gram + np.diag(damping * np.maximum(np.diag(gram), 1e-10))
    try:
        factor = cho_factor(damped, lower=True, check_finite=False)
        solution = cho_solve(factor, residual, check_finite=False)
    except LinAlgError:
        try:
            least, *_ = np.linalg.lstsq(damped, residual, rcond=1e-14)
        except LinAlgError:  # its singular values were not found
            return None
        return np.asarray(least, dtype=np.float64)
    return np.asarray(solution, dtype=np.float64)


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
