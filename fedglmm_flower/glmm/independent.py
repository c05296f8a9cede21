"""The log-likelihood without random effects, and the start of every other fit."""

import numpy as np

from fedglmm_flower.glmm.family import Family
from fedglmm_flower.glmm.gram import weighted_gram
from fedglmm_flower.glmm.rows import FloatArray

_FLAT = 1e-12  # ridge, relative to the mean information of a coefficient
_FAR = 60.0  # largest change of the linear predictor that is worth climbing


class Independent:
    """
    Log-likelihood of a generalised linear model in (gamma, psi).

    Parameters
    ----------
    family : Family
    X : array of shape (n, p)
    offset : array of shape (n,)
    """

    def __init__(self, family: Family, X: FloatArray, offset: FloatArray) -> None:
        self.family, self.X, self.offset = family, X, offset

    def split(self, phi: FloatArray) -> tuple[FloatArray, float]:
        """Parts of the parameter vector: gamma and psi."""
        p = self.X.shape[1]
        return phi[:p], float(phi[p]) if self.family.dispersed else 0.0

    def __call__(self, phi: FloatArray) -> tuple[float, FloatArray]:
        """Value and gradient at phi."""
        gamma, psi = self.split(phi)
        eta = self.X @ gamma + self.offset
        value, score, _ = self.family.terms(eta, psi)
        constant, slope = self.family.aggregate(psi)
        gradient = [self.X.T @ score]
        if self.family.dispersed:
            by_psi = float(self.family.by_psi(eta, psi)[0].sum())
            gradient.append(np.array([by_psi + slope]))
        return float(value.sum()) + constant, np.concatenate(gradient)

    def information(self, phi: FloatArray) -> FloatArray:
        """X' W X."""
        gamma, psi = self.split(phi)
        W = self.family.terms(self.X @ gamma + self.offset, psi)[2]
        return weighted_gram(self.X, W)


def climb(
    family: Family, X: FloatArray, offset: FloatArray, gamma: FloatArray, psi: float
) -> tuple[FloatArray, FloatArray]:
    """
    Newton's method with halving and a trace of ridge, at fixed dispersion.

    It never uses link(y), so rows with an impossible response are as good as others.

    Parameters
    ----------
    family : Family
    X : array of shape (n, p)
    offset : array of shape (n,)
    gamma : array of shape (p,)
        Start: the intercept-only model, or zero.
    psi : float

    Returns
    -------
    gamma : array of shape (p,)
    information : array of shape (p, p)
    """

    def at(g: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        with np.errstate(all="ignore"):
            value, score, W = family.terms(X @ g + offset, psi)
            return float(value.sum()), score, W

    start = gamma
    value, score, W = at(gamma)
    information = np.eye(len(gamma))
    for _ in range(40):
        plain = weighted_gram(X, W)
        scale = np.maximum(np.diag(plain), 1e-300)
        information = plain + np.diag(_FLAT * scale + 1e-300)
        slope = X.T @ score
        try:
            step = np.linalg.solve(information, slope)
        except np.linalg.LinAlgError:
            break
        decrement = float(slope @ step)
        if not decrement > 1e-10:
            break
        # Under separation Newton's steps double for ever; e^60 is far enough.
        reach = float(np.abs(X @ (gamma - start)).max(initial=0.0))
        if reach >= _FAR:
            break
        t = min(1.0, _FAR / max(float(np.abs(X @ step).max(initial=0.0)), 1.0))
        while t > 1e-8:
            trial, trial_score, trial_W = at(gamma + t * step)
            if np.isfinite(trial) and trial >= value + 1e-4 * t * decrement:
                break
            t *= 0.3
        else:
            break
        gamma = gamma + t * step
        value, score, W = trial, trial_score, trial_W
    return gamma, information
