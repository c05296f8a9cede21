"""Variances on the latent scale (Nakagawa, Johnson & Schielzeth 2017)."""

from typing import Literal

import numpy as np
from scipy.special import ndtri, polygamma

from fedglmm_flower.glmm.family import Family
from fedglmm_flower.glmm.rows import FloatArray

Approximation = Literal["lognormal", "delta", "trigamma"]
_NODES = 30  # of the mean over the random effects


def distribution_variance(
    family: Family,
    random_variance: float,
    fixed: FloatArray,
    psi: float,
    approximation: Approximation = "lognormal",
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

    approximation : {"lognormal", "delta", "trigamma"}
        For log links, ``log(1 + v)``, ``v`` and ``trigamma(1 / v)``, where v is the
        response's variance over its squared mean: 1 / mean for poisson, 1 / mean +
        1 / theta for nbinom2, phi for gamma.  A binomial response has its
        latent variable's variance, pi^2 / 3, 1 or pi^2 / 6, unless ``delta`` is asked
        for: p (1 - p) over the squared slope of the inverse link, for one trial.

    References
    ----------
    Nakagawa et al. (2017), J. R. Soc. Interface 14: 20170213, tables 1 and 2 and
    section 4; p and the mean are averages over rows and random effects.
    """
    if family.name == "gaussian":
        return float(np.exp(psi))
    if family.name == "binomial":
        if approximation == "delta":
            return _binomial_delta(family, random_variance, fixed)
        latent = {"logit": np.pi**2 / 3, "probit": 1.0, "cloglog": np.pi**2 / 6}
        return float(latent[family.link])
    if family.name == "gamma":
        v = float(np.exp(psi))
    else:
        top = float(fixed.max())
        average = float(np.average(np.exp(fixed - top), weights=family.w))
        rate = np.exp(top + np.log(average) + 0.5 * random_variance)
        v = float(1.0 / rate + (np.exp(-psi) if family.name == "nbinom2" else 0.0))
    if approximation == "delta":
        return v
    return float(polygamma(1, 1.0 / v) if approximation == "trigamma" else np.log1p(v))


def _binomial_delta(family: Family, random_variance: float, fixed: FloatArray) -> float:
    """Variance of the response at its mean probability, carried to the link."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    eta = fixed[:, None] + np.sqrt(random_variance) * nodes
    mean = family.inverse(eta) @ (weights / weights.sum())
    p = float(np.average(mean, weights=family.w))
    slope = {
        "logit": p * (1.0 - p),
        "probit": float(np.exp(-0.5 * ndtri(p) ** 2) / np.sqrt(2.0 * np.pi)),
        "cloglog": -(1.0 - p) * float(np.log1p(-p)),
    }[family.link]
    return p * (1.0 - p) / slope**2


def latent_share(
    family: Family, random_variance: float, fixed: FloatArray, psi: float
) -> float:
    """Intraclass correlation: the random part's share of the latent variance."""
    rest = distribution_variance(family, random_variance, fixed, psi)
    return random_variance / (random_variance + rest)
