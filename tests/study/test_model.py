"""A formula over declared columns, reduced to atoms."""

import pytest

from fedglmm_flower.errors import FormulaError, StudyError
from fedglmm_flower.study import Column, build_model

COLUMNS = (
    Column("x", "continuous", center=2.0, scale=3.0),
    Column("e", "continuous"),
    Column("y", "continuous", center=5.0, scale=2.0),
    Column("k", "continuous"),
    Column("n", "continuous"),
    Column("z", "binary"),
    Column("f", "categorical", ("a", "b", "c")),
    Column("g", "categorical", ("no", "yes")),
)
LINKS = {"gaussian": "identity", "binomial": "logit", "poisson": "log"}


def model(formula, family="gaussian", **options):
    """A model over the columns."""
    return build_model(formula, COLUMNS, family=family, link=LINKS[family], **options)


@pytest.mark.parametrize(
    ("rhs", "atoms"),
    [
        ("1", []),
        ("x*f", ["x", "f"]),
        ("I(x**2) + I(x**3) + x:z", ["x", "z"]),
        ("log(x) + I(log(x)**2)", ["log(x)"]),
        ("I(x*e**2)", ["x", "e"]),
        ("I(x - e)", ["x - e"]),
        ("I(z**2) + I(2*z)", ["z"]),
        ("C(f) + f", ["f"]),
        ("x + (1 + e | s)", ["x", "e"]),
    ],
)
def test_powers_and_products_share_their_atoms(rhs, atoms):
    """An interaction is always the product of its parts."""
    assert [atom.name for atom in model(f"y ~ {rhs}").atoms] == atoms


def test_a_polynomial_holds_the_constants_of_the_column():
    """X = 2 + 3 z, so x squared is 4 + 12 z + 9 z squared."""
    columns = model("y ~ I(x**2):f").fixed

    assert columns[0].polynomial == {(0, 0): 1.0}
    assert columns[2].name == "I(x ** 2):f[b]"
    assert columns[2].polynomial == {(0, 1): 4.0, (1, 1): 12.0, (2, 1): 9.0}


def test_only_a_gaussian_response_is_shifted_and_scaled():
    """Counts keep their zero."""
    assert model("y ~ x").response.center == 5.0
    assert model("y ~ x", "poisson").response.center == 0.0
    assert model("log(y) ~ x", scales={"log(y)": (1.0, 2.0)}).response.scale == 2.0


def test_used_columns_are_those_of_every_part():
    """A missing value in any of them drops the row; other columns are ignored."""
    full = model("cbind(k, n - k) ~ x + offset(e)", "binomial", weights="y")

    assert full.used_columns == ("x", "e", "y", "k", "n")
    assert model("g ~ f", "binomial").used_columns == ("f", "g")


def test_offsets_of_formula_and_option_are_added():
    """Neither is dropped in silence."""
    offset = model("k ~ offset(e)", "poisson", offset="log(n)").offset

    assert offset is not None
    assert offset.text == "e + log(n)"


@pytest.mark.parametrize(
    ("formula", "family", "options", "says"),
    [
        ("q ~ x", "gaussian", {}, "'q' of the response is not declared"),
        ("y ~ q", "gaussian", {}, "'q' is not declared"),
        ("y ~ x + (q | s)", "gaussian", {}, "'q' is not declared"),
        ("y ~ x + (0 | s)", "gaussian", {}, "has no columns"),
        ("f ~ x", "binomial", {}, "3 levels for the family binomial"),
        ("g ~ x", "poisson", {}, "2 levels for the family poisson"),
        ("log(f) ~ x", "gaussian", {}, "must be numeric"),
        ("cbind(f, n) ~ x", "binomial", {}, "categorical"),
        ("y ~ I(z - 1)", "gaussian", {}, "calculates with the 0/1 column"),
        ("y ~ log(z)", "gaussian", {}, "calculates with the 0/1 column"),
        ("y ~ x", "gaussian", {"weights": "f"}, "weights is categorical"),
        ("y ~ x", "gaussian", {"offset": "q"}, "'q' of the offset is not declared"),
        ("k ~ x", "binomial", {"trials": "q"}, "'q' of trials is not declared"),
        ("cbind(k, n) ~ x", "binomial", {"trials": "n"}, "one of the two"),
        ("y ~ I(x**12):I(e**12):I(k**12):I(n**12)", "gaussian", {}, "lower powers"),
    ],
)
def test_parts_that_do_not_fit_are_refused(formula, family, options, says):
    """By the name of the column and of the part."""
    with pytest.raises((FormulaError, StudyError), match="; ") as caught:
        model(formula, family, **options)

    assert says in str(caught.value)
