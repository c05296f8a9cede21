"""Columns of a study, read off a table that may be seen as a whole."""

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.errors import DataError, FedglmmError, StudyError
from fedglmm_flower.glmm.propose import Question, propose_columns
from fedglmm_flower.study import Column, parse_formula
from fedglmm_flower.study.families import resolve_link


def propose(formula, table, family="gaussian", levels=None, **options):
    """Proposed columns by name, and scales of expressions."""
    parts = {"trials": None, "offset": None, "weights": None} | options
    question = Question(
        parse_formula(formula),
        family,
        resolve_link(family, None),
        levels=levels or {},
        **parts,
    )
    columns, scales = propose_columns(question, pd.DataFrame(table))
    return {column.name: column for column in columns}, scales


Y = [1.5, 2.5, 4.0, 3.0]


def test_kinds_follow_from_the_values():
    """Numbers, zeros and ones, and text."""
    columns, _ = propose(
        "y ~ x + z + t + c + C(k)",
        {
            "y": Y,
            "x": ["1", "2", "", "6"],
            "z": ["0", "1", "1", "NaN"],
            "t": ["b", "a", "", "b"],
            "c": pd.Categorical(["m", "l", "m", "l"], ["m", "x", "l"]),
            "k": ["10", "9", "10", "9"],
            "ignored": ["?"] * 4,
        },
    )

    assert columns == {
        "y": Column("y", "continuous", low=1.5, high=4.0, center=2.75, scale=0.9014),
        "x": Column("x", "continuous", low=1.0, high=6.0, center=3.0, scale=2.16),
        "z": Column("z", "binary", low=0.0, high=1.0),
        "t": Column("t", "categorical", ("a", "b")),
        "c": Column("c", "categorical", ("m", "l")),
        "k": Column("k", "categorical", ("9", "10")),
    }


def test_declared_levels_win():
    """The first is the reference, and none is missing."""
    columns, _ = propose(
        "y ~ f", {"y": Y, "f": ["", "2", "NaN", "2"]}, levels={"f": ["NaN", "", "2"]}
    )

    assert columns["f"].levels == ("NaN", "", "2")


def test_a_column_that_is_calculated_with_is_a_number():
    """Even where only 0 and 1 occur."""
    columns, scales = propose("y ~ log(d + 1)", {"y": Y, "d": [0, 1, 0, 1]})

    assert columns["d"].kind == "continuous"
    assert scales == (("log(d + 1)", 0.3466, 0.3466),)


def test_a_text_response_of_two_values_is_an_event():
    """The second value in alphabetical order."""
    columns, _ = propose("r ~ x", {"r": ["no", "yes", "no", "no"], "x": Y}, "binomial")

    assert columns["r"].levels == ("no", "yes")


def test_numbers_of_any_size_are_read():
    """Floats beyond the whole numbers are no reason to fail."""
    columns, _ = propose("y ~ x", {"y": Y, "x": [1e30, 2e30, 3e30, 5e30]})

    assert columns["x"].high == 5e30


@pytest.mark.parametrize(
    ("formula", "table", "says"),
    [
        ("y ~ q", {"y": Y}, "'q' is missing"),
        ("y ~ x", {"y": Y, "x": [1.0] * 4}, "constant over all sites"),
        ("y ~ x", {"y": Y, "x": ["a"] * 4}, "constant over all sites"),
        ("y ~ x", {"y": Y, "x": [""] * 4}, "has no value"),
        ("y ~ x", {"y": Y, "x": [1, 2, 3, np.inf]}, "1 infinite numbers"),
        ("y ~ x", {"y": Y, "x": [1, 2, 3, -np.inf]}, "1 infinite numbers"),
        ("y ~ log(x)", {"y": Y, "x": ["1", "777a", "3", "4"]}, "first in row 2"),
        ("t ~ x", {"t": ["a", "b", "a", "b"], "x": Y}, "hold text"),
    ],
)
def test_what_no_study_can_use_is_refused(formula, table, says):
    """What every site would reject is an error."""
    with pytest.raises(DataError, match=r"^table: ") as caught:
        propose(formula, table)

    assert says in str(caught.value)
    assert "777a" not in str(caught.value)


def test_numbers_with_a_few_faulty_cells_are_not_taken_for_a_factor():
    """One typing error must not make twenty levels."""
    table = {"y": np.arange(30.0), "x": [*map(str, range(29)), "3O"]}
    with pytest.raises(DataError, match=r"1 cells \(the first in row 30\)"):
        propose("y ~ x", table)


def test_a_column_is_a_number_or_a_factor():
    """Both at once needs a copy of the column."""
    with pytest.raises(StudyError, match="as a number and as a factor"):
        propose("y ~ C(d) + offset(d)", {"y": Y, "d": [1, 2, 1, 2]})


def test_a_column_too_large_for_its_mean_is_refused():
    """No constant of a study is infinite."""
    with pytest.raises(FedglmmError):
        propose("y ~ x", {"y": Y, "x": [1e308, 1.1e308, 1.2e308, 1.3e308]})
