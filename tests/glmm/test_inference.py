"""Tests, intervals, R2 and predictions, against R and against their definitions."""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from fedglmm_flower.errors import UsageError
from fedglmm_flower.glmm import (
    FittedModel,
    anova,
    bootstrap,
    compare,
    drop1,
    explained,
    fit,
    fit_products,
    fit_rows,
    predict,
    profile_intervals,
    satterthwaite,
    sd_intervals,
    summary,
)
from fedglmm_flower.glmm.generalized import build_problem
from fedglmm_flower.glmm.held_covariance import Parameter, hold
from fedglmm_flower.glmm.intervals import held
from fedglmm_flower.glmm.reduce import cross_products
from fedglmm_flower.glmm.refit import refit
from fedglmm_flower.glmm.satterthwaite import linear_problem
from tests.laws.designs import model
from tests.reference.rows import load, reference_rows

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
EPIL = "y ~ lbase * trt + lage + V4 + (1 | subject)"


@cache
def reference(name: str, formula: str, method: str | None = None) -> FittedModel:
    """A fit of a reference set, made once."""
    family = load(name)[0]["family"]
    return fit_rows(reference_rows(name, formula), family=family, method=method)


def test_drop1_agrees_with_lme4():
    """As drop1(glmer(...), test = "Chisq") of lme4 1.1-31, which keeps margins."""
    tests = drop1(reference("epil", EPIL))

    assert [t.term for t in tests] == ["lage", "V4", "lbase:trt"]
    expected = [1.87829696, 8.82106366, 2.73281730]
    np.testing.assert_allclose([t.statistic for t in tests], expected, rtol=1e-6)
    assert tests[1].p == pytest.approx(0.0029777304, rel=1e-6)


def test_wald_anova_agrees_with_car():
    """As car::Anova(glmer(...)), type II Wald chi-square."""
    tests = {t.term: t for t in anova(reference("epil", EPIL), wald=True)}

    expected = {
        "lbase": 107.50641074,
        "trt": 4.50176212,
        "lage": 1.92822726,
        "V4": 8.56765963,
        "lbase:trt": 2.79314938,
    }
    for term, statistic in expected.items():
        assert tests[term].statistic == pytest.approx(statistic, rel=2e-5)


def test_type_two_is_after_all_but_its_interactions():
    """A main effect is tested in the model without its interactions."""
    full = reference("epil", EPIL)
    base = fit_rows(
        reference_rows("epil", "y ~ lbase + trt + lage + V4 + (1 | subject)"),
        family="poisson",
    )
    less = fit_rows(
        reference_rows("epil", "y ~ lbase + lage + V4 + (1 | subject)"),
        family="poisson",
    )

    (trt,) = [t for t in anova(full) if t.term == "trt"]

    assert trt.statistic == pytest.approx(2 * (base.loglik - less.loglik), abs=1e-6)
    assert trt.p == pytest.approx(chi2.sf(trt.statistic, 1))


def test_compare_refits_reml_by_ml_when_fixed_effects_differ():
    """REML criteria of different fixed effects are never compared."""
    with_days = reference("sleepstudy", "Reaction ~ Days + (1 | Subject)")
    bare = reference("sleepstudy", "Reaction ~ 1 + (1 | Subject)")
    both = reference("sleepstudy", "Reaction ~ Days + (1 | Subject)", "ml")
    one = reference("sleepstudy", "Reaction ~ 1 + (1 | Subject)", "ml")

    test = compare(with_days, bare)

    assert test.statistic == pytest.approx(2 * (both.loglik - one.loglik), abs=1e-7)
    assert test.df == 1


def test_compare_refuses_what_is_not_nested():
    """Models of other rows, or of the same size, are refused with the way out."""
    days = reference("sleepstudy", "Reaction ~ Days + (1 | Subject)")
    with pytest.raises(UsageError, match="same rows"):
        compare(days, reference("dyestuff", "Yield ~ 1 + (1 | Batch)"))
    with pytest.raises(UsageError, match="AIC or BIC"):
        compare(days, days)


def test_satterthwaite_agrees_with_lmertest():
    """As summary(lmerTest::lmer(...)) of lmerTest on lme4 1.1-31."""
    intercepts = reference("sleepstudy", "Reaction ~ Days + (1 | Subject)")
    slopes = reference("sleepstudy", "Reaction ~ Days + (Days | Subject)")

    np.testing.assert_allclose(
        satterthwaite(intercepts), [22.81019896, 161.0], rtol=1e-6
    )
    np.testing.assert_allclose(satterthwaite(slopes), [17.0, 17.0], rtol=1e-4)


def test_satterthwaite_of_a_linear_model_is_n_minus_p():
    """Without random effects the t distribution is exact."""
    fit = fit_rows(
        replace(model("gaussian", "identity", "none"), weights=np.ones(168)),
        family="gaussian",
    )

    np.testing.assert_allclose(satterthwaite(fit), 165.0)


def test_profile_intervals_agree_with_lme4():
    """As confint(glmer(...)) of lme4 1.1-31, whose spline is good to 1e-4."""
    intervals = profile_intervals(reference("cbpp", CBPP))

    expected = [
        [-1.90115607, -0.947794552],
        [-1.61667889, -0.407840271],
        [-1.80091773, -0.511610205],
        [-2.50060070, -0.800831051],
    ]
    np.testing.assert_allclose(
        [(i.low, i.high) for i in intervals], expected, atol=2e-4
    )


