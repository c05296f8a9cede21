"""Variances on the latent scale (Nakagawa, Johnson & Schielzeth 2017)."""

import numpy as np

from fedglmm_flower.glmm.family import Family
from fedglmm_flower.glmm.rows import FloatArray


def distribution_variance(
    family: Family, random_variance: float, fixed: FloatArray, psi: float
) -> float:
    """
    Observation-level variance of a family on the scale of its linear predictor.

    Parameters
    ----------
    family : Family
    random_variance : float
        Of the random part, averaged over rows.
    fixed : array of shape (n,)
        Linear predictor without random effects.
    psi : float
        Log of the dispersion.

    References
    ----------
    Nakagawa et al. (2017), J. R. Soc. Interface 14: 20170213, table 2; the
    log-normal approximation for log links.
    """
    if family.link == "logit":
        return float(np.pi**2 / 3)
    if family.link == "probit":
        return 1.0
    if family.link == "cloglog":
        return float(np.pi**2 / 6)
    if family.name == "gaussian":
        return float(np.exp(psi))
    if family.name == "gamma":
        return float(np.log1p(np.exp(psi)))
    top = float(fixed.max())
    average = float(np.average(np.exp(fixed - top), weights=family.w))
    rate = np.exp(top + np.log(average) + 0.5 * random_variance)
    extra = np.exp(-psi) if family.name == "nbinom2" else 0.0
    return float(np.log1p(1.0 / rate + extra))


def latent_share(
    family: Family, random_variance: float, fixed: FloatArray, psi: float
) -> float:
    """Intraclass correlation: the random part's share of the latent variance."""
    rest = distribution_variance(family, random_variance, fixed, psi)
    return random_variance / (random_variance + rest)
