"""Minus the log-likelihood of one event, or of none, by linear predictor.

The functions that likelihoods with two measures integrate, one against each: their
log-likelihood is ``t'b - sum_k c_k sum m_k h_k(x'b)``.  All are convex.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import erfcx, log_ndtr

from fedglmm_flower.glmm.cumulant import Cumulant, FloatArray, cumulant
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.release import Measure, anchor_measures

_ROOT = np.sqrt(2.0 / np.pi)
# From here on the series of the inverse Mills ratio has more digits than itself.
_FAR = 30.0


@dataclass(frozen=True)
class Curve:
    """
    A function that a likelihood integrates against a measure.

    Parameters
    ----------
    measure : str
        What weighs the rows.
    factor : float
        How often it enters the likelihood.
    h : callable
        Of the linear predictor and the order of a derivative, 0 to 4.
    asymptote : tuple of float
        Coefficients, the constant first, of the polynomial in the linear predictor
        that it approaches at the end where it does not vanish; empty if there is none.
    """

    measure: Measure
    factor: float
    h: Cumulant
    asymptote: tuple[float, ...] = ()

    def rest(self, eta: FloatArray, order: int) -> FloatArray | None:
        """A derivative less that of the asymptote; None where that vanishes."""
        polynomial = np.polynomial.Polynomial(self.asymptote or (0.0,)).deriv(order)
        if not polynomial.coef.any():
            return None
        return np.asarray(self.h(eta, order) - polynomial(eta))


def curves_of(model: Model, shape: float = 1.0) -> tuple[Curve, ...]:
    """
    The functions of a likelihood, in the order of its measures.

    Parameters
    ----------
    model : Model
        The question.
    shape : float
        theta of a negative binomial one.

    Examples
    --------
    >>> bool(negative_binomial(2.0)(np.array([np.log(2.0)]), 1)[0] == 0.5)
    True
    """
    measures = anchor_measures(model)
    if len(measures) == 1:
        line = (0.0, 1.0) if model.family == "binomial" else ()
        return (Curve(measures[0], 1.0, cumulant(model.family), line),)
    first, second = measures
    if model.family == "nbinom2":
        h = negative_binomial(shape)
        line = (-float(np.log(shape)), 1.0)
        return (Curve(first, shape, h, line), Curve(second, 1.0, h, line))
    if model.link == "probit":
        square = (0.0, 0.0, 0.5)
        return (
            Curve(first, 1.0, _mirrored(probit), square),
            Curve(second, 1.0, probit, square),
        )
    return (
        Curve(first, 1.0, cumulant("poisson")),
        Curve(second, 1.0, cloglog, (0.0, -1.0)),
    )


def negative_binomial(shape: float) -> Cumulant:
    """``log(1 + e^eta / theta)``: the logistic one, moved."""
    logistic, psi = cumulant("binomial"), np.log(shape)
    return lambda eta, order: logistic(eta - psi, order)


def _mirrored(h: Cumulant) -> Cumulant:
    return lambda eta, order: (-1.0) ** order * h(-eta, order)


def probit(eta: FloatArray, order: int) -> FloatArray:
    """
    ``-log Phi(eta)``.

    Examples
    --------
    >>> [round(float(probit(np.array([-40.0]), k)[0]), 6) for k in (1, 2, 3)]
    [-40.024969, 0.999377, -3.1e-05]
    """
    if order == 0:
        return np.asarray(-log_ndtr(eta))
    z = np.maximum(-eta, _FAR)
    far = (
        lambda: -z - 1 / z + 2 / z**3 - 10 / z**5,
        lambda: 1 - 1 / z**2 + 6 / z**4 - 50 / z**6 + 518 / z**8,
        lambda: -2 / z**3 + 24 / z**5 - 300 / z**7 + 4144 / z**9 - 63540 / z**11,
        lambda: -6 / z**4 + 120 / z**6 - 2100 / z**8 + 37296 / z**10,
    )
    near = _near_probit(np.maximum(eta, -_FAR), order)
    return np.where(eta < -_FAR, far[order - 1](), near)


def _near_probit(eta: FloatArray, order: int) -> FloatArray:
    # phi / Phi without a difference of large logarithms.
    up = _ROOT / erfcx(-eta / np.sqrt(2.0))
    if order == 1:
        return np.asarray(-up)
    a = eta + up
    if order == 2:
        return np.asarray(up * a)
    c = 1.0 - a * a - up * a
    if order == 3:
        return np.asarray(up * c)
    return np.asarray(-up * (a * c + 2.0 * a * (1.0 - up * a) + up * c))


def cloglog(eta: FloatArray, order: int) -> FloatArray:
    """
    ``-log(1 - exp(-e^eta))``.

    Examples
    --------
    >>> [round(float(cloglog(np.array([-30.0]), k)[0]), 6) for k in (0, 1, 2)]
    [30.0, -1.0, 0.0]
    """
    # Beyond, all derivatives are below the smallest number.
    t = np.exp(np.minimum(eta, 7.0))
    tiny = t < 1e-8
    if order == 0:
        safe = -np.log(-np.expm1(-np.where(tiny, 1.0, t)))
        return np.where(tiny, -eta + 0.5 * t, safe)
    q = np.where(tiny, 1.0 - 0.5 * t, t / np.expm1(np.clip(t, 1e-8, 700.0)))
    if order == 1:
        return np.asarray(-q)
    # 1 - t - q cancels for small t.
    series = -t * (0.5 + t / 12.0 * (1.0 - t * t / 60.0))
    s = np.where(t < 1e-2, series, 1.0 - t - q)
    if order == 2:
        return np.asarray(-q * s)
    g = s * s - t - q * s
    if order == 3:
        return np.asarray(-q * g)
    return np.asarray(-q * (s * g - 2.0 * s * (t + q * s) - t - q * g))