@pytest.mark.parametrize(("family", "link"), [("gaussian", None), ("poisson", "log")])
def test_ends_of_a_profile_interval_are_on_the_contour(family, link):
    """At both ends the log-likelihood is chi2 / 2 below its maximum."""
    rows = model(family, link or "identity", "intercept", seed=31)
    full = fit_rows(rows, family=family, method="ml" if family == "gaussian" else None)

    (interval,) = profile_intervals(full, ["x"], level=0.9)

    for end in (interval.low, interval.high):
        at_end = refit(full, held(full.source, 1, end))
        assert full.loglik - at_end.loglik == pytest.approx(
            0.5 * chi2.ppf(0.9, 1), abs=1e-5
        )


def test_profile_of_products_is_that_of_rows():
    """Cross-products hold all that a gaussian profile needs."""
    rows = model("gaussian", "identity", "slope", seed=32)
    by_rows = profile_intervals(fit_rows(rows, family="gaussian"), ["z"])
    by_products = profile_intervals(fit_products(cross_products(rows)), ["z"])

    assert by_rows[0].low == pytest.approx(by_products[0].low, rel=1e-6)
    assert by_rows[0].high == pytest.approx(by_products[0].high, rel=1e-6)


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


@pytest.mark.parametrize("family", ["gaussian", "binomial", "gamma", "nbinom2"])
def test_bootstrap_is_reproducible_and_covers(family):
    """A seed gives the same draws, centred near the estimates they came from."""
    link = {"gaussian": "identity", "binomial": "logit"}.get(family, "log")
    rows = model(family, link, "intercept", seed=33)
    rows = replace(rows, weights=np.ones(len(rows.response)))
    fit = fit_rows(rows, family=family)

    one, two = bootstrap(fit, 25, seed=7), bootstrap(fit, 25, seed=7)

    np.testing.assert_array_equal(one.draws, two.draws)
    assert one.failed <= 3
    middle = np.nanmedian(one.draws[:, 1])
    assert abs(middle - fit.estimates[1]) < 3 * fit.se[1]
    assert [i.name for i in one.intervals()] == list(one.names)


def test_bootstrap_refuses_pseudo_data():
    """Rows that only stand for others are not drawn again."""
    fit = fit_rows(model("poisson", "log", "intercept"), family="poisson")
    with pytest.raises(UsageError, match="weights"):
        bootstrap(fit, 2, seed=1)
    rows = replace(model("poisson", "log", "intercept"), constant=-3.0)
    with pytest.raises(UsageError, match="rows themselves"):
        bootstrap(fit_rows(rows, family="poisson"), 2, seed=1)


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


@pytest.mark.parametrize("structure", ["intercept", "slope", "nested", "nested-slope"])
@pytest.mark.parametrize(
    ("family", "link"), [("gaussian", "identity"), ("binomial", "logit")]
)
def test_prediction_errors_are_those_of_the_joint_precision(family, link, structure):
    """Errors equal those of the dense penalised normal equations of (beta, b)."""
    rows = model(family, link, structure, seed=35)
    fit = fit_rows(rows, family=family, link=link)
    blocks, prior = [rows.basis], [0.0] * 3
    for term, effect in zip(rows.random, fit.random, strict=True):
        values, vectors = np.linalg.eigh(effect.sigma)
        half = vectors * np.sqrt(np.maximum(values, 0.0))
        for g in range(len(term.levels)):
            blocks.append((term.Z * (term.index == g)[:, None]) @ half)
            prior += [1.0] * len(values)
    T = np.concatenate(blocks, axis=1)
    prediction = predict(fit)
    if fit.residual_sd is not None:
        W = rows.weights / fit.residual_sd**2
    else:
        p = 1 / (1 + np.exp(-prediction.eta))
        W = rows.weights * rows.trials * p * (1 - p)
    precision = T.T @ (W[:, None] * T)
    precision += np.diag(prior)
    dense = np.sqrt(np.einsum("ni,ij,nj->n", T, np.linalg.inv(precision), T))

    np.testing.assert_allclose(prediction.eta_se, dense, rtol=1e-6)


def test_a_new_site_is_predicted_without_effect():
    """An unknown cluster has no effect, and the spread it may have is told."""
    rows = model("poisson", "log", "nested", seed=36)
    fit = fit_rows(rows, family="poisson")
    outer, inner = rows.random
    new = replace(
        rows,
        random=(
            replace(outer, levels=tuple(f"new-{s}" for s in outer.levels)),
            replace(inner, levels=tuple(f"new-{s}" for s in inner.levels)),
        ),
    )

    prediction = predict(fit, new)

    fixed = rows.basis @ fit.estimates + rows.offset
    spread = np.sqrt(sum(float(t.sd[0]) ** 2 for t in fit.random))
    np.testing.assert_allclose(prediction.eta, fixed)
    np.testing.assert_allclose(prediction.new_sd, spread)
    np.testing.assert_allclose(prediction.mean, np.exp(fixed))


def test_summary_of_a_linear_model():
    """The summary follows lme4's order and carries sites and degrees of freedom."""
    text = summary(
        reference("sleepstudy", "Reaction ~ Days + (Days | Subject)"),
        "Reaction ~ Days + (Days | Subject)",
    )

    order = [
        "Linear mixed model fit by REML",
        "Formula:",
        "AIC",
        "Random effects:",
        "Number of obs: 180, Subject: 18",
        "Rows per Subject: min 10, median 10, max 10",
        "Fixed effects:",
    ]
    positions = [text.index(part) for part in order]
    assert positions == sorted(positions)
    assert "251.405     6.82456  17.0   36.838" in text


def test_summary_puts_the_verdict_before_the_table():
    """What to doubt comes before the numbers."""
    fit = reference(
        "scotssec",
        "attain ~ verbal + sex + social + (1 | second) + (1 | second:primary)",
        "ml",
    )
    text = summary(fit)

    assert text.index("BOUNDARY") < text.index("Fixed effects:")
