"""Fits from releases where these are lossless: those of the pooled rows."""

import numpy as np
import pytest

from fedglmm_flower.coordinator.pooling import (
    fit_pseudo,
    fit_sums,
    pseudo_site,
    require_determined,
)
from fedglmm_flower.coordinator.starts import Starts
from fedglmm_flower.errors import FitError
from fedglmm_flower.glmm import marginal_means, predict
from tests.coordinator.questions import (
    pooled_fit,
    study_of,
    table_of,
    targets_for,
)

GROUPS = {"site": "site"}
STARTS = Starts.for_rows(1, 256)


def assert_same(found, pooled, rtol):
    """Estimates, standard errors, sd, logLik, AIC, BIC and random effects agree."""
    ours, theirs = found.to_dict(), pooled.to_dict()
    assert ours["converged"]
    np.testing.assert_allclose(
        found.estimates, pooled.estimates, rtol=rtol, atol=rtol * pooled.se.min()
    )
    np.testing.assert_allclose(found.se, pooled.se, rtol=rtol)
    for key in ("loglik", "aic", "bic"):
        assert ours[key] == pytest.approx(theirs[key], rel=rtol)
    for a, b in zip(ours["random"], theirs["random"], strict=True):
        assert a["sd"] == pytest.approx(b["sd"], rel=100 * rtol, abs=1e-6)
    if theirs["residual_sd"] is not None:
        assert ours["residual_sd"] == pytest.approx(theirs["residual_sd"], rel=rtol)
    for a, b in zip(ours["ranef"], theirs["ranef"], strict=True):
        assert (a["level"], a["term"]) == (b["level"], b["term"])
        assert a["estimate"] == pytest.approx(b["estimate"], abs=1e-6)


