"""Values of a model's parts on the complete rows of a table."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedglmm_flower.errors import DataError
from fedglmm_flower.glmm.evaluate import (
    atom_rows,
    evaluate_expression,
    evaluate_monomials,
)
from fedglmm_flower.glmm.table import typed_table
from fedglmm_flower.study import Column, build_model
from fedglmm_flower.study.expression import parse_expression

NAMES = ("x", "e", "k", "n", "w")
COLUMNS = (
    *(Column(name, "continuous") for name in NAMES),
    Column("z", "binary"),
    Column("g", "categorical", ("no", "yes")),
)
LINKS = {
    "gaussian": "identity",
    "binomial": "logit",
    "poisson": "log",
    "gamma": "log",
    "nbinom2": "log",
}


def evaluate(formula, family="gaussian", *, whole_counts=True, cells, **options):
    """Atom rows of a small table; columns that are not given are ones."""
    size = len(next(iter(cells.values())))
    whole = {name: [1.0] * size for name in NAMES} | {"z": [1] * size} | cells
    frame = pd.DataFrame({"g": ["yes"] * size} | whole)
    model = build_model(formula, COLUMNS, family=family, link=LINKS[family], **options)
    used = [model.columns[name] for name in model.used_columns]
    return atom_rows(model, typed_table(frame, used), whole_counts=whole_counts)


@pytest.mark.parametrize(
    ("text", "function"),
    [
        ("x", lambda x, e: x),
        ("-x**2 + +e", lambda x, e: -(x**2) + e),
        ("(x - 1)/e * 2", lambda x, e: (x - 1) / e * 2),
        (
            "log(e) + log10(e)*log2(e)",
            lambda x, e: np.log(e) + np.log10(e) * np.log2(e),
        ),
        ("exp(x) - expm1(x)", lambda x, e: np.exp(x) - np.expm1(x)),
        ("sqrt(e)**log1p(e)", lambda x, e: np.sqrt(e) ** np.log1p(e)),
        ("abs(x)", lambda x, e: np.abs(x)),
        ("2**x", lambda x, e: 2.0**x),
    ],
)
def test_an_expression_has_numpys_value(text, function, rng):
    """The walked tree computes what Python would."""
    x, e = rng.normal(size=50), rng.uniform(0.1, 5, 50)
    found = evaluate_expression(parse_expression(text), {"x": x, "e": e})

    np.testing.assert_allclose(found, function(x, e), rtol=1e-15)


def test_an_undefined_value_is_no_warning():
    """It is refused later with the number of rows, not printed here."""
    found = evaluate_expression(parse_expression("log(x)/0"), {"x": np.array([-1.0])})

    assert not np.isfinite(found).any()


@given(
    values=st.lists(
        st.tuples(st.floats(-2, 2), st.integers(0, 2), st.floats(-2, 2)), max_size=6
    ),
    monomials=st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 4)), max_size=6
    ),
)
def test_monomials_are_products_of_powers_and_indicators(values, monomials):
    """Whether or not their divisors are asked for too."""
    rows = np.array(values, dtype=float).reshape(-1, 3)
    found = evaluate_monomials(rows, monomials, (False, True, False))
    for line, (a, level, b) in zip(found, monomials, strict=True):
        flag = (rows[:, 1] == level) | (level == 0)

        np.testing.assert_allclose(
            line, rows[:, 0] ** a * flag * rows[:, 2] ** b, rtol=1e-12, atol=1e-12
        )


def brute_force(rows, monomials, factors):
    """Each function from its definition, on its own."""
    out = []
    for monomial in monomials:
        line = np.ones(len(rows))
        for x, e, is_factor in zip(rows.T, monomial, factors, strict=True):
            if e:
                line = line * ((x == e) if is_factor else x**e)
        out.append(line)
    return np.array(out).reshape(len(monomials), len(rows))


@pytest.mark.parametrize(
    "monomials",
    [
        [(0, 0, 0, 0)],
        [(2, 0, 0, 0), (2, 0, 0, 0), (0, 0, 0, 0), (0, 0, 0, 0), (2, 0, 0, 0)],
        [(3, 1, 2, 2)],
        [(3, 1, 2, 2), (3, 1, 2, 0), (3, 1, 0, 0), (0, 1, 0, 0), (3, 1, 2, 2)],
        [(0, 2, 1, 0), (0, 1, 1, 0), (0, 2, 2, 0), (0, 2, 0, 3), (0, 0, 2, 3)],
        [(1, 0, 0, 1), (0, 0, 0, 1), (1, 0, 0, 0), (4, 0, 0, 4), (0, 0, 0, 4)],
    ],
    ids=["constant", "twice", "no divisor", "divisors later", "factors", "powers"],
)
def test_products_in_any_order_have_the_value_of_each_alone(monomials, rng):
    """Repeated, without a divisor in the list, or with it behind, and asked again."""
    factors = (False, True, True, False)
    columns = rng.normal(size=(40, 2)), rng.integers(0, 3, (40, 2))
    rows = np.column_stack([columns[0][:, 0], columns[1], columns[0][:, 1]])

    for again in (monomials, monomials[::-1], monomials):
        found = evaluate_monomials(rows, again, factors)

        assert found.shape == (len(again), 40)
        np.testing.assert_allclose(found, brute_force(rows, again, factors), rtol=1e-12)


def test_the_order_of_products_belongs_to_the_kinds_of_the_columns(rng):
    """The same exponents are levels in one model and powers in another."""
    rows = rng.integers(0, 3, (30, 2)).astype(float)
    for factors in ((True, False), (False, True), (True, True), (False, False)):
        found = evaluate_monomials(rows, [(2, 1), (1, 2)], factors)

        np.testing.assert_allclose(found, brute_force(rows, [(2, 1), (1, 2)], factors))


def test_rows_with_a_missing_value_are_dropped_and_counted():
    """A missing value in any used column drops the row; others do not matter."""
    rows = evaluate(
        "k ~ x + offset(e)",
        cells={
            "x": [1.0, np.nan, 3, 4, 5],
            "e": [1.0, 2, np.nan, np.nan, 5],
            "w": [np.nan] * 5,
        },
    )

    assert rows.n_missing == 3
    assert rows.kept.tolist() == [True, False, False, False, True]
    assert rows.values[:, 0].tolist() == [1.0, 5.0]
    assert rows.offset.tolist() == [1.0, 5.0]


def test_a_row_of_zero_weight_is_no_row():
    """It is neither summed nor counted as missing, and may even be undefined."""
    rows = evaluate(
        "k ~ log(x)", cells={"x": [1.0, -1, 2], "w": [2.0, 0, 1]}, weights="w"
    )

    assert (rows.n_missing, rows.weights.tolist()) == (0, [2.0, 1.0])
    assert rows.kept.tolist() == [True, False, True]


def test_a_level_of_a_response_is_an_event():
    """The second level is the event."""
    rows = evaluate("g ~ x", "binomial", cells={"g": ["no", "yes", ""]})

    assert (rows.response.tolist(), rows.n_missing) == ([0.0, 1.0], 1)


@pytest.mark.parametrize(
    ("formula", "family", "cells", "options", "says"),
    [
        ("k ~ log(x)", "gaussian", {"x": [1, 0, 0]}, {}, "log(x): 2 rows with an inf"),
        ("k ~ I(1/x)", "gaussian", {"x": [1, 0]}, {}, "infinite or undefined"),
        ("log(k) ~ x", "gaussian", {"k": [1, 0]}, {}, "infinite or undefined"),
        ("k ~ x", "gaussian", {"w": [1, -1]}, {"weights": "w"}, "negative weight"),
        ("k ~ x", "poisson", {"x": [1, 0]}, {"offset": "log(x)"}, "infinite"),
        ("k ~ x", "binomial", {"k": [1, 2]}, {}, "other than 0 and 1"),
        ("k ~ x", "binomial", {"k": [1, 0.5]}, {}, "other than 0 and 1"),
        ("k ~ x", "binomial", {"k": [1, 2]}, {"trials": "n"}, "more events than tri"),
        ("k ~ x", "binomial", {"k": [-1.0]}, {"trials": "n"}, "negative count"),
        ("k ~ x", "binomial", {"k": [0.5]}, {"trials": "n"}, "no whole number"),
        ("k ~ x", "binomial", {"n": [1.5]}, {"trials": "n"}, "trials that is no whole"),
        ("k ~ x", "binomial", {"n": [-1.0]}, {"trials": "n"}, "negative number of tri"),
        ("cbind(k, n) ~ x", "binomial", {"n": [-1.0]}, {}, "more events than trials"),
        ("k ~ x", "poisson", {"k": [-1.0]}, {}, "negative count"),
        ("k ~ x", "poisson", {"k": [1.5]}, {}, "no whole number"),
        ("k ~ x", "nbinom2", {"k": [1.5]}, {}, "no whole number"),
        ("k ~ x", "gamma", {"k": [0.0]}, {}, "not positive"),
    ],
)
def test_values_outside_the_family_are_refused(formula, family, cells, options, says):
    """With the number of rows and the way out, and without the value."""
    with pytest.raises(DataError, match=r"^table: ") as caught:
        evaluate(formula, family, cells=cells, **options)

    assert says in str(caught.value)


def test_pseudo_data_may_have_fractional_counts():
    """Only real rows must be whole."""
    rows = evaluate("k ~ x", "poisson", whole_counts=False, cells={"k": [1.5]})

    assert rows.response.tolist() == [1.5]


def test_a_table_without_rows_has_no_rows():
    """An empty batch is ordinary."""
    rows = evaluate("k ~ x + g", cells={"k": []})

    assert rows.values.shape == (0, 2)
