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
    fit,
    fit_products,
    fit_rows,
    predict,
    profile_intervals,
    satterthwaite,
)
from fedglmm_flower.glmm.intervals import held
from fedglmm_flower.glmm.reduce import cross_products
from fedglmm_flower.glmm.refit import refit
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


def test_one_random_effect_is_tested_with_the_mixture_of_chi_squares():
    """Self & Liang (1987): half a point mass at zero for one variance."""
    days = "Reaction ~ Days + "
    one = reference("sleepstudy", days + "(1 | Subject)", "ml")
    both = reference("sleepstudy", days + "(Days | Subject)", "ml")
    none = fit("Reaction ~ Days", load("sleepstudy")[1], family="gaussian", method="ml")

    intercept, slope, all_of_it = (
        compare(none, one),
        compare(one, both),
        compare(none, both),
    )

    assert intercept.p_boundary == pytest.approx(0.5 * intercept.p)
    mixture = 0.5 * (chi2.sf(slope.statistic, 1) + chi2.sf(slope.statistic, 2))
    assert slope.p_boundary == pytest.approx(mixture)
    assert "conservative" in slope.note
    assert all_of_it.p_boundary is None
    assert "several parameters" in all_of_it.note
    fixed = compare(one, reference("sleepstudy", "Reaction ~ 1 + (1 | Subject)", "ml"))
    assert (fixed.p_boundary, fixed.note) == (None, "")


def test_a_variance_of_zero_is_not_significant():
    """Where dropping an effect costs nothing, the mixture's p value is 1."""
    table = pd.DataFrame(
        {"y": np.tile([1.0, 2.0, 3.0, 5.0], 5), "g": np.repeat(list("abcde"), 4)}
    )
    one = fit("y ~ 1 + (1 | g)", table, family="gaussian", method="ml")
    none = fit("y ~ 1", table, family="gaussian", method="ml")

    assert compare(one, none).p_boundary == pytest.approx(1.0)


def test_wald_tests_take_the_covariance_asked_for():
    """The z of one column is the root of its Wald test, with theta joint and fixed."""
    fitted = reference("cbpp", "cbind(incidence, size - incidence) ~ 1 + (1 | herd)")
    epil = reference("epil", "y ~ trt + (1 | subject)")

    for theta in ("joint", "fixed"):
        (test,) = anova(epil, wald=True, theta=theta)
        z = epil.wald(theta=theta)[1]["z"]
        assert test.statistic == pytest.approx(z**2)
    assert fitted.wald(theta="fixed")[0]["se"] < fitted.wald()[0]["se"]
