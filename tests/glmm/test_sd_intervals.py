"""Profile intervals of covariance parameters, against lme4 and glmmTMB."""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.glmm import (
    FittedModel,
    fit,
    fit_rows,
    sd_intervals,
)
from fedglmm_flower.glmm.generalized import build_problem
from fedglmm_flower.glmm.held_covariance import Parameter, hold
from fedglmm_flower.glmm.satterthwaite import linear_problem
from tests.laws.designs import model
from tests.reference.rows import load, reference_rows

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


@cache
def reference(name: str, formula: str, method: str | None = None) -> FittedModel:
    """A fit of a reference set, made once."""
    family = load(name)[0]["family"]
    return fit_rows(reference_rows(name, formula), family=family, method=method)


def test_sd_intervals_agree_with_lme4():
    """As confint(glmer(...), parm = "theta_"), whose spline is good to 3e-4."""
    (herd,) = sd_intervals(reference("cbpp", CBPP))
    subject, residual = sd_intervals(
        reference("sleepstudy", "Reaction ~ Days + (1 | Subject)")
    )

    assert (herd.low, herd.high) == pytest.approx((0.34609447, 1.09988172), rel=3e-4)
    assert (subject.low, subject.high) == pytest.approx(
        (26.0071204, 52.9359835), rel=1e-5
    )
    assert (residual.low, residual.high) == pytest.approx(
        (27.8138472, 34.5910499), rel=1e-5
    )


@pytest.mark.parametrize(
    ("name", "formula", "rtol", "expected"),
    [
        (  # lmer, ML: confint(fm, method = "profile", oldNames = FALSE)
            "sleepstudy",
            "Reaction ~ Days + (Days | Subject)",
            6e-5,
            {
                "sd Subject Intercept": (14.3814811165, 37.716018740),
                "sd Subject Days": (3.8011647624, 8.753366659),
                "corr Subject Intercept, Days": (-0.4815004432, 0.684986139),
                "residual sd": (22.8982662150, 28.857997323),
            },
        ),
        (  # glmer, age in tens; lme4 calls its own spline of the correlation bad
            "contraception",
            "use ~ age + urban + (urban | district)",
            2e-5,
            {
                "sd district Intercept": (0.4213295896, 0.8202775760),
                "sd district urban[T.Y]": (0.4668122671, 1.2450743303),
            },
        ),
        (  # lmer, ML: both ends of the correlation are the edges of its range
            "hsb82",
            "mAch ~ cses * sector + meanses * cses + (cses | school)",
            1e-5,
            {
                "sd school Intercept": (1.30504016, 1.772674117),
                "corr school Intercept, cses": (-1.0, 1.0),
                "residual sd": (5.95993540, 6.162459700),
            },
        ),
        (  # lmer, ML: an estimate of zero
            "scotssec",
            "attain ~ verbal + sex + social + (1 | second) + (1 | second:primary)",
            3e-4,
            {
                "sd second Intercept": (0.0, 0.232844905),
                "sd second:primary Intercept": (0.351560794, 0.577137919),
            },
        ),
        (  # glmmTMB nbinom2: exp(confint(TMB::tmbprofile(obj, "betad")))
            "epil",
            "y ~ lbase * trt + lage + V4 + (1 | subject)",
            5e-6,
            {"dispersion": (4.76002976, 12.13541126)},
        ),
        (  # glmmTMB Gamma(log): the same, of 1 / phi
            "dietox_gamma",
            "Weight ~ Time + I(Time**2) + Cu + Evit + (1 | Litter)",
            5e-6,
            {"dispersion": (1 / 104.313226, 1 / 86.17596875)},
        ),
    ],
)
def test_profile_intervals_of_the_covariance(name, formula, rtol, expected):
    """As lme4 1.1-31 and glmmTMB find them, to what their splines carry."""
    family = {"epil": "nbinom2", "dietox_gamma": "gamma", "contraception": "binomial"}
    fitted = fit(formula, load(name)[1], family=family.get(name, "gaussian"))

    found = {i.name: (i.low, i.high) for i in sd_intervals(fitted)}

    for label, ends in expected.items():
        assert found[label] == pytest.approx(ends, rel=rtol)


@pytest.mark.parametrize(
    ("family", "link"), [("gaussian", "identity"), ("poisson", "log")]
)
def test_a_held_parameter_is_held(family, link):
    """Whatever stays free, the sd or correlation is the one that was asked for."""
    fitted = fit_rows(model(family, link, "three", seed=39), family=family, link=link)
    if family == "gaussian":
        structure, theta = linear_problem(fitted).structure, fitted.point
    else:
        problem, _ = build_problem(fitted.source, family, link, fitted.method)  # type: ignore[arg-type]
        structure, theta = problem.structure, fitted.point[problem.p :]
    assert structure is not None
    rng = np.random.default_rng(5)

    for effects, value in (((1,), 0.3), ((2, 0), -0.4)):
        held = hold(structure.covariance, theta, Parameter(0, effects), value)
        x = np.abs(held.start + rng.normal(size=len(held.start)))
        sigma = held.covariance.sigma(held.base + held.J @ x, 0)
        sd = np.sqrt(np.diag(sigma))
        i, j = effects[0], effects[-1]
        got = sd[i] if i == j else sigma[i, j] / (sd[i] * sd[j])
        assert got == pytest.approx(value)


def test_an_effect_without_variance_has_no_correlation():
    """The interval is the whole range, and the estimate no number."""
    rng = np.random.default_rng(2)
    x, site = rng.normal(size=200), np.repeat(np.arange(10), 20)
    y = x + rng.normal(size=10)[site] + rng.normal(size=200)
    table = pd.DataFrame({"y": y, "x": x, "site": site})
    fitted = fit("y ~ x + (x | site)", table, family="gaussian", method="ml")
    (term,) = fitted.random
    flat = replace(term, sigma=np.diag([float(term.sigma[0, 0]), 0.0]))

    found = {i.name: i for i in sd_intervals(replace(fitted, random=(flat,)))}

    corr = found["corr site Intercept, x"]
    assert np.isnan(corr.estimate)
    assert (corr.low, corr.high) == (-1.0, 1.0)


def test_a_poisson_limit_has_no_upper_end():
    """Where theta may be infinite, so is its limit."""
    rng = np.random.default_rng(4)
    site = np.repeat(np.arange(12), 25)
    y = rng.poisson(np.exp(0.5 + 0.4 * rng.normal(size=12))[site]).astype(float)
    table = pd.DataFrame({"y": y, "site": site})
    fitted = fit("y ~ 1 + (1 | site)", table, family="nbinom2")

    found = {i.name: i for i in sd_intervals(fitted)}

    assert found["dispersion"].high == np.inf
    assert found["dispersion"].low > 1.0
