"""Typed tables: every cell is checked, and no message repeats one."""

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.errors import DataError
from fedglmm_flower.glmm.table import as_labels, as_text, require_columns, typed_table
from fedglmm_flower.study import Column

X = Column("x", "continuous", low=0.0, high=100.0)
Z = Column("z", "binary")
F = Column("f", "categorical", ("a", "b"))


def typed(cells, column, dtype="string"):
    """One column after the check."""
    frame = pd.DataFrame({column.name: pd.Series(cells, dtype=dtype)})
    return typed_table(frame, [column], first_row=11).columns[column.name]


@pytest.mark.parametrize(
    ("cells", "dtype"),
    [
        (["1.5", " 2 ", "", "NaN", "nan", "1e1"], "string"),
        (["1.5", "2", None, " ", "NAN", "+10.0"], object),
        ([1.5, 2, np.nan, np.nan, np.nan, 10], "float64"),
        ([1.5, 2, None, None, None, 10], "Float64"),
        ([1.5, 2, None, None, None, 10], object),
        (pd.Categorical([1.5, 2, None, None, None, 10]), None),
    ],
)
def test_numbers_are_read_from_text_and_from_native_values(cells, dtype):
    """An empty cell and NaN are missing."""
    expected = [1.5, 2, np.nan, np.nan, np.nan, 10]

    np.testing.assert_array_equal(typed(cells, X, dtype), expected)


@pytest.mark.parametrize("dtype", ["int64", "Int64", "bool", "boolean", "uint8"])
def test_a_binary_column_may_be_of_any_native_type(dtype):
    """Truth values are zeros and ones."""
    np.testing.assert_array_equal(typed([1, 0, 1], Z, dtype), [1, 0, 1])


def test_text_is_read_to_the_last_digit():
    """The same number, however it reaches the site."""
    values = np.random.default_rng(3).uniform(0, 100, 500)

    np.testing.assert_array_equal(typed([repr(float(v)) for v in values], X), values)


@pytest.mark.parametrize(
    ("cell", "column", "says"),
    [
        ("7,77", X, "text that is no number"),
        ("7_77", X, "text that is no number"),
        ("0x777", X, "text that is no number"),
        ("n/a777", X, "text that is no number"),
        ("777\x00", X, "text that is no number"),
        ("777777", X, "outside the declared bounds"),
        ("-777", X, "outside the declared bounds"),
        ("inf", X, "an infinite number"),
        ("-Infinity", X, "an infinite number"),
        ("7e777", X, "an infinite number"),
        ("777", Z, "outside 0 and 1"),
        ("0.777", Z, "outside 0 and 1"),
        ("level777", F, "no declared level"),
        (" a777", F, "no declared level"),
        ("A", F, "no declared level"),
        ("nan", F, "no declared level"),
    ],
)
def test_a_faulty_cell_is_named_by_its_row_and_not_by_its_value(cell, column, says):
    """The first row of many is told, with what to do; never the cell."""
    good = column.levels[0] if column.levels else "1"
    with pytest.raises(DataError, match=r"^table: column '.'") as caught:
        typed([good, cell, cell], column)

    assert says in str(caught.value)
    assert "2 rows (the first is row 12)" in str(caught.value)
    assert "777" not in str(caught.value)


@pytest.mark.parametrize(
    ("dtype", "says"),
    [("complex128", "text that is no number"), ("datetime64[ns]", "dates or times")],
)
def test_a_native_type_that_is_no_number_is_refused(dtype, says):
    """Not cast in silence."""
    with pytest.raises(DataError, match=says):
        typed([1, 2], X, dtype)


def test_declared_levels_are_text_even_if_spelled_like_missing_ones():
    """A level "" or "NaN" is a level; only what is not declared can be missing."""
    odd = Column("f", "categorical", ("", "NaN", "b"))

    np.testing.assert_array_equal(typed(["", "NaN", "b"], odd), [0, 1, 2])
    np.testing.assert_array_equal(typed(["a", "", "NaN"], F), [0, np.nan, np.nan])
    np.testing.assert_array_equal(typed([None, "b"], odd, object), [np.nan, 2])


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (pd.Series([1.0, 2.0, np.nan]), ["1", "2", None]),
        (pd.Series([1.5, 2.0]), ["1.5", "2.0"]),
        (pd.Series([1, 2]), ["1", "2"]),
        (pd.Series([np.inf, 1.0]), ["inf", "1.0"]),
        (pd.Series([1e300, 1.0]), ["1e+300", "1.0"]),
        (pd.Series(pd.Categorical([1, 2, None])), ["1", "2", None]),
        (pd.Series(pd.Categorical([2.0, None, 1.0])), ["2", None, "1"]),
        (pd.Series(pd.Categorical(["b", None], ["b", "a"])), ["b", None]),
        (pd.Series(pd.Categorical([None, None], ["a"])), [None, None]),
        (pd.Series(pd.Categorical([None, None], [])), [None, None]),
        (pd.Series([True, False]), ["True", "False"]),
        (pd.Series([], dtype=float), []),
    ],
)
def test_whole_numbers_as_text_have_no_decimal_point(cells, expected):
    """A column of codes is the same text, whether a value is missing or not."""
    found = as_text(cells)

    assert [None if pd.isna(cell) else cell for cell in found] == expected
    assert found.index.equals(cells.index)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (["x"], "column 'y' is missing; found x; "),
        (["x", "y", "y"], "stands 2 times"),
        (["x", "Y", " y"], "found x, Y,  y; "),
        (["17.25", "62"], "look like a row and not a header"),
        ([], "is missing"),
        (["\x1f\x8b\x1b[2J"], "missing; its header is no readable text"),
        (["\N{REPLACEMENT CHARACTER}\0x"], "its header is no readable text"),
        (["x\tz"], "found x\tz; "),
        ([f"c{i}" for i in range(30)], "c19, ...;"),
    ],
)
def test_needed_columns_stand_once(header, says):
    """A file without a header is told without its first row."""
    with pytest.raises(DataError) as caught:
        require_columns(header, ["y"], "table")

    assert says in str(caught.value)
    assert "17.25" not in str(caught.value)


@pytest.mark.parametrize(
    ("cells", "dtype", "labels"),
    [
        ([3, 1, 3], "int64", ["3", "1", "3"]),
        ([3.0, 1.0, np.nan], "float64", ["3", "1", None]),
        ([3, None, 1], "Int64", ["3", None, "1"]),
        (["b", "", "NaN", "a", "b"], object, ["b", None, None, "a", "b"]),
        (["b", None, "a"], "string", ["b", None, "a"]),
        ([1, "1", None], object, ["1", "1", None]),
        (pd.Categorical(["b", None, "a"]), None, ["b", None, "a"]),
    ],
)
def test_labels_are_the_text_of_cells(cells, dtype, labels):
    """Levels are turned into text once, with the same result as cell by cell."""
    found = as_labels(pd.Series(cells, dtype=dtype))

    assert [None if pd.isna(label) else label for label in found] == labels
    assert sorted(found.categories) == sorted({x for x in labels if x is not None})
