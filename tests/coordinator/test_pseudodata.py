"""Pseudo-rows of one site, and responses with the released sums."""

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.coordinator.pseudodata import generate
from fedglmm_flower.coordinator.responses import responses_of
from fedglmm_flower.coordinator.starts import Starts
from fedglmm_flower.glmm.evaluate import evaluate_monomials
from fedglmm_flower.study import Column
from tests.coordinator.questions import SITES, study_of, table_of, targets_at

STARTS = Starts.for_rows(1, 256)

FORMULA = "y ~ a + b + f + h + (1 | site)"


def missed(model, targets, rows):
    """Largest difference of a released moment, in units of the rows' own scale."""
    monomials = list(targets.moments)
    functions = evaluate_monomials(rows.values, monomials, model.factors)
    share = rows.weights / rows.weights.sum()
    scale = np.sqrt((functions**2) @ share) + 1e-300
    wanted = np.array([targets.moments[m] for m in monomials])
    return float(np.max(np.abs(functions @ share - wanted) / np.maximum(scale, 1.0)))


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5, 6])
def test_released_moments_are_reproduced(order, rng):
    """At every order the rows have the moments that were sent."""
    study = study_of(FORMULA, "binomial", order=order)
    targets = targets_at(study, table_of("binomial", rng, n=400), "north")

    rows = generate(study.model, targets, STARTS)

    assert rows.residual < 1e-9
    assert missed(study.model, targets, rows) < 1e-8
    assert rows.weights.min() > 0
    assert rows.weights.sum() == pytest.approx(targets.total)
    assert not rows.exact


def test_all_factor_moments_are_the_table_itself(rng):
    """Where the cells are determined, they are the rows, and labelled exact."""
    study = study_of("y ~ f * h + g + (1 | site)", "binomial", order=3)
    frame = table_of("binomial", rng)
    targets = targets_at(study, frame, "north")

    rows = generate(study.model, targets, STARTS)

    assert rows.exact
    north = frame[frame["site"] == "north"]
    counted = north.groupby(["f", "h", "g"]).size()
    assert sorted(rows.weights) == pytest.approx(sorted(counted))


def test_open_cells_are_not_exact(rng):
    """With fewer columns in a product than factors, something stays open."""
    study = study_of("y ~ f + h + g + (1 | site)", "binomial", order=2)
    targets = targets_at(study, table_of("binomial", rng), "north")

    rows = generate(study.model, targets, STARTS)

    assert not rows.exact
    assert missed(study.model, targets, rows) < 1e-9


def test_the_seed_alone_decides(rng):
    """The same seed gives the same rows; another seed or a mirror image others."""
    study = study_of(FORMULA, "binomial", order=3)
    targets = targets_at(study, table_of("binomial", rng), "north")

    first = generate(study.model, targets, STARTS)

    again = generate(study.model, targets, STARTS)
    np.testing.assert_array_equal(first.values, again.values)
    for other in (
        generate(study.model, targets, Starts.for_rows(2, 256)),
        generate(study.model, targets, STARTS, block=1),
    ):
        assert np.abs(first.values - other.values).max() > 1e-3


def test_declared_bounds_hold(rng):
    """No pseudo-row leaves the public bounds of a column."""
    columns = (
        Column("a", "continuous", low=0.0, high=10.0, center=1.0, scale=2.0),
        Column("y", "continuous"),
    )
    study = study_of("y ~ a + (1 | site)", "binomial", order=4, columns=columns)
    frame = pd.DataFrame(
        {
            "site": "north",
            "a": np.minimum(rng.exponential(1.0, 300), 10.0),
            "y": rng.integers(0, 2, 300).astype(float),
        }
    )

    rows = generate(study.model, targets_at(study, frame, "north"), STARTS)

    a = 1.0 + 2.0 * rows.values[:, 0]
    assert a.min() >= -1e-12
    assert a.max() <= 10.0 + 1e-12
    assert rows.residual < 1e-6


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("order", [1, 2, 4, 6])
def test_tiny_sites_end_with_finite_rows(n, order, rng):
    """One to five rows and many moments: no error, no NaN, the mass is kept."""
    study = study_of(FORMULA, "binomial", order=order)
    for site in SITES[:2]:
        targets = targets_at(study, table_of("binomial", rng, n=n), site)

        rows = generate(study.model, targets, Starts.for_rows(3, 256))
        responses, residual = responses_of(study.model, rows, targets)

        assert np.isfinite(rows.values).all()
        assert np.isfinite(rows.residual)
        assert np.isfinite(responses).all()
        assert np.isfinite(residual)
        assert rows.weights.sum() == pytest.approx(n)


def test_constant_columns_stay_constant(rng):
    """What does not vary at a site does not vary in its pseudo-data."""
    study = study_of(FORMULA, "binomial", order=4)
    frame = table_of("binomial", rng).assign(b=2.5, f="q")
    targets = targets_at(study, frame, "north")

    rows = generate(study.model, targets, STARTS)

    names = [atom.name for atom in study.model.atoms]
    np.testing.assert_allclose(rows.values[:, names.index("b")], 2.5, atol=1e-12)
    assert set(rows.values[:, names.index("f")]) == {1.0}
    assert rows.residual < 1e-9


def test_a_site_where_nothing_varies_is_one_row(rng):
    """All columns constant and one level: a single row with the whole mass."""
    study = study_of(FORMULA, "binomial", order=4)
    frame = table_of("binomial", rng).assign(a=3.0, b=2.5, f="q", h=1.0)
    targets = targets_at(study, frame, "north")

    rows = generate(study.model, targets, STARTS)

    assert len(rows.weights) == 1
    assert rows.weights.sum() == pytest.approx(60)
    assert missed(study.model, targets, rows) < 1e-9


@pytest.mark.parametrize("constant", [12345.678, 98765.4321, 1234567.1])
@pytest.mark.parametrize("site", SITES)
def test_a_far_constant_does_not_count_as_varying(constant, site, rng):
    """Rounding in the square of a large constant is no variance."""
    study = study_of("y ~ b + (1 | site)", "binomial", order=4, weights="w")
    frame = table_of("binomial", rng).assign(b=constant)
    targets = targets_at(study, frame, site)

    rows = generate(study.model, targets, STARTS)

    assert len(rows.weights) == 1
    np.testing.assert_allclose(rows.values[:, 0], constant, rtol=1e-9)


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("binomial", {}),
        ("binomial", {"weights": "w"}),
        ("binomial", {"trials": "m"}),
        ("poisson", {}),
        ("poisson", {"offset": "log(t)"}),
    ],
)
def test_responses_have_the_released_sums(family, options, rng):
    """Sum of response, and of response times every column, are those of the site."""
    study = study_of(FORMULA, family, order=3, **options)
    frame = table_of(family, rng, trials="trials" in options)
    targets = targets_at(study, frame, "north")
    rows = generate(study.model, targets, STARTS)

    responses, residual = responses_of(study.model, rows, targets)

    monomials = list(targets.responses)
    functions = evaluate_monomials(rows.values, monomials, study.model.factors)
    wanted = np.array([targets.responses[m] for m in monomials])
    np.testing.assert_allclose(functions @ responses, wanted, atol=1e-8)
    assert residual < 1e-10
