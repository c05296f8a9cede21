"""Marginal means and contrasts, against R's emmeans 1.8.4."""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.errors import UsageError
from fedglmm_flower.glmm import (
    FittedModel,
    fit,
    fit_products,
    marginal_means,
    pairwise,
    predict,
)
from fedglmm_flower.glmm.reduce import cross_products
from tests.reference.rows import load

HSB = "mAch ~ cses * sector + meanses + minrty + sx + (1 | school)"


@cache
def cbpp() -> FittedModel:
    """glmer(cbind(incidence, size - incidence) ~ period + (1 | herd), binomial)."""
    formula = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
    return fit(formula, load("cbpp")[1], family="binomial")


@cache
def hsb() -> FittedModel:
    """lmer(HSB), with lmerTest and emm_options(lmer.df = "satterthwaite")."""
    return fit(HSB, load("hsb82")[1], family="gaussian")


@cache
def salamanders() -> FittedModel:
    """glmmTMB(count ~ spp * mined + (1 | site), family = nbinom2)."""
    formula = "count ~ spp * mined + (1 | site)"
    return fit(formula, load("salamanders")[1], family="nbinom2")


def test_means_on_the_response_scale_agree_with_emmeans():
    """As summary(emmeans(m, ~ period), type = "response")."""
    table = marginal_means(cbpp(), "period").table("response")

    expected = [
        [0.19804913591, 0.03692249717, 0.13538419656, 0.2803157873],
        [0.08387195234, 0.02383602579, 0.04747683663, 0.1439506752],
        [0.07397293071, 0.02262413858, 0.04013549172, 0.1324029598],
        [0.04839074197, 0.01980438515, 0.02142015295, 0.1056541241],
    ]
    found = table[["mean", "se", "low", "high"]].to_numpy()
    np.testing.assert_allclose(found, expected, rtol=5e-6)


@pytest.mark.parametrize(
    ("adjust", "p", "low"),
    [
        ("none", [0.00121163688, 0.000549421805, 0.720253102], 0.3913251807),
        ("tukey", [0.006649361528, 0.003084361626, 0.984274157867], 0.2045593365),
        ("holm", [0.004846547524, 0.002747109023, 0.720253102240], 0.1833318831),
        ("bonferroni", [0.007269821286, 0.003296530828, 1.0], 0.1833318831),
    ],
)
def test_adjusted_contrasts_agree_with_emmeans(adjust, p, low):
    """As summary(pairs(emmeans(m, ~ period), adjust = ...), infer = TRUE)."""
    table = pairwise(marginal_means(cbpp(), "period"), adjust=adjust).table()

    assert table["contrast"].tolist()[:2] == ["1 - 2", "1 - 3"]
    assert table["estimate"][0] == pytest.approx(0.9923327079, rel=1e-6)
    np.testing.assert_allclose(table["p"][[0, 1, 3]], p, rtol=3e-5)
    assert table["low"][0] == pytest.approx(low, rel=2e-5)


def test_contrasts_are_ratios_on_the_response_scale():
    """As summary(pairs(emmeans(m, ~ period)), type = "response")."""
    table = pairwise(marginal_means(cbpp(), "period")).table("response")

    expected = [2.697519664, 0.8271731704, 1.2269842586, 5.930485486]
    found = table.loc[0, ["estimate", "se", "low", "high"]].to_numpy(float)
    np.testing.assert_allclose(found, expected, rtol=5e-6)


@pytest.mark.parametrize(
    ("options", "mean", "se", "df"),
    [
        ({}, 11.30517329, 0.1899552056, 189.7957188),
        ({"weights": "proportional"}, 11.89720872, 0.1806730105, 160.427562),
        ({"at": {"cses": 1.5}}, 14.94811793, 0.2946997490, 993.1055537),
    ],
)
def test_linear_means_agree_with_emmeans(options, mean, se, df):
    """As emmeans(m, ~ sector, ...); Satterthwaite's df to what differences carry."""
    means = marginal_means(hsb(), "sector", **options)

    assert means.estimates[0] == pytest.approx(mean, rel=1e-8)
    assert means.se[0] == pytest.approx(se, rel=1e-6)
    assert means.df[0] == pytest.approx(df, rel=1e-5)


def test_combinations_and_families_agree_with_emmeans():
    """As emmeans(m, ~ minrty * sx), its pairs, and pairs of ~ minrty | sx."""
    means = marginal_means(hsb(), ["minrty", "sx"])

    assert means.levels[:2] == (("No", "Male"), ("Yes", "Male"))
    np.testing.assert_allclose(
        means.estimates, [14.16181081, 11.38046968, 12.93797857, 10.15663743], rtol=1e-8
    )
    every, within = pairwise(means), pairwise(means, by="sx")
    assert every.names[3] == "Yes Male - No Female"
    assert every.estimates[3] == pytest.approx(-1.557508885, rel=1e-7)
    assert every.low[3] == pytest.approx(-2.2106592537, rel=1e-6)
    assert within.names == ("No - Yes | sx = Male", "No - Yes | sx = Female")
    assert within.low[0] == pytest.approx(2.386722166, rel=1e-7)


