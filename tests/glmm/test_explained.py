"""Explained variance, against its definition and R's performance."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.special import polygamma
from scipy.stats import norm

from fedglmm_flower.errors import UsageError
from fedglmm_flower.glmm import (
    FittedModel,
    explained,
    fit,
    fit_products,
    fit_rows,
    predict,
)
from fedglmm_flower.glmm.reduce import cross_products
from tests.laws.designs import model
from tests.reference.rows import load, reference_rows


@cache
def reference(name: str, formula: str, method: str | None = None) -> FittedModel:
    """A fit of a reference set, made once."""
    family = load(name)[0]["family"]
    return fit_rows(reference_rows(name, formula), family=family, method=method)


def test_explained_by_hand():
    """Marginal and conditional R2 are ratios of the variances of their definition."""
    fit = reference("sleepstudy", "Reaction ~ Days + (Days | Subject)")
    days = load("sleepstudy")[1]["Days"].to_numpy(float)
    fixed = float(np.var(fit.estimates[1] * days, ddof=1))
    sigma = fit.random[0].sigma
    Z = np.column_stack([np.ones(len(days)), days])
    random = float(np.mean(np.einsum("ni,ij,nj->n", Z, sigma, Z)))
    total = fixed + random + float(fit.residual_sd or 0.0) ** 2

    shares = explained(fit)

    assert shares.marginal == pytest.approx(fixed / total, rel=1e-10)
    assert shares.conditional == pytest.approx((fixed + random) / total, rel=1e-10)
    assert shares.marginal == pytest.approx(0.279, abs=1e-3)
    assert shares.conditional == pytest.approx(0.799, abs=1e-3)


def test_explained_of_products_is_that_of_rows():
    """Cross-products hold all that a gaussian R2 needs."""
    rows = model("gaussian", "identity", "slope", seed=34)
    one = explained(fit_rows(rows, family="gaussian"))
    two = explained(fit_products(cross_products(rows)))

    assert one.marginal == pytest.approx(two.marginal, rel=1e-9)
    assert one.conditional == pytest.approx(two.conditional, rel=1e-9)


@pytest.mark.parametrize(
    ("family", "approximation", "v"),
    [
        ("gamma", "lognormal", np.log1p),
        ("gamma", "delta", float),
        ("gamma", "trigamma", lambda v: polygamma(1, 1 / v)),
        ("nbinom2", "lognormal", np.log1p),
        ("nbinom2", "delta", float),
        ("nbinom2", "trigamma", lambda v: polygamma(1, 1 / v)),
        ("poisson", "trigamma", lambda v: polygamma(1, 1 / v)),
    ],
)
def test_variances_of_log_links_are_those_of_nakagawa(family, approximation, v):
    """Table 2 of Nakagawa et al. (2017), from the mean over rows and effects."""
    rows = replace(model(family, "log", "intercept", seed=38), weights=np.ones(168))
    fitted = fit_rows(rows, family=family)
    eta = rows.basis @ fitted.estimates + rows.offset
    rate = float(np.mean(np.exp(eta + 0.5 * fitted.random[0].sd[0] ** 2)))
    squared = {
        "gamma": fitted.dispersion,
        "nbinom2": 1 / rate + 1 / (fitted.dispersion or 1.0),
        "poisson": 1 / rate,
    }[family]

    assert explained(fitted, approximation).rest == pytest.approx(v(squared))


def test_shares_of_a_gamma_model_agree_with_performance():
    """As performance::r2_nakagawa(glmmTMB(...)), which takes the delta method."""
    formula = "Weight ~ Time + I(Time**2) + Cu + Evit + (1 | Litter)"
    fitted = fit(formula, load("dietox_gamma")[1], family="gamma")

    shares = explained(fitted, "delta")

    assert shares.marginal == pytest.approx(0.9227237833, rel=1e-6)
    assert shares.conditional == pytest.approx(0.9483049900, rel=1e-6)


@pytest.mark.parametrize(
    ("link", "marginal", "conditional"),
    [
        ("logit", 0.02623826455, 0.07980555145),
        ("probit", 0.0323057144, 0.0986337307),
        ("cloglog", 0.0277103359, 0.0883523313),
    ],
)
def test_shares_of_binomial_models_agree_with_performance(link, marginal, conditional):
    """As performance::r2_nakagawa of glmer (logit) and glmmTMB, on the same formula."""
    formula = "use ~ age + urban + (1 | district)"
    fitted = fit(formula, load("contraception")[1], family="binomial", link=link)

    shares = explained(fitted)

    assert shares.marginal == pytest.approx(marginal, rel=1e-4)
    assert shares.conditional == pytest.approx(conditional, rel=1e-4)
    eta = predict(fitted, effects=False, integrate=True)
    p = float(eta.mean.mean())
    slope = {
        "logit": p * (1 - p),
        "probit": norm.pdf(norm.ppf(p)),
        "cloglog": -(1 - p) * np.log(1 - p),
    }[link]
    delta = explained(fitted, "delta")
    assert delta.rest == pytest.approx(p * (1 - p) / slope**2, rel=1e-6)
    with pytest.raises(UsageError, match="lognormal, delta"):
        explained(fitted, "exact")  # type: ignore[arg-type]
