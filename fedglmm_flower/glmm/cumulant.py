"""Functions that a likelihood integrates against one measure, and their derivatives.

The cumulant functions of canonical links; for gamma with the log link ``exp(-eta)``.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.special import expit

FloatArray = npt.NDArray[np.float64]
Cumulant = Callable[[FloatArray, int], FloatArray]


def cumulant(family: str) -> Cumulant:
    """
    The function of a family, with its derivatives up to the fourth.

    Examples
    --------
    >>> float(cumulant("binomial")(np.array([0.0]), 1)[0])
    0.5
    """
    functions = {"binomial": _logistic, "poisson": _exponential, "gamma": _decaying}
    return functions[family]


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


def _decaying(eta: FloatArray, order: int) -> FloatArray:
    return _exponential(-eta, 0) * (-1.0) ** order
