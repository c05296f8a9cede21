"""lme4's formula syntax: what is understood, and what is refused with a way out."""

import pytest

from fedglmm_flower.errors import FormulaError
from fedglmm_flower.study import parse_formula


def texts(formula):
    """The parts of a formula as plain text."""
    parts = [(p.terms, p.group, p.correlated) for p in formula.random]
    trials, offset = (e.text if e else None for e in (formula.trials, formula.offset))
    return formula.response.text, trials, formula.fixed, parts, offset


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("y ~ x", ("y", None, "x", [], None)),
        ("y~1", ("y", None, "1", [], None)),
        ("y ~ (1 | g)", ("y", None, "1", [("1", ("g",), True)], None)),
        ("y ~ 0 + x", ("y", None, "0 + x", [], None)),
        ("y ~ x - 1", ("y", None, "x - 1", [], None)),
        ("y ~ -1 + x", ("y", None, "- 1 + x", [], None)),
        ("y ~ + x", ("y", None, "x", [], None)),
        ("y ~ a:b + a*b", ("y", None, "a:b + a*b", [], None)),
        ("y ~ I(a^2) + `b^2`", ("y", None, "I(a**2) + `b^2`", [], None)),
        ("log(y) ~ I(x - 1)", ("log(y)", None, "I(x - 1)", [], None)),
        ("`a y` ~ x", ("`a y`", None, "x", [], None)),
        (
            "y ~ x + (1 + x || g)",
            ("y", None, "x", [("1 + x", ("g",), False)], None),
        ),
        (
            "y ~ (1 | a/b) + (0 + x | c:d)",
            (
                "y",
                None,
                "1",
                [
                    ("1", ("a",), True),
                    ("1", ("a", "b"), True),
                    ("0 + x", ("c", "d"), True),
                ],
                None,
            ),
        ),
        (
            "y ~ (1 | `a/b` / `c|d`) + (`x|z` || `e:f`)",
            (
                "y",
                None,
                "1",
                [
                    ("1", ("a/b",), True),
                    ("1", ("a/b", "c|d"), True),
                    ("`x|z`", ("e:f",), False),
                ],
                None,
            ),
        ),
        (
            "y ~ offset(log(e)) + x + offset(2 * f)",
            ("y", None, "x", [], "log(e) + 2 * f"),
        ),
        ("cbind(k, n - k) ~ 1", ("k", "n", "1", [], None)),
        ("cbind(k, a - b - k) ~ 1", ("k", "a - b", "1", [], None)),
        ("cbind(k, f) ~ 1", ("k", "k + f", "1", [], None)),
        ("cbind(a + b, n - (a + b)) ~ 1", ("a + b", "n", "1", [], None)),
        ("cbind(k, n - 2*k) ~ 1", ("k", "k + (n - 2 * k)", "1", [], None)),
        ("cbind(`a k`, n - `a k`) ~ 1", ("`a k`", "n", "1", [], None)),
    ],
)
def test_a_formula_is_split_as_lme4_splits_it(text, expected):
    """Response, trials, fixed part, random parts and offset each find their place."""
    assert texts(parse_formula(text)) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has not the form"),
        ("y", "has not the form"),
        ("~ x", "has not the form"),
        ("y ~", "has not the form"),
        ("y ~ x ~ z", "has not the form"),
        ("y ~ x +", "nothing follows '+'"),
        ("y ~ x + + z", "nothing follows '+'"),
        ("y ~ (1 | g", "not closed"),
        ("y ~ 1 | g)", "closes nothing"),
        ("y ~ (x]", "closes nothing"),
        ("y ~ `x", "not closed"),
        ("y ~ x | g", "stands alone in parentheses"),
        ("y ~ x + (z + (1 | g))", "stands alone in parentheses"),
        ("y ~ x*(1 | g)", "stands alone in parentheses"),
        ("y ~ (1 | a | b)", "several '|'"),
        ("y ~ (1 | )", "incomplete"),
        ("y ~ ( | g)", "incomplete"),
        ("y ~ (1 | a/)", "incomplete"),
        ("y ~ (1 | log(a))", "no grouping column"),
        ("y ~ (1 | 2)", "no grouping column"),
        ("y ~ x - (1 | g)", "is subtracted"),
        ("y ~ x - offset(z)", "is subtracted"),
        ("y ~ (1 | g) + (1 | g)", "written twice"),
        ("y ~ (1 + x | g) + (1+x | g)", "written twice"),
        ("y ~ (1 | a/b) + (1 | a:b)", "written twice"),
        ("cbind(k) ~ 1", "cbind takes two"),
        ("cbind(k, m, n) ~ 1", "cbind takes two"),
        ("y + ~ x", "no arithmetic expression"),
        ("y ~ offset()", "contains tuple"),
    ],
)
def test_what_is_no_mixed_model_formula_is_refused(text, says):
    """Each refusal names the fault and ends with what to write."""
    with pytest.raises(FormulaError, match="formula: ") as caught:
        parse_formula(text)

    assert says in str(caught.value)
    assert str(caught.value).count(";") >= 1
