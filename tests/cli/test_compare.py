"""``fedglmm coordinator compare``: many models of one release, no new round."""

import json
from pathlib import Path

import pytest

from fedglmm_flower.glmm import fit
from fedglmm_flower.glmm.compare import compare
from tests.command import OPEN, fedglmm, question, refused, simulate, small_table

ASKED = {
    "binomial": "e ~ x + g + b + (1 | hospital)",
    "gaussian": "y ~ x * g + b + (1 + x || hospital)",
    "poisson": "c ~ x + g + offset(log(`expo-sure`)) + (1 | hospital)",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """A finished run of each family."""
    found: dict[str, Path] = {}
    for family, formula in ASKED.items():
        folder = tmp_path_factory.mktemp(family)
        ended = simulate(folder, small_table(), *question(formula, family), *OPEN)
        assert ended.status == 0, ended.err
        found[family] = folder / "out"
    return found


@pytest.mark.parametrize(
    ("family", "formulas"),
    [
        ("binomial", ["e ~ x + (1 | hospital)", "e ~ x + g + (1 | hospital)"]),
        ("gaussian", ["y ~ x + (1 | hospital)", "y ~ x * g + b + (1 | hospital)"]),
        ("gaussian", ["y ~ x + (1 | hospital)", "y ~ x + (1 + x || hospital)"]),
        (
            "poisson",
            [
                "c ~ 1 + offset(log(`expo-sure`)) + (1 | hospital)",
                "c ~ x + offset(log(`expo-sure`)) + (1 | hospital)",
            ],
        ),
    ],
)
def test_the_tests_are_those_of_the_pooled_rows(runs, family, formulas):
    """Chi-square, AIC and p agree with anova of the pooled fits, in any order."""
    method = "ml" if family == "gaussian" else None
    small, large = (
        fit(f, small_table(), family=family, method=method) for f in formulas
    )
    pooled = compare(small, large)
    ended = fedglmm(
        "coordinator", "compare", runs[family], *reversed(formulas), "--json"
    )
    first, second = json.loads(ended.out)

    assert (ended.status, ended.err) == (0, "")
    assert [first["formula"], second["formula"]] == formulas
    assert first["p"] is None
    assert second["chisq"] == pytest.approx(pooled.statistic, abs=0.01)
    assert second["chisq_df"] == pooled.df
    assert second["p"] == pytest.approx(pooled.p, abs=0.005)
    for one, other in ((first, small), (second, large)):
        assert one["aic"] == pytest.approx(other.aic, abs=0.05)


@pytest.mark.parametrize("way", ["forward", "backward"])
@pytest.mark.parametrize("family", ["binomial", "gaussian"])
def test_a_selection_ends_where_no_step_lowers_aic(runs, family, way):
    """AIC falls at every step, and each neighbour of the end is no better pooled."""
    ended = fedglmm("coordinator", "compare", runs[family], "--select", way, "--json")
    steps = json.loads(ended.out)
    values = [step["aic"] for step in steps]
    method = "ml" if family == "gaussian" else None
    pooled = fit(steps[-1]["formula"], small_table(), family=family, method=method)
    start = fit(steps[0]["formula"], small_table(), family=family, method=method)

    assert ended.status == 0
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == len(values)
    assert values[-1] == pytest.approx(pooled.aic, abs=0.05)
    assert values[0] == pytest.approx(start.aic, abs=0.05)
    assert all(step["change"][0] == "+-"[way == "backward"] for step in steps[1:])


def test_an_interaction_stays_with_its_parts(runs):
    """Dropping starts at the interaction, adding ends there."""
    run = runs["gaussian"]
    down = json.loads(
        fedglmm("coordinator", "compare", run, "--select", "backward", "--json").out
    )
    for step in down:
        terms = step["formula"].partition("~")[2].split(" + ")
        if any(":" in term for term in terms):
            assert {" x", "x"} & set(terms)
            assert "g" in " ".join(terms)
    assert down[0]["tried"] == 1


def test_the_table_for_people(runs):
    """The models by number, what is not known, and where a selection ends."""
    run = runs["gaussian"]
    asked = ["y ~ x + (1 + x || hospital)", "y ~ x + (1 | hospital)"]
    ended = fedglmm("coordinator", "compare", run, *asked)
    chosen = fedglmm("coordinator", "compare", run, "--select", "backward")

    assert "1: y ~ x + (1 | hospital)\n2: y ~ x + (1 + x || hospital)" in ended.out
    assert "Pr(>Chisq)" in ended.out
    assert "p_boundary = " in ended.out
    assert "Selected: y ~ " in chosen.out
    assert "too good" in chosen.out


@pytest.mark.parametrize(
    ("asked", "code", "says"),
    [
        (["e ~ x + (1 | hospital)"], "usage", "two different ones"),
        (["e ~ x + (1 | hospital)"] * 2, "usage", "two different ones"),
        (["e ~ x", "e ~ g", "--select", "forward"], "usage", "at most one"),
        (["--select", "best"], "usage", "forward or backward"),
        (["e ~ x", "e ~ k"], "formula-invalid", "'k' is not declared"),
    ],
)
def test_what_cannot_be_compared_is_refused(runs, asked, code, says):
    """In one line."""
    ended = fedglmm("coordinator", "compare", runs["binomial"], *asked)

    refused(ended, 2, code, says)
