"""Federations of real data against lme4's fits of the pooled rows."""

import re

import numpy as np
import pytest

from fedglmm_flower import simulate
from tests.reference.rows import load, method_of

LINEAR = ("dyestuff", "exam", "hsb82", "scotssec", "sleepstudy")


def has_one_intercept(formula, site):
    """Whether the random part is one intercept of the site."""
    inside = re.findall(r"\([^()]*\|[^()]*\)", formula)
    return inside == [f"(1 | {site})"]


def linear_cases():
    """Every stored gaussian fit with a random intercept."""
    for name in LINEAR:
        about, _ = load(name)
        for fit in about["fits"]:
            formula = fit.get("formula", about["formula"])
            if has_one_intercept(formula, about["site"]):
                # Of 160 sites, one formula by each method is enough for every day.
                again = (formula == about["formula"]) != (fit["method"] == "REML")
                marks = [pytest.mark.lengthy] if name == "hsb82" and again else []
                yield pytest.param(
                    name, formula, fit, id=f"{name}-{fit['method']}", marks=marks
                )


def federation(name, formula, family, sites=None, **options):
    """Simulate a reference set, or some of its sites, with its levels and no gate."""
    about, table = load(name)
    if sites is not None:
        table = table[table[about["site"]].astype(str).isin(sites)]
    used = {
        column: levels
        for column, levels in about.get("factors", {}).items()
        if re.search(rf"\b{column}\b", formula) and column != about["site"]
    }
    formula = formula.replace("^", "**")
    result = simulate(table, formula, family, levels=used, disclosure=False, **options)
    return result.to_dict()


def columns(fit, key):
    """One value of every coefficient."""
    return np.array([row[key] for row in fit["fixed"]])


def standard_deviations(fit):
    """Of the site, and of the residual."""
    sds = {row["grp"]: row.get("sdcor", row.get("sd")) for row in fit["random"]}
    return sds.pop("Residual", None), next(iter(sds.values()))


@pytest.mark.parametrize(("name", "formula", "fit"), list(linear_cases()))
def test_gaussian_random_intercepts_are_lme4s(name, formula, fit):
    """Sums are enough: every number of a linear model agrees, labelled exact."""
    result = federation(name, formula, "gaussian", method=method_of(fit))

    residual, sd = standard_deviations(fit)
    assert result["exactness"] == "exact"
    assert result["converged"]
    np.testing.assert_allclose(
        columns(result, "estimate"), columns(fit, "estimate"), rtol=1e-5
    )
    np.testing.assert_allclose(columns(result, "se"), columns(fit, "se_rx"), rtol=1e-5)
    assert result["random"][0]["sd"] == pytest.approx(sd, rel=1e-5)
    assert result["residual_sd"] == pytest.approx(residual, rel=1e-5)
    assert result["loglik"] == pytest.approx(fit["logLik"], rel=1e-5)


@pytest.mark.parametrize("which", range(4))
def test_cbpp_is_lme4s(which):
    """Only factors: counts of trials and events by period are everything."""
    about, _ = load("cbpp")
    fit = about["fits"][which]

    result = federation("cbpp", about["formula"], "binomial", method=method_of(fit))

    _, sd = standard_deviations(fit)
    loglik = fit.get("logLik_full_own_k") or fit["logLik"]
    assert result["exactness"] == "exact"
    np.testing.assert_allclose(
        columns(result, "estimate"), columns(fit, "estimate"), rtol=1e-5
    )
    np.testing.assert_allclose(columns(result, "se"), columns(fit, "se"), rtol=1e-3)
    assert result["random"][0]["sd"] == pytest.approx(sd, rel=1e-5)
    assert result["loglik"] == pytest.approx(loglik, rel=1e-5)


def test_chop_beats_the_published_distance():
    """At K=4 no coefficient is off by 0.004; the published third order by 0.020."""
    about, _ = load("chop")

    result = federation(
        "chop", about["formula"], "binomial", order=4, release_set="canonical"
    )

    shift = columns(result, "estimate") - columns(about["fits"][0], "estimate")
    assert np.abs(shift).max() < 0.004
    assert result["exactness"] == "approximate"


