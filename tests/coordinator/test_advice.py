"""Advice in warnings: only what can be followed."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fedglmm_flower.coordinator.advice import (
    better_set,
    large_warnings,
    missed_warnings,
)
from fedglmm_flower.study import Column
from tests.coordinator.questions import study_of

BOUNDED = (
    Column("c", "continuous", low=-3.0, high=3.0),
    Column("f", "categorical", ("p", "q")),
    Column("y", "continuous"),
)


def opened(*sent, rows=5000) -> Any:
    """As much of releases as advice looks at."""
    return {
        f"s{i}": SimpleNamespace(
            released=SimpleNamespace(release_set=name, order=order),
            targets=[SimpleNamespace(n_rows=rows)],
        )
        for i, (name, order) in enumerate(sent)
    }


@pytest.mark.parametrize(
    ("asked", "sent", "rows", "says"),
    [
        (("anchored", 3), ("anchored", 3), 5000, "ask for order 4: "),
        (("anchored", 3), ("anchored", 3), 60, "lets out of no site here"),
        (("anchored", 3), ("canonical", 4), 5000, "fewer columns or levels would"),
        (("anchored", 6), ("anchored", 6), 5000, "no higher order exists"),
        (("canonical", 4), ("canonical", 4), 5000, "the anchored set tells more"),
    ],
)
def test_a_better_set_is_one_that_exists_and_passes(asked, sent, rows, says):
    """No higher order where there is none, or where the gate would not let it out."""
    name, order = asked
    study = study_of("y ~ a + c + (1 | site)", "poisson", release_set=name, order=order)
    text = better_set(study, opened(sent, sent, rows=rows))

    assert says in text
    assert ("ask for order" in text) == says.startswith("ask for order")


def test_plain_moments_are_all_there_is_without_continuous_columns():
    """An anchored set of factors tells nothing that their table does not."""
    study = study_of("y ~ f + (1 | site)", "poisson", order=1)

    assert "ask for order 2" in better_set(study, opened(("canonical", 1)))


def test_the_highest_number_of_rows_is_counted_site_by_site():
    """How many sites could send more is said."""
    study = study_of("y ~ a + c + (1 | site)", "poisson", release_set="anchored")
    some = opened(*[("anchored", 3)] * 4)
    some["s0"].targets.append(SimpleNamespace(n_rows=20))

    assert "and 3 of 4 sites have" in better_set(study, some)


def test_estimates_that_move_by_a_tenth_of_a_standard_error_are_named():
    """Those alone, with where to look and what to ask."""
    study = study_of("y ~ a + c + (1 | site)", "poisson", release_set="anchored")
    fixed = [{"name": n, "se": s} for n, s in (("i", 1.0), ("a", 1.0), ("c", None))]
    fitted: Any = SimpleNamespace(accuracy=SimpleNamespace())
    some = opened(("anchored", 3))

    def warned(*error):
        fitted.accuracy.error = np.array(error)
        return large_warnings(study, some, fixed, fitted)

    (text,) = warned(0.05, 0.11, 9.0)
    assert "0.1 standard errors: a; see approx_error; ask for order 4" in text
    assert warned(0.05, 0.1, 9.0) == []


@pytest.mark.parametrize(
    ("formula", "columns", "says"),
    [
        ("y ~ c + (1 | site)", BOUNDED, "heavy tails (take its logarithm)"),
        ("y ~ a + c + (1 | site)", None, "or declare the bounds of 'a', 'c')"),
        ("y ~ f + (1 | site)", BOUNDED, "heavy tails"),
    ],
)
def test_bounds_are_asked_for_where_there_are_none(formula, columns, says):
    """Not of a column that has them, and not of a factor."""
    options = {} if columns is None else {"columns": columns}
    study = study_of(formula, "poisson", **options)
    fitted: Any = SimpleNamespace(
        residual=0.5, residuals={("s1",): 0.02, ("s2",): 0.5, ("s3",): 1e-9}, reduced=()
    )

    (text,) = missed_warnings(study, fitted)

    assert text.endswith(says)
    assert "the pseudo-data of 's2', 's1' miss a released sum by up to 0.5" in text
