"""Marginal and conditional R2 (Nakagawa, Johnson & Schielzeth 2017)."""

from dataclasses import dataclass

import numpy as np

from fedglmm_flower.errors import UsageError
from fedglmm_flower.glmm.families import family_class
from fedglmm_flower.glmm.fitted import FittedModel
from fedglmm_flower.glmm.latent import Approximation, distribution_variance
from fedglmm_flower.glmm.rows import CrossProducts, FloatArray, ModelRows


@dataclass(frozen=True)
class Explained:
    """
    Shares of the variance on the scale of the linear predictor.

    Attributes
    ----------
    marginal : float
        Share of the fixed effects.
    conditional : float
        Share of fixed and random effects together.
    fixed, random, rest : float
        The variances; `rest` is the family's own.
    """

    marginal: float
    conditional: float
    fixed: float
    random: float
    rest: float


def explained(
    fitted: FittedModel, approximation: Approximation = "lognormal"
) -> Explained:
    """
    R2 of Nakagawa et al. (2017), eqs. 2.4 and 2.5; any family, any random effects.

    Random slopes enter with their variance averaged over rows (Johnson 2014).

    Parameters
    ----------
    fitted : FittedModel
    approximation : {"lognormal", "delta", "trigamma"}
        Of the family's own variance, where it has none on the link scale; Nakagawa et
        al. recommend ``trigamma`` for log links.  ``delta`` is for binomial models
        too, which otherwise take their latent variable's variance.

    Raises
    ------
    UsageError
        For another word.
    """
    if approximation not in ("lognormal", "delta", "trigamma"):
        raise UsageError(
            f"explained: found {approximation!r}; write lognormal, delta or trigamma"
        )
    source = fitted.source
    if isinstance(source, CrossProducts):
        fixed, random = _of_products(fitted, source)
        rest = float(fitted.residual_sd or 0.0) ** 2
    else:
        fixed, random, rest = _of_rows(fitted, source, approximation)
    total = fixed + random + rest
    return Explained(fixed / total, (fixed + random) / total, fixed, random, rest)


def _of_rows(
    fitted: FittedModel, rows: ModelRows, approximation: Approximation
) -> tuple[float, float, float]:
    w = rows.weights
    eta = rows.basis @ (rows.coefficients.T @ fitted.estimates)
    mean = float(np.average(eta, weights=w))
    fixed = float(w @ (eta - mean) ** 2) / (float(w.sum()) - 1.0)
    random = 0.0
    for term, effect in zip(rows.random, fitted.random, strict=True):
        each = np.einsum("nq,qr,nr->n", term.Z, effect.sigma, term.Z)
        random += float(np.average(each, weights=w))
    if fitted.residual_sd is not None:
        return fixed, random, fitted.residual_sd**2
    kind = family_class(fitted.family, fitted.link)
    family = kind(rows.response, w, rows.trials, 0.0)
    psi = 0.0 if fitted.dispersion is None else float(np.log(fitted.dispersion))
    rest = distribution_variance(family, random, eta + rows.offset, psi, approximation)
    return fixed, random, rest


def _of_products(fitted: FittedModel, source: CrossProducts) -> tuple[float, float]:
    total = source.products.sum(axis=0)[:-1, :-1]
    n = float(source.weight_sums.sum())

    def mean_square(columns: FloatArray, weight: FloatArray) -> float:
        return float(np.sum((columns @ total @ columns.T) * weight))

    beta = fitted.estimates @ source.coefficients
    fixed = float(beta @ total @ beta)
    if source.const >= 0:
        fixed -= float(total[source.const] @ beta) ** 2 / n
    random = sum(
        mean_square(term.coefficients, effect.sigma) / n
        for term, effect in zip(source.random, fitted.random, strict=True)
    )
    return fixed / (n - 1.0), random
