"""Smooth start distributions with a given skewness and kurtosis.

Sinh-arcsinh transformed normals (Jones & Pewsey 2009, eq. 2):
``X = sinh((asinh(Z) + epsilon) / delta)``, with tails lighter (delta > 1) or heavier
(delta < 1) than the normal's.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

FloatArray = npt.NDArray[np.float64]

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_LIMITS = ([-1.5, 0.45], [1.5, 4.0])


def skewed(z: FloatArray, skewness: float, kurtosis: float) -> FloatArray:
    """
    Transform standard normal scores to mean 0, variance 1 and a given shape.

    Parameters
    ----------
    z : array
        Standard normal scores.
    skewness, kurtosis : float
        Third and fourth standardised moments that are aimed at; the nearest shape of
        the family is taken where it has none.
    """
    epsilon, delta, mean, sd = _shape(round(skewness, 6), round(kurtosis, 6))
    out: FloatArray = (_transform(z, epsilon, delta) - mean) / sd
    return out


def _transform(z: FloatArray, epsilon: float, delta: float) -> FloatArray:
    out: FloatArray = np.sinh((np.arcsinh(z) + epsilon) / delta)
    return out


@lru_cache(maxsize=4096)
def _shape(skewness: float, kurtosis: float) -> tuple[float, float, float, float]:
    def moments(parameters: FloatArray) -> tuple[float, float, float, float]:
        x = _transform(_NODES, parameters[0], parameters[1])
        mean = float(_WEIGHTS @ x)
        sd = float(np.sqrt(_WEIGHTS @ (x - mean) ** 2))
        u = (x - mean) / sd
        return float(_WEIGHTS @ u**3), float(_WEIGHTS @ u**4), mean, sd

    def miss(parameters: FloatArray) -> list[float]:
        s, k, _, _ = moments(parameters)
        return [s - skewness, np.log(k) - np.log(max(kurtosis, 1.1))]

    found = least_squares(miss, [0.0, 1.0], bounds=_LIMITS, xtol=1e-8).x
    _, _, mean, sd = moments(found)
    return float(found[0]), float(found[1]), mean, sd
