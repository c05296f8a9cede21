"""Model columns from atoms are formulaic's own model matrix."""

import numpy as np
import pandas as pd
import pytest
from formulaic import model_matrix
from hypothesis import given, settings
from hypothesis import strategies as st

from fedglmm_flower.errors import DataError
from fedglmm_flower.glmm.design import (
    BlockSums,
    basis_of,
    products_of_sums,
    rows_of_table,
)
from fedglmm_flower.glmm.evaluate import atom_rows, evaluate_monomials
from fedglmm_flower.glmm.table import typed_table
from fedglmm_flower.study import Column, build_model
from fedglmm_flower.study.polynomial import multiply_monomials

RHS = [
    "1",
    "0 + f",
    "x",
    "x*f",
    "f:x",
    "f*g*x - 1",
    "f:g",
    "0 + f:g",
    "C(g) + f:z",
    "z*f + I(z**2)",
    "x + I(x**2) + I(x**3)",
    "I((x - e)**2) + I(-2*x**2*e/3)",
    "log(e)*f + sqrt(e):x",
    "(x + e + f)**2 - x:e",
    "x/f",
    "3:x + e:f:2",
    "np.exp(x) + I(1/e)",
]


@st.composite
def tables(draw):
    """Random tables of the declared kinds, with odd constants of the study."""
    n = draw(st.integers(1, 12))

    def column(values):
        return draw(st.lists(values, min_size=n, max_size=n))

    frame = pd.DataFrame(
        {
            "y": np.zeros(n),
            "x": column(st.floats(-3, 3)),
            "e": column(st.floats(0.1, 5)),
            "z": column(st.sampled_from([0.0, 1.0])),
            "f": pd.Categorical(column(st.sampled_from("abc")), list("abc")),
            "g": pd.Categorical(column(st.sampled_from("vu")), list("vu")),
        }
    )
    center, scale = draw(st.floats(-2, 2)), draw(st.floats(0.1, 4))
    columns = (
        Column("y", "continuous"),
        Column("x", "continuous", center=center, scale=scale),
        Column("e", "continuous", center=scale, scale=2.0),
        Column("z", "binary"),
        Column("f", "categorical", ("a", "b", "c")),
        Column("g", "categorical", ("v", "u")),
    )
    scales = {"log(e)": (center, scale), "(x - e)": (1.0, 2.0), "x - e": (1.0, 2.0)}
    return frame, columns, scales


def columns_of(frame, columns, scales, rhs):
    """Fixed-effects columns, from the atoms of the table."""
    model = build_model(
        f"y ~ {rhs}", columns, family="gaussian", link="identity", scales=scales
    )
    used = [model.columns[name] for name in model.used_columns]
    rows = atom_rows(model, typed_table(frame, used))
    basis = basis_of(model)
    functions = evaluate_monomials(rows.values, basis.monomials, model.factors)
    return model, (basis.fixed @ functions).T


@pytest.mark.parametrize("rhs", RHS)
@settings(max_examples=25, deadline=None)
@given(drawn=tables())
def test_columns_from_atoms_equal_formulaics_model_matrix(drawn, rhs):
    """Whatever the constants of the study, and whichever levels occur."""
    frame, columns, scales = drawn
    # formulaic must meet every level once to code as declared.
    extra = pd.DataFrame(
        {
            "y": 0.0,
            "x": 1.0,
            "e": 1.0,
            "z": 0.0,
            "f": pd.Categorical(list("abcabc"), list("abc")),
            "g": pd.Categorical(list("vuvuvu"), list("vu")),
        }
    )
    full = pd.concat([frame, extra], ignore_index=True)
    expected = model_matrix(rhs, full, context={"sqrt": np.sqrt})
    model, found = columns_of(full, columns, scales, rhs)

    assert [column.name for column in model.fixed] == list(expected.columns)
    np.testing.assert_allclose(found, np.asarray(expected), rtol=1e-9, atol=1e-7)


def gaussian(formula="y ~ x + (1 | a/b)"):
    """A model with nested groups."""
    columns = (Column("x", "continuous"), Column("y", "continuous"))
    return build_model(formula, columns, family="gaussian", link="identity")


def test_nested_groups_are_told_apart_by_their_whole_path():
    """Ward "b:c" of "a" is another one than ward "c" of "a:b"."""
    model = gaussian()
    frame = pd.DataFrame({"x": [1.0, 2, 3], "y": [0.0, 0, 0]})
    rows = atom_rows(model, typed_table(frame, list(model.columns.values())))
    groups = {"a": ["a", "a:b", "a"], "b": ["b:c", "c", "b:c"]}
    inner = rows_of_table(model, rows, groups, n_rows=3).random[1]

    assert inner.levels == ("a:b:c", "a:b:c")
    assert inner.index[0] == inner.index[2] != inner.index[1]


def test_levels_of_a_group_are_sorted():
    """The same data give the same numbers in any order of rows; 2 is before 10."""
    model = gaussian("y ~ x + (1 | a)")
    frame = pd.DataFrame({"x": [1.0, 2, 3], "y": [0.0, 0, 0]})
    rows = atom_rows(model, typed_table(frame, list(model.columns.values())))
    random = rows_of_table(model, rows, {"a": ["s", "10", "2"]}, n_rows=3).random[0]

    assert random.levels == ("2", "10", "s")
    assert random.index.tolist() == [2, 1, 0]


def test_a_missing_group_is_refused():
    """By name, before the engine is asked."""
    model = gaussian()
    frame = pd.DataFrame({"x": [1.0], "y": [0.0]})
    rows = atom_rows(model, typed_table(frame, list(model.columns.values())))
    with pytest.raises(DataError, match="'b'"):
        rows_of_table(model, rows, {"a": ["1"]}, n_rows=1)


def test_cross_products_follow_from_released_sums(rng):
    """No row is needed for a gaussian model."""
    model = gaussian("y ~ x + I(x**2) + (1 | a)")
    x, y = rng.normal(size=(2, 20))
    basis = basis_of(model)
    functions = evaluate_monomials(x[:, None], basis.monomials, model.factors)
    products = {
        multiply_monomials(m, n, model.factors): float(functions[i] @ functions[j])
        for i, m in enumerate(basis.monomials)
        for j, n in enumerate(basis.monomials)
    }
    by_monomial = {m: v for m, v in products.items() if m is not None}
    by_y = dict(zip(basis.monomials, (functions @ y).tolist(), strict=True))
    block = BlockSums(by_monomial, by_y, float(y @ y), 20, 20.0)
    found = products_of_sums(model, [block], {"a": ["s"]})
    stacked = np.vstack([functions, y])

    np.testing.assert_allclose(found.products[0], stacked @ stacked.T, rtol=1e-12)
