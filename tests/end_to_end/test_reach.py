"""What a federation can be asked: every family, link, structure and method."""

import numpy as np
import pytest

from fedglmm_flower import glmm
from fedglmm_flower.coordinator import drawing
from tests.command import OPEN, question, refused, result_of, simulate, small_table

FAMILIES = {
    ("gaussian", "identity"): ("y", ("reml", "ml")),
    ("binomial", "logit"): ("e", ("laplace", "aghq:3")),
    ("binomial", "probit"): ("e", ("laplace", "aghq:3")),
    ("binomial", "cloglog"): ("e", ("laplace", "aghq:3")),
    ("poisson", "log"): ("c", ("laplace", "aghq:3")),
    ("gamma", "log"): ("pos", ("laplace", "aghq:3")),
    ("nbinom2", "log"): ("c", ("laplace", "aghq:3")),
}
STRUCTURES = {
    "none": "",
    "intercept": "(1 | hospital)",
    "slope": "(1 + x | hospital)",
    "independent": "(1 + x || hospital)",
    "slope alone": "(0 + x | hospital)",
    "two parts": "(1 | hospital) + (0 + x | hospital)",
    "several slopes": "(1 + x + b | hospital)",
    "site/clinic": "(1 | hospital/clinic)",
    "site and site:clinic": "(1 | hospital) + (1 | hospital:clinic)",
    "implicitly nested": "(1 | hospital) + (1 | clinic)",
    "clinic alone": "(1 | clinic)",
    "slope by clinic": "(1 | hospital) + (1 + x | hospital:clinic)",
}
TWO_LEVELS = {name for name, text in STRUCTURES.items() if "hospital" in text} & {
    name for name, text in STRUCTURES.items() if "clinic" in text
}
# Two small sets in turn: every two of family, structure, method and set meet.
SETS = (("--order", 1), ("--release-set", "canonical", "--order", 2))
CASES = [
    pytest.param(
        family,
        link,
        structure,
        method,
        SETS[(i + j + k) % 2],
        id=f"{family}-{link}-{structure}-{method}",
    )
    for i, ((family, link), (_, methods)) in enumerate(FAMILIES.items())
    for j, structure in enumerate(STRUCTURES)
    for k, method in enumerate(methods)
]


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    """Pseudo-data are drawn as seldom as for a large table."""
    monkeypatch.setattr(drawing, "MOST_ROWS", 0)


def asked_of(family, link, structure):
    """A table with clinics and a positive response, and the formula."""
    response, _ = FAMILIES[family, link]
    table = small_table().query("hospital != 'd'")
    table["clinic"] = table.hospital + table.g
    table["pos"] = np.exp(table.y)
    random = STRUCTURES[structure]
    return table, f"{response} ~ x + b" + (f" + {random}" if random else "")


@pytest.mark.parametrize(("family", "link", "structure", "method", "released"), CASES)
def test_every_question_is_fitted_or_told(
    family, link, structure, method, released, tmp_path
):
    """A result, or one line that names what is not there and what is instead."""
    table, formula = asked_of(family, link, structure)
    options = ("--link", link, "--method", method, "--site-column", "hospital")

    ended = simulate(
        tmp_path, table, *question(formula, family), *options, *OPEN, *released
    )

    if method.startswith("aghq") and structure in TWO_LEVELS:
        refused(ended, 2, "study-invalid", "one level of clusters", "use laplace")
        assert not (tmp_path / "out").exists()
        return
    result = result_of(tmp_path)
    named = {row["term1"] for row in result["random"] if row["term2"] is None}
    assert ended.status == (0 if result["converged"] else 4)
    assert result["method"] == (method if STRUCTURES[structure] else result["method"])
    assert ("x" in named) == ("x" in STRUCTURES[structure])
    groups = {row["group"] for row in result["random"]}
    assert any("clinic" in group for group in groups) == (
        "clinic" in STRUCTURES[structure]
    )


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize(("family", "link"), FAMILIES)
def test_the_engine_takes_what_a_round_does_not(family, link, structure):
    """What the refusals point to exists: `glmm.fit` answers every one."""
    table, formula = asked_of(family, link, structure)

    fit = glmm.fit(formula, table, family=family, link=link)

    assert fit.converged, fit.verdicts


@pytest.mark.parametrize(("family", "link"), FAMILIES)
@pytest.mark.parametrize(
    "structure",
    ["slope", "independent", "two parts", "several slopes", "slope by clinic"],
)
def test_slopes_are_those_of_the_pooled_rows(family, link, structure, tmp_path):
    """Moments of a slope's column are released: sums are exact, order 4 is near."""
    table, formula = asked_of(family, link, structure)
    asked = (*question(formula, family), "--link", link)

    simulate(tmp_path, table, *asked, *OPEN, "--compare-pooled")

    result = result_of(tmp_path)
    far = 1e-9 if family == "gaussian" else 0.1
    assert result["exactness"] == ("exact" if family == "gaussian" else "approximate")
    for ours, pooled in zip(result["fixed"], result["pooled"]["fixed"], strict=True):
        assert abs(ours["estimate"] - pooled["estimate"]) < far * pooled["se"]
    for ours, pooled in zip(result["random"], result["pooled"]["random"], strict=True):
        if pooled["term2"] is None:
            assert ours["sd"] == pytest.approx(pooled["sd"], rel=far, abs=far / 5)


@pytest.mark.parametrize(
    ("family", "method", "words"),
    [
        ("gaussian", "laplace", "reml or ml"),
        ("gaussian", "aghq:3", "reml or ml"),
        ("binomial", "reml", "laplace or aghq:K"),
        ("poisson", "ml", "laplace or aghq:K"),
        ("binomial", "aghq:0", "laplace or aghq:K"),
        ("poisson", "aghq", "laplace or aghq:K"),
    ],
)
def test_a_method_of_another_family_is_refused(family, method, words, tmp_path):
    """Status 2, with the methods that the family has."""
    response = {"gaussian": "y", "binomial": "e", "poisson": "c"}[family]
    asked = question(f"{response} ~ x + (1 | hospital)", family)

    ended = simulate(tmp_path, small_table(), *asked, "--method", method)

    refused(ended, 2, "study-invalid", words)


def test_too_many_nodes_are_refused_before_anything_is_written(tmp_path):
    """Nodes of several effects multiply; the cure is fewer of them, or Laplace."""
    asked = question("e ~ x + b + (1 + x + b | hospital)", "binomial")

    ended = simulate(tmp_path, small_table(), *asked, *OPEN, "--method", "aghq:99")

    refused(ended, 2, "usage", "nodes in all")
    assert not (tmp_path / "out").exists()