@pytest.mark.parametrize("method", ["reml", "ml"])
@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("y ~ a + b + f + h + (1 | site)", {}),
        ("y ~ a * f + I(b**2) + (1 | site)", {}),
        ("y ~ a + f + (1 | site)", {"weights": "w"}),
        ("y ~ a + f + offset(0.3 * b) + (1 | site)", {}),
        ("y ~ 0 + f + a + (1 | site)", {}),
        ("y ~ 1 + (1 | site)", {}),
    ],
)
def test_gaussian_sums_are_the_pooled_fit(formula, options, method, rng):
    """ML and REML from sums agree with the rows to rounding."""
    study = study_of(formula, "gaussian", order=2, method=method, **options)
    frame = table_of("gaussian", rng)

    found = fit_sums(study.model, targets_for(study, frame), method, GROUPS)

    assert_same(found, pooled_fit(study, frame), 1e-8)
    pooled = pooled_fit(study, frame)
    np.testing.assert_allclose(found.estimates, pooled.estimates, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("weights", ["equal", "proportional"])
def test_sums_predict_tables_and_tell_marginal_means(weights, rng):
    """A fit from sums answers what the fit of the pooled rows answers."""
    study = study_of("y ~ a * f + b + h + (1 | site)", "gaussian", order=2)
    frame = table_of("gaussian", rng)
    found = fit_sums(study.model, targets_for(study, frame), "reml", GROUPS)
    pooled = pooled_fit(study, frame)

    ours, theirs = (marginal_means(m, "f", weights=weights) for m in (found, pooled))
    new = frame.head(5).drop(columns="y")

    np.testing.assert_allclose(ours.estimates, theirs.estimates, rtol=1e-6)
    np.testing.assert_allclose(ours.se, theirs.se, rtol=1e-6)
    np.testing.assert_allclose(
        predict(found, new).eta, predict(pooled, new).eta, rtol=1e-6
    )
    np.testing.assert_allclose(
        predict(found, new).eta_se, predict(pooled, new).eta_se, rtol=1e-5
    )


FACTORS_ALONE: tuple[tuple[str, dict[str, str]], ...] = (
    ("binomial", {"link": "probit"}),
    ("binomial", {"link": "probit", "trials": "m", "weights": "w"}),
    ("binomial", {"link": "cloglog"}),
    ("binomial", {"link": "cloglog", "trials": "m"}),
    ("gamma", {}),
    ("gamma", {"weights": "w"}),
    ("gamma", {"offset": "log(t)"}),
    ("gamma", {"offset": "log(t)", "weights": "w"}),
    ("nbinom2", {}),
    ("nbinom2", {"weights": "w"}),
)


@pytest.mark.parametrize(("family", "options"), FACTORS_ALONE)
@pytest.mark.parametrize("method", ["laplace", "aghq:9"])
def test_factor_sums_tell_all_that_other_likelihoods_see(family, options, method, rng):
    """Every number of a fit agrees, dispersion, logLik, AIC and BIC included."""
    study = study_of("y ~ f * h + g + (1 | site)", family, order=3, **options)
    frame = table_of(family, rng, trials="trials" in options)
    targets = targets_for(study, frame)
    draws = {s: [pseudo_site(study.model, t, STARTS, 0)] for s, t in targets.items()}

    found = fit_pseudo(study.model, targets, draws, method, GROUPS)

    pooled = pooled_fit(study, frame, method)
    assert all(one.rows.exact for (one,) in draws.values())
    assert_same(found, pooled, 1e-7)
    np.testing.assert_allclose(found.estimates, pooled.estimates, atol=1e-8)
    assert found.loglik == pytest.approx(pooled.loglik, abs=1e-8)
    if pooled.dispersion is not None:
        assert found.dispersion == pytest.approx(pooled.dispersion, rel=1e-8)


@pytest.mark.parametrize("family", ["binomial", "gamma", "nbinom2"])
def test_sites_where_nothing_or_all_happens_are_fitted(family, rng):
    """A site without events, or with events alone, has rows of one kind."""
    link = "cloglog" if family == "binomial" else None
    study = study_of("y ~ a + f + (1 | site)", family, order=3, link=link)
    frame = table_of(family, rng, n=120)
    if family != "gamma":
        frame.loc[frame["site"] == "north", "y"] = 0.0
        frame.loc[frame["site"] == "west", "y"] = 1.0
    targets = targets_for(study, frame)
    draws = {s: [pseudo_site(study.model, t, STARTS, 0)] for s, t in targets.items()}

    found = fit_pseudo(study.model, targets, draws, "laplace", GROUPS)

    pooled = pooled_fit(study, frame)
    assert (np.abs(found.estimates - pooled.estimates) / pooled.se).max() < 0.1


@pytest.mark.parametrize(
    ("family", "options", "far"),
    [
        ("binomial", {"link": "probit"}, 0.01),
        ("binomial", {"link": "cloglog"}, 0.01),
        ("binomial", {"link": "cloglog", "trials": "m", "offset": "0.3 * c"}, 0.03),
        ("gamma", {}, 0.01),
        ("gamma", {"offset": "log(t)"}, 0.01),
        ("nbinom2", {}, 0.01),
        ("nbinom2", {"offset": "log(t)"}, 0.01),
    ],
)
def test_other_likelihoods_come_close_over_many_sites(family, options, far, rng):
    """At K=4, 24 sites of 150 rows: a hundredth of a standard error or so."""
    sites = tuple(f"s{k:02d}" for k in range(24))
    formula = "y ~ a + b + h + (1 | site)"
    study = study_of(formula, family, order=4, sites=sites, **options)
    frame = table_of(family, rng, n=150, sites=sites, trials="trials" in options)
    targets = targets_for(study, frame)
    draws = {
        s: [pseudo_site(study.model, t, STARTS, 4 * i + k) for k in range(3)]
        for i, (s, t) in enumerate(targets.items())
    }

    found = fit_pseudo(study.model, targets, draws, "laplace", GROUPS)

    pooled = pooled_fit(study, frame)
    shift = np.abs(found.estimates - pooled.estimates) / pooled.se
    assert shift.max() < far
    np.testing.assert_allclose(found.se, pooled.se, rtol=0.02)
    assert found.random[0].sd[0] == pytest.approx(pooled.random[0].sd[0], abs=0.002)
    assert found.loglik == pytest.approx(pooled.loglik, abs=1.0)
    if pooled.dispersion is not None:
        assert found.dispersion == pytest.approx(pooled.dispersion, rel=0.005)


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("binomial", {}),
        ("binomial", {"weights": "w"}),
        ("binomial", {"trials": "m"}),
        ("binomial", {"trials": "m", "weights": "w"}),
        ("poisson", {}),
        ("poisson", {"weights": "w"}),
        ("poisson", {"offset": "log(t)"}),
        ("poisson", {"offset": "log(t)", "weights": "w"}),
    ],
)
@pytest.mark.parametrize("method", ["laplace", "aghq:9"])
def test_factor_sums_are_the_pooled_fit(family, options, method, rng):
    """With factors alone, pseudo-data are the table, logLik and AIC included."""
    study = study_of("y ~ f * h + g + (1 | site)", family, order=3, **options)
    frame = table_of(family, rng, trials="trials" in options)
    targets = targets_for(study, frame)
    draws = {s: [pseudo_site(study.model, t, STARTS, 0)] for s, t in targets.items()}

    found = fit_pseudo(study.model, targets, draws, method, GROUPS)

    assert all(one.rows.exact for (one,) in draws.values())
    assert_same(found, pooled_fit(study, frame, method), 1e-7)
    pooled = pooled_fit(study, frame, method)
    np.testing.assert_allclose(found.estimates, pooled.estimates, atol=1e-8)
    assert found.loglik == pytest.approx(pooled.loglik, abs=1e-7)
    # Shares of levels in pseudo-data count trials and exposure, those of a table rows.
    if not {"trials", "offset"} & set(options):
        ours = marginal_means(found, "h", weights="proportional")
        theirs = marginal_means(pooled, "h", weights="proportional")
        np.testing.assert_allclose(ours.estimates, theirs.estimates, atol=1e-7)


