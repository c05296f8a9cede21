"""Covariance of the random effects: theta, the entries of its Cholesky factor."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from fedglmm_flower.errors import FitError
from fedglmm_flower.glmm.rows import FloatArray, IntArray


@dataclass(frozen=True)
class Covariance:
    """
    The map from theta to ``Lambda``, with ``b = Lambda u`` and u standard normal.

    Internally each term's columns are whitened, ``Z = Zw R``: in these coordinates
    theta is free of the units of the predictors.  Signs of theta are free too (the
    likelihood is even in every column of Lambda), so that a zero variance is a
    smooth stationary point and not an edge.

    Attributes
    ----------
    columns : per term, its place among the Q effects of a chain
    factors : per term, the whitening factor R, upper triangular (q, q)
    rows, cols : arrays of shape (t,)
        Position in Lambda of each element of theta.
    terms : array of shape (t,)
        The term each element of theta belongs to.
    """

    columns: tuple[slice, ...]
    factors: tuple[FloatArray, ...]
    rows: IntArray
    cols: IntArray
    terms: IntArray

    @property
    def size(self) -> int:
        """Number of covariance parameters."""
        return len(self.rows)

    def matrix(self, theta: FloatArray) -> FloatArray:
        """Lambda for one chain of clusters, (Q, Q)."""
        width = max((c.stop for c in self.columns), default=0)
        Lambda = np.zeros((width, width))
        Lambda[self.rows, self.cols] = theta
        return Lambda

    def gather(self, slope: FloatArray) -> FloatArray:
        """Derivatives in theta from derivatives in every entry of Lambda."""
        return slope[self.rows, self.cols]

    def unwhiten(self, term: int, effects: FloatArray) -> FloatArray:
        """Effects on the scale of the original columns; effects of shape (q, m)."""
        return np.asarray(
            solve_triangular(self.factors[term], effects), dtype=np.float64
        )

    def sigma(self, theta: FloatArray, term: int) -> FloatArray:
        """Covariance matrix of one term's effects on their original scale."""
        c = self.columns[term]
        half = self.unwhiten(term, self.matrix(theta)[c, c])
        return half @ half.T

    def diagonal(self) -> IntArray:
        """Which elements of theta are on the diagonal of Lambda."""
        return np.flatnonzero(self.rows == self.cols)

    def with_signs(self, theta: FloatArray) -> FloatArray:
        """The same covariance with a non-negative diagonal of Lambda."""
        Lambda = self.matrix(theta)
        return self.gather(Lambda * np.where(np.diag(Lambda) < 0, -1.0, 1.0))


def build_covariance(
    columns: Sequence[slice],
    factors: Sequence[FloatArray],
    correlated: Sequence[bool],
) -> Covariance:
    """Lay out theta term by term, the lower triangle by columns."""
    rows: list[int] = []
    cols: list[int] = []
    terms: list[int] = []
    for t, (place, full) in enumerate(zip(columns, correlated, strict=True)):
        for j in range(place.start, place.stop):
            for i in range(j, place.stop if full else j + 1):
                rows.append(i)
                cols.append(j)
                terms.append(t)
    return Covariance(
        tuple(columns),
        tuple(factors),
        np.array(rows, dtype=np.intp),
        np.array(cols, dtype=np.intp),
        np.array(terms, dtype=np.intp),
    )


def whitening(
    group: str, names: tuple[str, ...], root: FloatArray, *, correlated: bool
) -> FloatArray:
    """
    Whitening factor R of a term, from a root of its columns' mean products.

    Parameters
    ----------
    group, names
        For the message.
    root : array of shape (q, q)
        Upper triangular, ``root' root = Z' W Z / sum(W)``.
    correlated : bool
        Without correlations only scales may be changed.

    Raises
    ------
    FitError
        If a column is zero, or a combination of the others.
    """
    scales = np.sqrt((root**2).sum(axis=0))
    pivots = np.abs(np.diag(root))
    bad = np.flatnonzero(pivots <= 1e-10 * scales if correlated else scales == 0)
    if len(bad):
        raise FitError(
            f"random effects by {group!r}: the column {names[bad[0]]!r} is zero, or a "
            "combination of the columns before it; remove it from the random part"
        )
    if not correlated:
        return np.diag(scales)
    return root * np.sign(np.diag(root))[:, None]
