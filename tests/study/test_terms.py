"""Model columns: formulaic's names and order, without a row of data."""

import time

import numpy as np
import pandas as pd
import pytest
from formulaic import model_matrix

from fedglmm_flower.errors import FormulaError
from fedglmm_flower.study import Column
from fedglmm_flower.study.terms import expand_terms

COLUMNS = {
    column.name: column
    for column in (
        Column("a", "continuous"),
        Column("b", "continuous"),
        Column("z", "binary"),
        Column("my col", "continuous"),
        Column("class", "continuous"),
        Column("µg", "continuous"),
        Column("a.b", "continuous"),
        Column("f", "categorical", ("u", "v w", "[x]")),
        Column("g", "categorical", ("0", "1")),
    )
}
TABLE = pd.DataFrame(
    {
        **{
            name: np.linspace(0.1, 1, 12) ** (i + 1)
            for i, name in enumerate(["a", "b", "my col", "class", "µg", "a.b"])
        },
        "z": [0, 1] * 6,
        "f": pd.Categorical(["u", "v w", "[x]"] * 4, ["u", "v w", "[x]"]),
        "g": pd.Categorical(["0", "0", "1"] * 4),
    }
)


def names(rhs):
    """Names of the model columns."""
    return [term.name for term in expand_terms(rhs, COLUMNS)]


@pytest.mark.parametrize(
    "rhs",
    [
        "1",
        "0",
        "-1",
        "a - 1",
        "0 + f",
        "a*f",
        "f:a",
        "f*g*a",
        "f:g - 1",
        "C(f) + C(g):a",
        "a + I(a**2) + log(a)",
        "`my col`*f",
        "I(`my col`**2)",
        "`µg`",
        "`class`",
        "`a.b`",
        "(a + b + z)**2 - a:b",
        "a/b",
        "f %in% a",
        "2:a",
        "a:a",
        "{a + b}",
        "np.log(a)",
        "a + I(a)",
    ],
)
def test_columns_are_named_and_ordered_as_formulaic_does(rhs):
    """Results are read beside those of other software."""
    assert names(rhs) == list(model_matrix(rhs, TABLE).columns)


def test_a_logarithm_is_not_evaluated_on_the_probe():
    """No warning about numbers that nobody sent, whatever is subtracted."""
    assert names("log(a - 5)") == ["Intercept", "log(a - 5)"]


@pytest.mark.parametrize(
    ("rhs", "says"),
    [
        ("q", "'q' is not declared"),
        ("C(q)", "'q' is not declared"),
        ("log(q)", "'q' is not declared"),
        (".", "stands for all columns"),
        ("a +", "cannot be read"),
        ("a b", "cannot be read"),
        ("3", "cannot be read"),
        ("'a'", "cannot be read"),
        ("a ~ b", "several parts"),
        ("a | b", "several parts"),
        ("I(3)", "holds no column"),
        ("C(a)", "declared continuous"),
        ("C(z)", "declared binary"),
        ("C(f, contr.sum)", "coding of its own"),
        ("C(f, levels=['u'])", "coding of its own"),
        ("log(f)", "calculates with the categorical"),
        ("I(f * a)", "calculates with the categorical"),
        ("scale(a)", "depends on all rows"),
        ("poly(a, 2)", "depends on all rows"),
        ("bs(a, df=4)", "depends on all rows"),
        ("hashed(f)", "not known"),
        ("Q('a')", "not known"),
        ("{__import__('os')}", "not known"),
        ("I(a.mean())", "not known"),
        ("I(__import__('os').system('true'))", "contains call"),
    ],
)
def test_what_every_site_could_not_compute_alike_is_refused(rhs, says):
    """Refused by name before formulaic evaluates anything."""
    with pytest.raises(FormulaError, match="formula: ") as caught:
        expand_terms(rhs, COLUMNS)

    assert says in str(caught.value)


def test_nothing_of_a_formula_is_executed(tmp_path):
    """Not even where Python's own evaluation would come to it."""
    mark = tmp_path / "executed"
    for shell in ("I({})", "{{{}}}", "C({})", "log({})", "np.log({})", "a:I({})"):
        code = f"__import__('pathlib').Path({str(mark)!r}).touch() or a"
        with pytest.raises(FormulaError):
            expand_terms(shell.format(code), COLUMNS)

    assert not mark.exists()


MANY = {f"l{i}": Column(f"l{i}", "categorical", tuple("abcdefghij")) for i in range(9)}


@pytest.mark.parametrize(
    "rhs",
    [
        "(a + b + z + f)**12",
        "(a + b)**200",
        "a**1000000000",
        "*".join(MANY),
        "0 + " + ":".join(MANY),
        "+".join(MANY) + "+" + "+".join(f"{x}:{y}" for x in MANY for y in MANY),
    ],
)
def test_a_short_formula_of_many_columns_is_refused_at_once(rhs):
    """A study from a stranger must not keep a site busy."""
    started = time.perf_counter()
    with pytest.raises(FormulaError, match="leave out interactions"):
        expand_terms(rhs, COLUMNS | MANY)

    assert time.perf_counter() - started < 5
