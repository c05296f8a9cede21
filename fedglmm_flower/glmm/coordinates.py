"""Fixed-effect coordinates in which every model is well conditioned."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from fedglmm_flower.errors import FitError
from fedglmm_flower.glmm.rows import FloatArray
from fedglmm_flower.glmm.verdict import Verdict

_TINY_COEFFICIENT = 1e-12  # relative; below it a column adds no basis function
_ZERO = (
    "is zero in every row (a declared level that no row has is left out of the "
    "declared levels)"
)
_TINY_PIVOT = 1e-11  # 1 - R^2 of a column given the columns before it


@dataclass(frozen=True)
class Coordinates:
    """
    ``X beta = basis columns gamma`` with ``gamma = R beta``.

    Attributes
    ----------
    Q : array of shape (k, p)
        Orthonormal in the space of basis functions of unit length.
    R : array of shape (p, p)
        Upper triangular.
    lengths : array of shape (k,)
        Root mean squares of the basis functions.
    """

    Q: FloatArray
    R: FloatArray
    lengths: FloatArray

    @property
    def columns(self) -> FloatArray:
        """What gamma multiplies, in terms of the basis: (k, p)."""
        return self.Q / self.lengths[:, None]

    def estimates(self, gamma: FloatArray) -> FloatArray:
        """Coefficients of the named columns: R^-1 gamma."""
        return np.asarray(solve_triangular(self.R, gamma), dtype=np.float64)

    def covariance(self, root: FloatArray) -> FloatArray:
        """Covariance of the coefficients, from a root of that of gamma (p, m)."""
        half = self.estimates(root)
        return half @ half.T

    @property
    def logdet(self) -> float:
        """Log |det R|: what REML's determinant gains on the original columns."""
        return float(np.log(np.abs(np.diag(self.R))).sum())

    def constant(self, const: FloatArray) -> FloatArray | None:
        """Gamma of the constant function, if the model contains it."""
        unit = const * self.lengths
        gamma = self.Q.T @ unit
        error = np.abs(self.Q @ gamma - unit).max(initial=0.0)
        inside = error < 1e-9 * np.abs(unit).max(initial=0.0)
        return gamma if inside else None


def build_coordinates(
    names: tuple[str, ...], coefficients: FloatArray, gram: FloatArray
) -> Coordinates:
    """
    Orthogonalise the model columns and check that they are independent.

    Parameters
    ----------
    names : tuple of str
        Names of the columns, for the message.
    coefficients : array of shape (p, k)
    gram : array of shape (k, k)
        Weighted products of the basis functions over all rows.

    Raises
    ------
    FitError
        If a column depends on the columns before it.
    """
    scales = np.sqrt(np.diag(gram))
    scales[scales == 0] = 1.0
    coefficients = coefficients * scales
    gram = gram / np.outer(scales, scales)
    lengths = np.sqrt((coefficients**2).sum(axis=1))
    for name, length in zip(names, lengths, strict=True):
        if length == 0:
            raise FitError(_refusal(name, _ZERO))
    Q, R = np.linalg.qr((coefficients / lengths[:, None]).T)
    flat = np.flatnonzero(np.abs(np.diag(R)) < _TINY_COEFFICIENT)
    if len(flat) or Q.shape[1] < len(names):
        j = int(flat[0]) if len(flat) else Q.shape[1]
        raise FitError(_why(names, j, coefficients, gram))
    G = Q.T @ gram @ Q
    _check_pivots(names, G, coefficients, gram)
    return Coordinates(Q, R * lengths, scales)


def _check_pivots(
    names: tuple[str, ...],
    G: FloatArray,
    coefficients: FloatArray,
    gram: FloatArray,
) -> None:
    rest = G.copy()
    scale = np.diag(G).copy()
    largest = float(scale.max(initial=0.0))
    for j in range(len(names)):
        pivot = rest[j, j]
        if scale[j] <= 1e-24 * largest or pivot <= _TINY_PIVOT * scale[j]:
            raise FitError(_why(names, j, coefficients, gram))
        rest -= np.outer(rest[:, j], rest[j]) / pivot


def _why(
    names: tuple[str, ...], j: int, coefficients: FloatArray, gram: FloatArray
) -> str:
    """The sentence that refuses column j."""
    products = coefficients @ gram @ coefficients.T
    if products[j, j] <= 0:
        return _refusal(names[j], _ZERO)
    for i in range(j):
        size = products[i, i] * products[j, j]
        if products[i, j] ** 2 >= (1 - 1e-12) * size:
            if names[i] == "Intercept":
                return f"column {names[j]!r}: {Verdict.CONSTANT_COLUMN.value}"
            return _refusal(names[j], f"is a multiple of column {names[i]!r}")
    return _refusal(names[j], "is a combination of the columns before it")


def _refusal(name: str, what: str) -> str:
    return f"column {name!r} {what}: {Verdict.RANK_DEFICIENT.value}"