def test_draws_share_the_mass_of_their_site(rng):
    """Repeating a draw changes nothing: several draws are one site still."""
    study = study_of("y ~ a + f + (1 | site)", "binomial", order=3)
    targets = targets_for(study, table_of("binomial", rng))
    once = {s: [pseudo_site(study.model, t, STARTS, 0)] for s, t in targets.items()}
    thrice = {s: many * 3 for s, many in once.items()}

    single = fit_pseudo(study.model, targets, once, "laplace", GROUPS)
    triple = fit_pseudo(study.model, targets, thrice, "laplace", GROUPS)

    np.testing.assert_allclose(single.estimates, triple.estimates, atol=1e-7)
    np.testing.assert_allclose(single.se, triple.se, rtol=1e-6)
    assert single.loglik == pytest.approx(triple.loglik, abs=1e-6)


@pytest.mark.parametrize("family", ["binomial", "poisson"])
def test_continuous_columns_come_close(family, rng):
    """At K=4 the coefficients are within a twentieth of a standard error."""
    study = study_of("y ~ a + b + h + (1 | site)", family, order=4)
    frame = table_of(family, rng, n=300)
    targets = targets_for(study, frame)
    draws = {
        s: [
            pseudo_site(study.model, t, Starts.for_rows(seed, 256), 0)
            for seed in (1, 2)
        ]
        for s, t in targets.items()
    }

    found = fit_pseudo(study.model, targets, draws, "laplace", GROUPS)

    pooled = pooled_fit(study, frame)
    shift = np.abs(found.estimates - pooled.estimates) / pooled.se
    assert shift.max() < 0.05
    np.testing.assert_allclose(found.se, pooled.se, rtol=0.01)
    assert found.loglik == pytest.approx(pooled.loglik, abs=0.2)


def test_dependent_columns_are_named_before_any_pseudo_data(rng):
    """From the sums alone it is seen that a column repeats another one everywhere."""
    frame = table_of("binomial", rng)
    frame["b"] = 3.0 * frame["a"] - 1.0
    study = study_of("y ~ a + b + (1 | site)", "binomial", order=2)

    with pytest.raises(FitError, match="'b'"):
        require_determined(study.model, targets_for(study, frame))


def test_a_column_constant_everywhere_is_named(rng):
    """What no site varies in cannot be told from the intercept."""
    frame = table_of("poisson", rng).assign(b=2.5)
    study = study_of("y ~ a + b + (1 | site)", "poisson", order=2)

    with pytest.raises(FitError, match="'b'"):
        require_determined(study.model, targets_for(study, frame))


def test_what_one_site_lacks_is_no_dependence(rng):
    """A column that is constant at some sites, and a level that some lack, are fine."""
    frame = table_of("binomial", rng)
    frame.loc[frame["site"] == "north", "b"] = 1.0
    frame.loc[frame["site"] != "west", "f"] = "p"
    study = study_of("y ~ a * h + b + f + (1 | site)", "binomial", order=2)

    require_determined(study.model, targets_for(study, frame))


def test_first_moments_cannot_tell_dependence(rng):
    """At order 1 no products are released, and nothing is refused on a guess."""
    frame = table_of("binomial", rng)
    frame["b"] = 3.0 * frame["a"] - 1.0
    study = study_of("y ~ a + b + (1 | site)", "binomial", order=1)

    require_determined(study.model, targets_for(study, frame))
