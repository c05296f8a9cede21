"""Families: a row's log-likelihood as a function of its linear predictor."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from scipy.special import digamma, gammaln, xlogy

from fedglmm_flower.glmm.rows import FloatArray, ShapeSum

MAX_EXPONENT = 700.0  # exp() of more overflows; no sensible fit comes near


def safe_exp(x: FloatArray) -> FloatArray:
    """Exponential that stays finite."""
    return np.exp(np.minimum(x, MAX_EXPONENT))


class Family(ABC):
    """
    The log-likelihood of weighted rows, l(eta, psi), up to and including constants.

    ``terms`` and ``third`` hold what depends on eta; ``aggregate`` the part that
    depends on the dispersion parameter alone, with the response-only constant.
    Weights, response and trials enter linearly wherever the family allows, so
    fractional and out-of-range pseudo-responses are ordinary input.

    Parameters
    ----------
    response, weights, trials : arrays of shape (n,)
    constant : float or None
        See `ModelRows`.
    shape_sum : callable or None
        See `ModelRows`.

    Attributes
    ----------
    dispersed : bool
        Whether psi, the logarithm of the dispersion parameter, is estimated.
    has_fourth : bool
        Whether `fourth` is there, and with it the closed form of the Hessian.
    """

    name: ClassVar[str]
    link: ClassVar[str]
    dispersed: ClassVar[bool] = False
    has_fourth: ClassVar[bool] = False

    def __init__(
        self,
        response: FloatArray,
        weights: FloatArray,
        trials: FloatArray,
        constant: float | None = None,
        shape_sum: ShapeSum | None = None,
    ) -> None:
        del shape_sum  # of the negative binomial alone
        self.y = response
        self.w = weights
        self.wy = weights * response
        self.wm = weights * trials
        self.m = trials
        self.total = float(weights.sum())
        self.constant = self.response_constant() if constant is None else constant

    @abstractmethod
    def response_constant(self) -> float:
        """Sum of the response-only terms of the rows."""

    @abstractmethod
    def terms(
        self, eta: FloatArray, psi: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Per row: l, its first derivative, and minus its second derivative."""

    @abstractmethod
    def third(self, eta: FloatArray, psi: float) -> FloatArray:
        """Per row: derivative of the curvature with respect to eta."""

    def fourth(self, eta: FloatArray) -> FloatArray:
        """Per row: second derivative of the curvature with respect to eta."""
        raise NotImplementedError

    def by_psi(
        self, eta: FloatArray, psi: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Derivatives of the three `terms` with respect to psi."""
        raise NotImplementedError

    def aggregate(self, psi: float) -> tuple[float, float]:
        """Part of l free of eta, summed over rows, and its derivative in psi."""
        del psi
        return self.constant, 0.0

    @abstractmethod
    def start(self, offset: FloatArray) -> float:
        """Linear predictor of the model with an intercept alone, finite always."""

    def start_psi(self, eta: FloatArray) -> float:
        """Start of psi, given fitted linear predictors of a model without effects."""
        del eta
        return 0.0

    @abstractmethod
    def inverse(self, eta: FloatArray) -> FloatArray:
        """Mean of one trial or one unit of exposure."""


def _softplus(x: FloatArray) -> FloatArray:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def _expit(x: FloatArray) -> FloatArray:
    e = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1.0, e) / (1.0 + e), dtype=np.float64)


def _clipped_share(wy: FloatArray, wm: FloatArray) -> float:
    total = float(wm.sum())
    half = 0.5 / (total + 1.0)
    return float(np.clip(wy.sum() / max(total, 1e-300), half, 1.0 - half))


class Binomial(Family):
    """What the binomial families share: the response counts events in m trials."""

    name = "binomial"

    def response_constant(self) -> float:
        """Sum of w log C(m, y)."""
        y, m = self.y, self.m
        if (m == 1.0).all() and ((y == 0.0) | (y == 1.0)).all():
            return 0.0
        logs = gammaln(m + 1) - gammaln(y + 1) - gammaln(m - y + 1)
        return float(np.sum(self.w * np.where(self.w > 0, logs, 0.0)))


class BinomialLogit(Binomial):
    """Binomial counts, logit link: l = y eta - m log(1 + e^eta)."""

    link = "logit"
    has_fourth = True

    def terms(
        self, eta: FloatArray, psi: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Linear in the response, so any real response will do."""
        del psi
        e = np.exp(-np.abs(eta))
        low = np.minimum(eta, 0.0)
        s = 1.0 / (1.0 + e)
        # e^low is 1 or e: a choice by sign takes longer than the exponential.
        p = np.exp(low) * s
        value = self.wy * eta - self.wm * (eta - low + np.log1p(e))
        e *= s
        e *= s
        e *= self.wm
        p *= self.wm
        return value, np.subtract(self.wy, p, out=p), e

    def third(self, eta: FloatArray, psi: float) -> FloatArray:
        """M p (1 - p) (1 - 2p)."""
        del psi
        e = np.exp(-np.abs(eta))
        s = 1.0 / (1.0 + e)
        return np.copysign(self.wm * (e * s * s) * (1.0 - e) * s, -eta)

    def fourth(self, eta: FloatArray) -> FloatArray:
        """With v = p (1 - p): m v (1 - 6 v)."""
        e = np.exp(-np.abs(eta))
        v = e / (1.0 + e) ** 2
        return self.wm * v * (1.0 - 6.0 * v)

    def start(self, offset: FloatArray) -> float:
        """Logit of the overall share."""
        del offset
        share = _clipped_share(self.wy, self.wm)
        return float(np.log(share / (1 - share)))

    def inverse(self, eta: FloatArray) -> FloatArray:
        """Probability of an event."""
        return _expit(eta)


class PoissonLog(Family):
    """Counts, log link: l = y eta - e^eta."""

    name = "poisson"
    link = "log"
    has_fourth = True

    def response_constant(self) -> float:
        """Minus the sum of w log y!."""
        return -float(np.sum(np.where(self.w > 0, self.w * gammaln(self.y + 1), 0.0)))

    def terms(
        self, eta: FloatArray, psi: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Linear in the response, so any real response will do."""
        del psi
        mean = self.w * safe_exp(eta)
        return self.wy * eta - mean, self.wy - mean, mean

    def third(self, eta: FloatArray, psi: float) -> FloatArray:
        """The mean, like every derivative of e^eta."""
        del psi
        return self.w * safe_exp(eta)

    def fourth(self, eta: FloatArray) -> FloatArray:
        """The mean again."""
        return self.w * safe_exp(eta)

    def start(self, offset: FloatArray) -> float:
        """Log of the overall rate."""
        exposure = float(self.w @ safe_exp(offset))
        return float(np.log(max(self.wy.sum(), 0.5) / max(exposure, 1e-300)))

    def inverse(self, eta: FloatArray) -> FloatArray:
        """Expected count."""
        return safe_exp(eta)


class GaussianIdentity(Family):
    """Normal responses; psi is the logarithm of the residual variance."""

    name = "gaussian"
    link = "identity"
    dispersed = True

    def response_constant(self) -> float:
        """No term depends on the response alone."""
        return 0.0

    def terms(
        self, eta: FloatArray, psi: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Quadratic in eta: the Laplace approximation is exact."""
        q = np.exp(-psi)
        residual = self.y - eta
        score = q * self.w * residual
        return -0.5 * score * residual, score, q * self.w

    def third(self, eta: FloatArray, psi: float) -> FloatArray:
        """Zero."""
        del psi
        return np.zeros_like(eta)

    def by_psi(
        self, eta: FloatArray, psi: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """All three are proportional to exp(-psi)."""
        value, score, curvature = self.terms(eta, psi)
        return -value, -score, -curvature

    def aggregate(self, psi: float) -> tuple[float, float]:
        """The normal constant."""
        n = self.total
        return -0.5 * n * (np.log(2 * np.pi) + psi) + self.constant, -0.5 * n

    def start(self, offset: FloatArray) -> float:
        """The mean."""
        return float((self.wy.sum() - self.w @ offset) / max(self.total, 1e-300))

    def start_psi(self, eta: FloatArray) -> float:
        """Log of the residual variance."""
        rss = float(self.w @ (self.y - eta) ** 2)
        return float(np.log(max(rss, 1e-300) / self.total))

    def inverse(self, eta: FloatArray) -> FloatArray:
        """The mean itself."""
        return eta


class GammaLog(Family):
    """
    Positive responses, log link, variance phi mu^2; psi = log phi.

    l = -(eta + y e^-eta) / phi + nu log nu - log Gamma(nu) + (nu - 1) log y, nu =
    1 / phi.  The sum of log y is kept as ``-constant``.
    """

    name = "gamma"
    link = "log"
    dispersed = True

    def response_constant(self) -> float:
        """Minus the sum of w log y."""
        return -float(np.sum(xlogy(self.w, self.y)))

    def terms(
        self, eta: FloatArray, psi: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The observed, not the expected, curvature."""
        nu = np.exp(-psi)
        r = nu * self.wy * safe_exp(-eta)
        return -nu * self.w * eta - r, r - nu * self.w, r

    def third(self, eta: FloatArray, psi: float) -> FloatArray:
        """Minus the curvature."""
        return -self.terms(eta, psi)[2]

    def by_psi(
        self, eta: FloatArray, psi: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """All three are proportional to exp(-psi)."""
        value, score, curvature = self.terms(eta, psi)
        return -value, -score, -curvature

    def aggregate(self, psi: float) -> tuple[float, float]:
        """The gamma constant, for all rows together."""
        nu = float(np.exp(-psi))
        logs = -self.constant
        value = self.total * (-nu * psi - float(gammaln(nu))) + (nu - 1.0) * logs
        slope = self.total * (1.0 - psi - float(digamma(nu))) + logs
        return float(value), float(-nu * slope)

    def start(self, offset: FloatArray) -> float:
        """Log of the mean response per unit of exposure."""
        mean = float(self.wy @ safe_exp(-offset)) / max(self.total, 1e-300)
        return float(np.log(max(mean, 1e-300)))

    def start_psi(self, eta: FloatArray) -> float:
        """Log of the mean deviance: nearly the ML estimate when it is small."""
        ratio = float(self.wy @ safe_exp(-eta)) + float(self.w @ eta) + self.constant
        return float(np.log(max(2.0 * (ratio / self.total - 1.0), 1e-8)))

    def inverse(self, eta: FloatArray) -> FloatArray:
        """The mean."""
        return safe_exp(eta)
