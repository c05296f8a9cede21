"""The gamma functions of a negative binomial likelihood, from sums at fixed shapes.

``sum w log(Gamma(y + theta) / Gamma(theta))`` is ``sum_j N_j log(theta + j)`` with
``N_j`` the weight of the rows whose count exceeds j.  As a function of theta it is
therefore a combination of ``log(theta + c)``, and one that agrees with the released
values agrees in between and beyond as well.
"""

from dataclasses import dataclass

import numpy as np

from fedglmm_flower.glmm.negative_binomial import log_rising
from fedglmm_flower.glmm.rows import FloatArray
from fedglmm_flower.study.shapes import SHAPES

# Smaller singular values would multiply the rounding of the sums.
_CUT = 1e-13
# Every count that is small, and larger ones as densely as logarithms tell them apart.
_SHIFTS = np.concatenate([[0.0], np.arange(2.0, 13.0), np.geomspace(13.0, 1e6, 50)])


def shape_values(response: FloatArray, weights: FloatArray) -> FloatArray:
    """
    Sums at the shapes of a release.

    Parameters
    ----------
    response, weights : arrays of shape (n,)
        Counts and prior weights.

    Examples
    --------
    >>> bool(np.allclose(shape_values(np.ones(2), np.ones(2)), 2 * np.log(SHAPES)))
    True
    """
    counts, which = np.unique(response, return_inverse=True)
    total = np.bincount(which.ravel(), weights)
    return np.array([float(total @ log_rising(counts, theta)[0]) for theta in SHAPES])


@dataclass(frozen=True)
class ShapeCurve:
    """
    A sum as a function of theta, from its values at the shapes of a release.

    The error is below 1e-9 a count for theta from 0.02 to 1,000 and below 1e-5 a count
    from 0.001 to 1e7; counts may reach 10,000.

    Parameters
    ----------
    events : float
        Sum of the counts, which fixes the limit of large theta.
    coefficients : array
        Of ``log((theta + c) / (theta + 1))``.
    """

    events: float
    coefficients: FloatArray

    @classmethod
    def through(cls, values: FloatArray, events: float) -> "ShapeCurve":
        """The curve through released values."""
        left = values - events * np.log1p(np.array(SHAPES))
        matrix = np.array([_ratios(theta) for theta in SHAPES])
        return cls(events, np.linalg.lstsq(matrix, left, rcond=_CUT)[0])

    def __call__(self, theta: float) -> tuple[float, float]:
        """Value and slope in theta."""
        gap = _SHIFTS - 1.0
        value = self.events * np.log1p(theta) + self.coefficients @ _ratios(theta)
        # One after the other: counts without overdispersion send theta to 1e200.
        slopes = -gap / (theta + _SHIFTS) / (theta + 1.0)
        slope = self.events / (theta + 1.0) + self.coefficients @ slopes
        return float(value), float(slope)


def _ratios(theta: float) -> FloatArray:
    # log1p keeps the digits of large theta.
    return np.asarray(np.log1p((_SHIFTS - 1.0) / (theta + 1.0)))
