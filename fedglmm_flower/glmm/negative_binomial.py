"""Overdispersed counts: the negative binomial with variance mu + mu^2 / theta."""

import numpy as np
from scipy.special import digamma, gammaln

from fedglmm_flower.glmm.family import Family, safe_exp
from fedglmm_flower.glmm.rows import FloatArray, ShapeSum

_LARGE = 1e4  # beyond, log Gamma(y + theta) - log Gamma(theta) loses its digits


def log_rising(y: FloatArray, theta: float) -> tuple[FloatArray, FloatArray]:
    """The logarithm of Gamma(y + theta) / Gamma(theta), and its slope in theta."""
    shifted = y + theta
    if theta < _LARGE:
        return gammaln(shifted) - gammaln(theta), digamma(shifted) - digamma(theta)
    # Stirling's series, with the large terms cancelled by hand.
    log_ratio = np.log1p(y / theta)
    tail = (1.0 / shifted - 1.0 / theta) / 12.0
    value = (shifted - 0.5) * log_ratio + y * (np.log(theta) - 1.0) + tail
    return value, log_ratio + 0.5 * y / (theta * shifted)


# Log theta beyond which a sum of gamma functions holds no digit of what theta does, so
# that rounding alone would draw the optimiser on and on.
_LARGEST_PSI = 20.0
LARGEST_THETA = float(np.exp(_LARGEST_PSI))


class NegativeBinomialLog(Family):
    """
    NB2 counts, log link; psi = log theta.

    l = y (eta - psi) - (y + theta) log(1 + e^eta / theta) + log Gamma(y + theta) -
    log Gamma(theta) - log y!.  In eta - psi this is a logistic
    log-likelihood with y + theta trials.

    Parameters
    ----------
    response, weights, trials, constant
        See `Family`; trials are not used.
    shape_sum : callable, optional
        theta -> (sum of w log(Gamma(y + theta) / Gamma(theta)), its derivative in
        theta), where rows are pseudo-data and the sum comes with them.
    """

    name = "nbinom2"
    link = "log"
    dispersed = True

    def __init__(
        self,
        response: FloatArray,
        weights: FloatArray,
        trials: FloatArray,
        constant: float | None = None,
        shape_sum: ShapeSum | None = None,
    ) -> None:
        super().__init__(response, weights, trials, constant)
        own_rows = shape_sum is None
        if shape_sum is None:
            values, which = np.unique(response, return_inverse=True)
            counts = np.bincount(which, weights)

            def shape_sum(theta: float) -> tuple[float, float]:
                logs, slopes = log_rising(values, theta)
                return float(counts @ logs), float(counts @ slopes)

        self.shape_sum: ShapeSum = shape_sum
        self.own_rows = own_rows

    def response_constant(self) -> float:
        """Minus the sum of w log y!."""
        return -float(np.sum(np.where(self.w > 0, self.w * gammaln(self.y + 1), 0.0)))

    def _logistic(
        self, eta: FloatArray, psi: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Trials y + theta, p = mu / (theta + mu), and log(1 + mu / theta)."""
        if psi > _LARGEST_PSI:
            raise np.linalg.LinAlgError("theta beyond the Poisson limit")
        x = eta - psi
        e = np.exp(-np.abs(x))
        p = np.where(x >= 0, 1.0, e) / (1.0 + e)
        logs = np.maximum(x, 0.0) + np.log1p(e)
        return self.wy + self.w * np.exp(psi), p, logs

    def terms(
        self, eta: FloatArray, psi: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The observed, not the expected, curvature."""
        trials, p, logs = self._logistic(eta, psi)
        return (
            self.wy * (eta - psi) - trials * logs,
            self.wy - trials * p,
            trials * p * (1.0 - p),
        )

    def third(self, eta: FloatArray, psi: float) -> FloatArray:
        """As for the logistic."""
        trials, p, _ = self._logistic(eta, psi)
        return trials * p * (1.0 - p) * (1.0 - 2.0 * p)

    def by_psi(
        self, eta: FloatArray, psi: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The trials grow with theta, and eta - psi falls."""
        trials, p, logs = self._logistic(eta, psi)
        wt = self.w * np.exp(psi)
        v = p * (1.0 - p)
        return (
            wt * (p - logs) - self.wy * (1.0 - p),
            trials * v - wt * p,
            wt * v - trials * v * (1.0 - 2.0 * p),
        )

    def aggregate(self, psi: float) -> tuple[float, float]:
        """Gamma functions of theta alone, over all rows."""
        theta = float(np.exp(psi))
        value, slope = self.shape_sum(theta)
        return value + self.constant, theta * slope

    def start(self, offset: FloatArray) -> float:
        """Log of the overall rate."""
        exposure = float(self.w @ safe_exp(offset))
        return float(np.log(max(self.wy.sum(), 0.5) / max(exposure, 1e-300)))

    def start_psi(self, eta: FloatArray) -> float:
        """Moment estimate of theta, kept between 0.05 and 100."""
        if not self.own_rows:  # pseudo-data do not scatter as counts do
            few = np.linspace(np.log(0.05), np.log(100.0), 16)
            values = [self.terms(eta, p)[0].sum() + self.aggregate(p)[0] for p in few]
            return float(few[int(np.argmax(values))])
        mean = safe_exp(eta)
        excess = float(self.w @ ((self.y - mean) ** 2 - mean))
        theta = float(self.w @ mean**2) / max(excess, 1e-300)
        return float(np.log(np.clip(theta, 0.05, 100.0)))

    def inverse(self, eta: FloatArray) -> FloatArray:
        """Expected count."""
        return safe_exp(eta)
