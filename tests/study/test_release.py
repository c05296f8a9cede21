"""Release sets: which sums, how many, in which order."""

import time
from collections import Counter

import pytest

from fedglmm_flower.errors import StudyError
from fedglmm_flower.study import Column, release_statistics
from tests.study.conftest import small


def roles(study, order=2):
    """How many sums of each role and measure."""
    return dict(Counter((s.role, s.measure) for s in study.statistics(order)))


@pytest.mark.parametrize(("order", "count"), [(2, 24), (3, 49), (4, 90), (5, 151)])
def test_gusto_needs_as_many_numbers_as_the_design_says(gusto, order, count):
    """Powers of a 0/1 column collapse; products of all else do not."""
    assert len(gusto.statistics(order)) == count


@pytest.mark.parametrize(
    "study",
    [
        small("z ~ x*f + I(e**2) + (1 | hospital)", "binomial"),
        small("z ~ x + (1 | hospital)", "binomial", trials="n"),
        small("z ~ x*f + offset(log(e)) + (1 | hospital)", "poisson"),
        small("z ~ x + (1 | hospital)", "poisson", weights="w"),
    ],
    ids=["logit", "trials", "exposure", "weights"],
)
def test_the_sets_of_two_orders_are_nested(study):
    """A lower order is a selection by degree, in the same canonical order."""
    for order in range(1, 6):
        above = study.statistics(order + 1)

        assert study.statistics(order) == tuple(s for s in above if s.degree <= order)
        assert len(set(above)) == len(above)


def test_a_gaussian_release_is_lossless_at_every_order():
    """All products of two of (1, columns, y), whatever order is asked for."""
    study = small("y ~ x + f + (1 | hospital)")

    assert roles(study) == {("x", "rows"): 6, ("y", "rows"): 4, ("yy", "rows"): 1}
    assert study.statistics(1) == study.statistics(6)


def test_trials_weigh_the_moments_and_bring_their_sum_and_the_constant():
    """With trials, sum m is no row count and log C(m, y) is no zero."""
    plain = small("z ~ x + (1 | hospital)", "binomial")
    trials = small("z ~ x + (1 | hospital)", "binomial", trials="n")

    assert roles(plain) == {("x", "rows"): 2, ("y", "rows"): 2}
    assert roles(trials) == {
        ("x", "trials"): 3,
        ("y", "rows"): 2,
        ("constant", "rows"): 1,
    }


def test_exposure_weighs_the_moments_and_keeps_unweighted_ones_to_order_two():
    """R2, marginal means and the gate need the plain moments too."""
    study = small("z ~ x + offset(log(e)) + (1 | hospital)", "poisson")

    assert roles(study, 4) == {
        ("x", "exposure"): 5,
        ("x", "rows"): 2,
        ("y", "rows"): 2,
        ("y_offset", "rows"): 1,
        ("constant", "rows"): 1,
    }


def test_weights_bring_their_own_sum():
    """With weights the sum over rows of the constant function is no row count."""
    weighted = small("z ~ x + (1 | hospital)", "poisson", weights="w")

    assert roles(weighted)["x", "rows"] == 3


def test_an_offset_of_a_binomial_study_is_one_more_atom():
    """Its moments are needed, its coefficient is one."""
    study = small("z ~ x + offset(log(e)) + (1 | hospital)", "binomial")

    assert [atom.name for atom in study.model.atoms] == ["x", "log(e)"]
    assert roles(study) == {("x", "rows"): 5, ("y", "rows"): 3}


def test_two_levels_of_one_factor_are_never_multiplied():
    """Their product is zero on every row, so it is no number to send."""
    study = small("z ~ f*x + (1 | hospital)", "binomial")

    assert {s.monomial[0] for s in study.statistics(6)} == {0, 1, 2}


@pytest.mark.parametrize(
    ("name", "order"), [("newest", 2), ("joint", 1), ("canonical", 0)]
)
def test_an_unknown_set_or_order_is_refused(gusto, name, order):
    """Neither is guessed."""
    with pytest.raises(StudyError, match="release set: "):
        release_statistics(gusto.model, name, order)


def test_a_study_of_too_many_sums_is_refused_before_they_are_listed():
    """Forty columns at order six are nine million moment functions."""
    names = [f"x{i}" for i in range(40)]
    columns = (Column("y", "binary"), *(Column(n, "continuous") for n in names))
    study = small("y ~ " + "+".join(names), "binomial", columns=columns)
    started = time.perf_counter()
    with pytest.raises(StudyError, match="more than 20000"):
        study.statistics(6)

    assert time.perf_counter() - started < 5