def test_means_within_an_interaction_agree_with_emmeans():
    """As emmeans(m, ~ mined) of a model with spp * mined."""
    means = marginal_means(salamanders(), "mined")

    np.testing.assert_allclose(
        means.estimates, [-1.8330162431, 0.5671823342], atol=1e-5
    )
    np.testing.assert_allclose(means.se, [0.2504940984, 0.1704425039], rtol=5e-6)
    np.testing.assert_allclose(means.mean, np.exp(means.estimates))


def test_means_are_averages_of_predictions():
    """By definition: predict the grid, then average."""
    means = marginal_means(hsb(), "sector", at={"cses": 0.5, "meanses": 0.1})
    grid = pd.DataFrame(
        [
            {"cses": 0.5, "meanses": 0.1, "sector": s, "minrty": m, "sx": x}
            for s in ("Public", "Catholic")
            for m in ("No", "Yes")
            for x in ("Male", "Female")
        ]
    )

    eta = predict(hsb(), grid, effects=False).eta

    np.testing.assert_allclose(means.estimates, eta.reshape(2, 4).mean(axis=1))


@pytest.mark.parametrize("weights", ["equal", "proportional", "outer"])
def test_products_tell_what_rows_tell(weights):
    """The sums of a federated linear fit are enough for its marginal means."""
    rows = hsb()
    sums = replace(fit_products(cross_products(rows.source)), asked=rows.asked)  # type: ignore[arg-type]

    one = marginal_means(rows, "sector", weights=weights)
    two = marginal_means(sums, "sector", weights=weights)

    np.testing.assert_allclose(two.estimates, one.estimates, rtol=1e-8)
    np.testing.assert_allclose(two.se, one.se, rtol=1e-6)


def test_levels_may_be_kept_and_binary_columns_are_factors():
    """`at` keeps the grid to some levels; a 0/1 column is averaged over."""
    kept = marginal_means(salamanders(), "spp", at={"spp": ["GP", "DM"], "mined": "no"})
    epil = fit("y ~ trt + V4 + (1 | subject)", load("epil")[1], family="poisson")

    assert kept.levels == (("GP",), ("DM",))
    half = marginal_means(epil, "trt").estimates[0]
    assert half == pytest.approx(epil.estimates[0] + 0.5 * epil.estimates[2])
    at_one = marginal_means(epil, "trt", at={"V4": 1}).estimates[0]
    assert at_one == pytest.approx(epil.estimates[0] + epil.estimates[2])


def test_theta_fixed_errors_reach_means_and_contrasts():
    """As sqrt(diag(vcov(m, use.hessian = FALSE))) of lme4 1.1-31 for the first."""
    joint = marginal_means(cbpp(), "period")
    fixed = marginal_means(cbpp(), "period", theta="fixed")

    assert fixed.se[0] == pytest.approx(0.2278908815, rel=1e-5)
    assert fixed.se[0] < joint.se[0]
    first = cbpp().wald(theta="fixed")[1]
    assert pairwise(fixed).se[0] == pytest.approx(first["se"])
    assert first["se"] != pytest.approx(cbpp().wald()[1]["se"], rel=1e-4)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: marginal_means(hsb(), "cses"), "factors of the fixed part"),
        (lambda: marginal_means(hsb(), []), "factors of the fixed part"),
        (lambda: marginal_means(hsb(), "sx", at={"age": 1}), "at: found 'age'"),
        (lambda: marginal_means(hsb(), "sx", at={"sx": "Other"}), "no level 'Other'"),
        (lambda: marginal_means(hsb(), "sx", at={"cses": "a"}), "give one number"),
        (lambda: marginal_means(hsb(), "sx", weights="cells"), "weights"),  # type: ignore[arg-type]
        (lambda: pairwise(marginal_means(hsb(), "sx"), by="sector"), "by 'sector'"),
        (lambda: pairwise(marginal_means(hsb(), "sx"), adjust="fdr"), "adjust"),  # type: ignore[arg-type]
        (
            lambda: pairwise(marginal_means(hsb(), "sx")).table("response"),
            "no ratios",
        ),
        (lambda: hsb().covariance_of("both"), "joint or fixed"),  # type: ignore[arg-type]
    ],
)
def test_wrong_calls_say_what_is_right(call, says):
    """Each message names what was found and what may be written."""
    with pytest.raises(UsageError, match=says):
        call()


def test_a_mean_that_is_not_known_must_be_given():
    """x**2 of a column that is centred at zero does not tell the mean of x."""
    x = np.tile([-2.0, -1.0, 1.0, 2.0], 6)
    noise = np.random.default_rng(3).normal(size=24)
    table = pd.DataFrame({"y": x**2 + noise, "x": x, "f": ["a"] * 11 + ["b"] * 13})
    model = fit("y ~ f + I(x**2)", table, family="gaussian")

    with pytest.raises(UsageError, match="does not tell the mean of x"):
        marginal_means(model, "f")
    assert marginal_means(model, "f", at={"x": 3.0}).estimates[0] == (
        pytest.approx(model.estimates[0] + 9.0 * model.estimates[2])
    )
