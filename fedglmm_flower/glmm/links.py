"""Binomial counts through the normal and the complementary log-log distribution."""

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

from fedglmm_flower.glmm.family import Binomial, _clipped_share, safe_exp
from fedglmm_flower.glmm.rows import FloatArray

_HALF_LOG_2PI = 0.5 * np.log(2 * np.pi)


def _mills(eta: FloatArray) -> FloatArray:
    """phi(eta) / Phi(eta), stable in both tails."""
    logs = -0.5 * eta * eta - _HALF_LOG_2PI - log_ndtr(eta)
    return np.asarray(np.exp(logs), dtype=np.float64)


class BinomialProbit(Binomial):
    """l = y log Phi(eta) + (m - y) log Phi(-eta)."""

    link = "probit"
    has_fourth = True

    def terms(
        self, eta: FloatArray, psi: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """By way of the two inverse Mills ratios."""
        del psi
        wy, wf = self.wy, self.wm - self.wy
        up, down = _mills(eta), _mills(-eta)
        value = wy * log_ndtr(eta) + wf * log_ndtr(-eta)
        curvature = wy * up * (eta + up) + wf * down * (down - eta)
        return value, wy * up - wf * down, curvature

    def third(self, eta: FloatArray, psi: float) -> FloatArray:
        """Derivative of the curvature, from lambda' = -lambda (eta + lambda)."""
        del psi
        wy, wf = self.wy, self.wm - self.wy
        up, down = _mills(eta), _mills(-eta)
        a, b = eta + up, down - eta
        return wy * up * (1 - a * a - up * a) + wf * down * (b * b + down * b - 1)

    def fourth(self, eta: FloatArray) -> FloatArray:
        """One derivative more; the two responses are mirror images."""
        return self.wy * self._bend(eta) + (self.wm - self.wy) * self._bend(-eta)

    @staticmethod
    def _bend(eta: FloatArray) -> FloatArray:
        """Minus the fourth derivative of log Phi."""
        up = _mills(eta)
        a = eta + up
        c = 1.0 - a * a - up * a
        return -up * (a * c + 2.0 * a * (1.0 - up * a) + up * c)

    def start(self, offset: FloatArray) -> float:
        """Probit of the overall share."""
        del offset
        return float(ndtri(_clipped_share(self.wy, self.wm)))

    def inverse(self, eta: FloatArray) -> FloatArray:
        """Probability of an event."""
        return np.asarray(ndtr(eta), dtype=np.float64)


class BinomialCloglog(Binomial):
    """l = y log(1 - exp(-e^eta)) - (m - y) e^eta."""

    link = "cloglog"
    has_fourth = True

    @staticmethod
    def _parts(eta: FloatArray) -> tuple[FloatArray, FloatArray]:
        t = safe_exp(np.minimum(eta, 500.0))
        # q = t / (e^t - 1), the derivative of log(1 - e^-t) in eta
        q = np.where(t < 1e-8, 1.0 - 0.5 * t, t / np.expm1(np.clip(t, 1e-8, 600.0)))
        return t, q

    def terms(
        self, eta: FloatArray, psi: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """By way of t = e^eta and q = t / (e^t - 1)."""
        del psi
        wy, wf = self.wy, self.wm - self.wy
        t, q = self._parts(eta)
        small = t < 1e-8
        logs = np.where(
            small, eta - 0.5 * t, np.log(-np.expm1(-np.where(small, 1.0, t)))
        )
        value = wy * logs - wf * t
        return value, wy * q - wf * t, wf * t - wy * q * self._slope(t, q)

    @staticmethod
    def _slope(t: FloatArray, q: FloatArray) -> FloatArray:
        """1 - t - q, which cancels for small t."""
        series = -t * (0.5 + t / 12.0 * (1.0 - t * t / 60.0))
        return np.where(t < 1e-2, series, 1.0 - t - q)

    def third(self, eta: FloatArray, psi: float) -> FloatArray:
        """Derivative of the curvature, from q' = q (1 - t - q)."""
        del psi
        wy, wf = self.wy, self.wm - self.wy
        t, q = self._parts(eta)
        s = self._slope(t, q)
        first = q * s
        return wf * t - wy * (first * s - q * (t + first))

    def fourth(self, eta: FloatArray) -> FloatArray:
        """One derivative more, with s' = -t - q s for s = 1 - t - q."""
        t, q = self._parts(eta)
        s = self._slope(t, q)
        g = s * s - t - q * s
        bend = q * (s * g - 2.0 * s * (t + q * s) - t - q * g)
        return (self.wm - self.wy) * t - self.wy * bend

    def start(self, offset: FloatArray) -> float:
        """Complementary log-log of the overall share."""
        del offset
        return float(np.log(-np.log1p(-_clipped_share(self.wy, self.wm))))

    def inverse(self, eta: FloatArray) -> FloatArray:
        """Probability of an event."""
        return -np.expm1(-safe_exp(eta))