@pytest.mark.parametrize(
    ("name", "family"),
    [
        pytest.param("contraception", "binomial", marks=pytest.mark.lengthy),
        ("mmmec", "poisson"),
    ],
)
def test_fourth_order_is_within_a_fiftieth_of_a_standard_error(name, family):
    """At K=4 estimates are the pooled ones for every practical purpose."""
    about, _ = load(name)
    fit = about["fits"][0]

    result = federation(
        name, about["formula"], family, order=4, release_set="canonical"
    )

    shift = columns(result, "estimate") - columns(fit, "estimate")
    assert np.abs(shift / columns(fit, "se")).max() < 0.02
    np.testing.assert_allclose(columns(result, "se"), columns(fit, "se"), rtol=0.01)
    assert result["loglik"] == pytest.approx(fit["logLik"], abs=0.05)
    # What the release says of its own error is of the right size.
    own = columns(result, "approx_error") / columns(fit, "se")
    assert own.max() < 0.5


@pytest.mark.parametrize(
    ("name", "family", "most", "sd"),
    [
        pytest.param("chop", "binomial", 0.01, 1e-3, marks=pytest.mark.lengthy),
        pytest.param(
            "contraception", "binomial", 0.02, 1e-3, marks=pytest.mark.lengthy
        ),
        ("mmmec", "poisson", 1e-4, 1e-5),
    ],
)
def test_an_anchored_release_is_the_default_and_close(name, family, most, sd):
    """Distances from our own pooled fit, in standard errors."""
    about, _ = load(name)

    result = federation(name, about["formula"], family, compare_pooled=True)

    pooled = result["pooled"]
    shift = columns(result, "estimate") - columns(pooled, "estimate")
    assert {entry["release_set"] for entry in result["sites"]} == {"anchored"}
    assert np.abs(shift / columns(pooled, "se")).max() < most
    assert abs(result["random"][0]["sd"] - pooled["random"][0]["sd"]) < sd
    assert result["loglik"] == pytest.approx(pooled["loglik"], abs=0.1)


@pytest.mark.parametrize(
    ("name", "which", "family", "link", "most", "sd", "loglik"),
    [
        ("dietox_gamma", 0, "gamma", "log", 0.002, 1e-5, 0.02),
        pytest.param(
            *("contraception", 0, "binomial", "probit", 0.01, 1e-4, 0.05),
            marks=pytest.mark.lengthy,
        ),
        pytest.param(
            *("contraception", 0, "binomial", "cloglog", 0.01, 1e-4, 0.05),
            marks=pytest.mark.lengthy,
        ),
        ("epil", 0, "nbinom2", "log", 1e-6, 1e-8, 1e-6),
        ("salamanders", 0, "nbinom2", "log", 1e-6, 1e-8, 1e-6),
        ("salamanders", 1, "nbinom2", "log", 0.06, 5e-4, 0.1),
    ],
)
def test_other_families_are_close_by_default(
    name, which, family, link, most, sd, loglik
):
    """Distances from our own pooled fit, in standard errors; exact without columns."""
    about, _ = load(name)
    formulas = about.get("formulas", about["formula"])
    formula = formulas if isinstance(formulas, str) else formulas[which]

    result = federation(name, formula, family, link=link, compare_pooled=True)

    pooled = result["pooled"]
    shift = columns(result, "estimate") - columns(pooled, "estimate")
    assert result["converged"]
    assert np.abs(shift / columns(pooled, "se")).max() < most
    assert abs(result["random"][0]["sd"] - pooled["random"][0]["sd"]) < sd
    assert result["loglik"] == pytest.approx(pooled["loglik"], abs=loglik)


def test_a_large_site_with_heavy_tails_is_met():
    """One clinic has most of the patients, and its sums are hard to reach at once."""
    about, table = load("chop")
    sizes = table[about["site"]].astype(str).value_counts()
    formula = "y ~ gender + drive_thru_ind + pan_day_z + age_z + (1 | clinic_name)"

    result = federation(
        "chop", formula, "binomial", sizes.index[[0, 6, 7, 8]], compare_pooled=True
    )

    pooled = result["pooled"]
    shift = columns(result, "estimate") - columns(pooled, "estimate")
    assert sizes.iloc[0] > 4 * sizes.iloc[6:9].sum()
    assert np.abs(shift / columns(pooled, "se")).max() < 0.05
    assert result["diagnostics"]["moment_residual"] < 2e-2
