"""Predictions of tables: the same as of rows, and one clear error for bad ones."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.errors import DataError, FitError, UsageError
from fedglmm_flower.glmm import (
    FittedModel,
    explained,
    fit,
    fit_rows,
    marginal_means,
    predict,
)
from tests.laws.designs import model as rows_of
from tests.reference.rows import load

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"
EXAM = "normexam ~ standLRT * sex + (standLRT | school)"


@cache
def fitted(name: str, formula: str, family: str) -> FittedModel:
    """A fit of a reference table, made once."""
    return fit(formula, load(name)[1], family=family)


@pytest.mark.parametrize(
    ("name", "formula", "family"),
    [
        ("cbpp", CBPP, "binomial"),
        ("exam", EXAM, "gaussian"),
        ("mmmec", "deaths ~ uvb + offset(log(expected)) + (1 | nation)", "poisson"),
        ("contraception", "use ~ age + I(age**2) + (1 | district)", "binomial"),
    ],
)
def test_the_fitted_table_predicts_as_its_rows(name, formula, family):
    """A table read again, without its response, gives what the rows give."""
    model = fitted(name, formula, family)
    table = load(name)[1]
    response = ["incidence", "normexam", "deaths", "use"]

    rows, again = (
        predict(model),
        predict(model, table.drop(columns=response, errors="ignore")),
    )

    for key in ("eta", "eta_se", "mean", "mean_se", "new_sd"):
        np.testing.assert_allclose(
            getattr(again, key), getattr(rows, key), rtol=1e-12, atol=1e-12
        )


def test_known_new_and_incomplete_rows():
    """A known herd has its effect, a new one none, and a gap gives no number."""
    model = fitted("cbpp", CBPP, "binomial")
    table = pd.DataFrame(
        {"period": ["1", "1", None, "1"], "herd": ["1", "new", "1", None]}
    )

    found = predict(model, table)

    (herd,) = model.random
    at = herd.levels.index("1")
    expected = model.estimates[0] + herd.modes[at, 0]
    assert found.eta[0] == pytest.approx(expected)
    assert found.eta[1] == pytest.approx(model.estimates[0])
    assert found.new_sd[:2] == pytest.approx([0.0, herd.sd[0]])
    assert np.isnan(found.eta[2:]).all()
    assert np.isnan(found.mean_se[2:]).all()


def test_population_level_needs_no_groups():
    """Without effects the grouping column may be absent (lme4's re.form = NA)."""
    model = fitted("cbpp", CBPP, "binomial")

    found = predict(model, pd.DataFrame({"period": ["1", "4"]}), effects=False)

    expected = model.estimates[0] + np.array([0.0, model.estimates[3]])
    np.testing.assert_allclose(found.eta, expected)
    fixed = np.sqrt(model.covariance_fixed_theta[0, 0])
    assert found.eta_se[0] == pytest.approx(fixed)
    joint = predict(
        model, pd.DataFrame({"period": ["1"]}), effects=False, theta="joint"
    )
    assert joint.eta_se[0] == pytest.approx(model.se[0])


def test_effects_are_chosen_by_group():
    """One of two nested groups leaves the other's spread in new_sd."""
    rows = rows_of("poisson", "log", "nested", seed=36)
    model = fit_rows(rows, family="poisson")

    outer = predict(model, effects="site")

    site, clinic = model.random
    expected = rows.basis @ model.estimates + rows.offset
    expected += site.modes[
        [site.levels.index(rows.random[0].levels[i]) for i in rows.random[0].index], 0
    ]
    np.testing.assert_allclose(outer.eta, expected)
    np.testing.assert_allclose(outer.new_sd, clinic.sd[0])
    with pytest.raises(UsageError, match="ward"):
        predict(model, effects=("ward",))


@pytest.mark.parametrize(
    ("name", "formula", "family"),
    [
        ("cbpp", CBPP, "binomial"),
        ("epil", "y ~ trt + (1 | subject)", "poisson"),
    ],
)
def test_integrated_means_are_means_over_clusters(name, formula, family):
    """The mean over many simulated new clusters is the integrated one."""
    model = fitted(name, formula, family)
    table = load(name)[1].head(3)
    z = np.random.default_rng(1).normal(size=200_001)

    found = predict(model, table, effects=False, integrate=True)

    sd = model.random[0].sd[0]
    eta = found.eta[:, None] + sd * z
    inverse = np.exp(eta) if family == "poisson" else 1 / (1 + np.exp(-eta))
    np.testing.assert_allclose(found.mean, inverse.mean(axis=1), rtol=6e-3)
    plain = predict(model, table, effects=False)
    assert (found.mean > plain.mean).all()  # both links bend upwards there


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"period": ["9"], "herd": ["1"]}, "no declared level"),
        ({"herd": ["1"]}, "'period' is missing"),
        ({"period": ["1"]}, "effects=False"),
        ({}, "'period', 'herd' is missing"),
    ],
)
def test_bad_tables_end_in_one_clear_error(table, says):
    """Columns that are missing are named together; so is an unknown level."""
    with pytest.raises(DataError, match=says):
        predict(fitted("cbpp", CBPP, "binomial"), pd.DataFrame(table))


def test_values_beyond_the_fitted_range_are_predicted():
    """The range of the fitted data does not bind a new table."""
    model = fitted("exam", EXAM, "gaussian")
    new = pd.DataFrame({"standLRT": [50.0], "sex": ["F"], "school": ["x"]})

    found = predict(model, new)

    assert found.eta[0] == pytest.approx(
        model.estimates[0] + 50 * model.estimates[1], rel=1e-9
    )


def test_array_fits_cannot_read_tables():
    """Without a question there is no telling what a column means."""
    model = fit_rows(rows_of("poisson", "log", "intercept"), family="poisson")
    with pytest.raises(UsageError, match=r"glmm\.fit"):
        predict(model, pd.DataFrame({"x": [1.0]}))
    with pytest.raises(UsageError, match=r"glmm\.fit"):
        marginal_means(model, "x")


def test_groups_are_listed_as_people_count():
    """Herd 2 comes before herd 10."""
    (herd,) = fitted("cbpp", CBPP, "binomial").random

    assert herd.levels == tuple(str(i) for i in range(1, 16))


def test_nesting_is_found_in_the_data_and_crossing_is_refused():
    """(1 | site) + (1 | clinic) is (1 | site/clinic) where no clinic has two sites."""
    rng = np.random.default_rng(8)
    site = np.repeat(np.arange(8), 30)
    clinic = 3 * site + rng.integers(0, 3, 240)
    effect = rng.normal(size=8)[site] + 0.7 * rng.normal(size=24)[clinic]
    table = pd.DataFrame(
        {
            "y": effect + rng.normal(size=240),
            "site": [f"s{i}" for i in site],
            "clinic": [f"c{i}" for i in clinic],
        }
    )

    implicit = fit("y ~ 1 + (1 | site) + (1 | clinic)", table, family="gaussian")
    explicit = fit("y ~ 1 + (1 | site/clinic)", table, family="gaussian")

    assert implicit.loglik == pytest.approx(explicit.loglik, rel=1e-12)
    table["clinic"] = rng.permutation(table["clinic"])
    with pytest.raises(FitError, match=r"crossed.*lme4"):
        fit("y ~ 1 + (1 | site) + (1 | clinic)", table, family="gaussian")
    assert 0 < explained(implicit).conditional < 1
