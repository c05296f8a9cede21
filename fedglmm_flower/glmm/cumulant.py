"""Cumulant functions of canonical links, and their derivatives."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import expit

FloatArray = npt.NDArray[np.float64]
Cumulant = Callable[[FloatArray, int], FloatArray]


def cumulant(family: str) -> Cumulant:
    """
    The cumulant function of a family with its canonical link, and its derivatives.

    Examples
    --------
    >>> float(cumulant("binomial")(np.array([0.0]), 1)[0])
    0.5
    """
    return {"binomial": _logistic, "poisson": _exponential}[family]


def _logistic(eta: FloatArray, order: int) -> FloatArray:
    if order == 0:
        zero: FloatArray = np.logaddexp(0.0, eta)
        return zero
    mu: FloatArray = expit(eta)
    if order == 1:
        return mu
    w = mu * (1.0 - mu)
    if order == 2:
        return w
    return w * (1.0 - 2.0 * mu) if order == 3 else w * (1.0 - 6.0 * w)


def _exponential(eta: FloatArray, _order: int) -> FloatArray:
    value: FloatArray = np.exp(np.minimum(eta, 700.0))
    return value
