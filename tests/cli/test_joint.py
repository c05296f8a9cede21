"""The joint release set: any released column can respond later."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower import Result, refit, simulate
from fedglmm_flower.errors import DataError, DisclosureError, FedglmmError, StudyError
from fedglmm_flower.glmm import fit
from fedglmm_flower.site import NO_DISCLOSURE_CONTROL, FrameSource, Policy, release
from fedglmm_flower.study import read_study
from fedglmm_flower.study.file import parse_study
from tests.command import fedglmm, small_table

FORMULAS = {
    "gaussian": "y ~ x + g + b + (1 | hospital)",
    "binomial": "e ~ x + g + b + (1 | hospital)",
    "poisson": "c ~ x + g + b + (1 | hospital)",
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """A finished joint run of each family."""
    found = {}
    for family, formula in FORMULAS.items():
        folder = tmp_path_factory.mktemp(family)
        simulate(
            small_table(), formula, family,
            release_set="joint", order=3, disclosure=False, out=folder,
        )  # fmt: skip
        found[family] = folder
    return found


def gap(found, formula, family) -> float:
    """Largest distance from the pooled fit, in standard errors."""
    pooled = fit(formula, small_table(), family=family).to_dict()
    pairs = zip(found.fixed, pooled["fixed"], strict=True)
    gaps = [(one["estimate"] - other["estimate"]) / other["se"] for one, other in pairs]
    return float(np.abs(gaps).max())


@pytest.mark.parametrize("family", FORMULAS)
def test_the_question_of_the_study_is_answered(runs, family):
    """Exactly for a gaussian response, and as by the canonical set for others."""
    found = Result.load(runs[family])
    plain = simulate(
        small_table(), FORMULAS[family], family,
        release_set="canonical", order=3, disclosure=False,
    )  # fmt: skip
    exact = family == "gaussian"

    assert found.values["exactness"] == ("exact" if exact else "approximate")
    assert found.values["sites"][0]["release_set"] == "joint"
    assert gap(found, FORMULAS[family], family) < (1e-6 if exact else 0.02)
    assert found.values["loglik"] == pytest.approx(plain.values["loglik"], abs=0.02)


@pytest.mark.parametrize("family", FORMULAS)
@pytest.mark.parametrize(
    ("formula", "asked", "tolerance"),
    [
        ("x ~ {} + g + (1 | hospital)", "gaussian", 1e-5),
        ("x ~ {} + b + (1 + b || hospital)", "gaussian", 1e-5),
        ("b ~ {} + x + (1 | hospital)", "binomial", 0.02),
        ("b ~ g + (1 | hospital)", "binomial", 1e-5),
        ("b ~ x + g + (1 | hospital)", "gaussian", 1e-5),
    ],
)
def test_another_column_responds(runs, family, formula, asked, tolerance):
    """Without a new round; the old response explains like any other column."""
    written = formula.format(FORMULAS[family][0])
    found = refit(runs[family], written, asked)

    assert gap(found, written, asked) < tolerance
    assert found.values["family"] == asked


def test_a_declared_count_can_be_a_poisson_response(runs, tmp_path):
    """Its unit says so; the log-likelihood is that of the pooled fit."""
    study = read_study(runs["gaussian"] / "study.toml")
    formula = "y ~ c + b + (1 | hospital)"
    columns = {c.name: c for c in read_study(runs["poisson"] / "study.toml").columns}
    columns["y"] = next(c for c in study.columns if c.name == "y")
    columns["c"] = replace(columns["c"], unit="count", center=2.0, scale=3.0)
    asked = replace(
        study, formula=formula, columns=tuple(columns[k] for k in sorted(columns))
    )
    assert parse_study(asked.canonical_bytes) == asked
    from fedglmm_flower.study import write_study

    write_study(asked, tmp_path / "study.toml")
    run = tmp_path / "run"
    simulate(small_table(), study=tmp_path / "study.toml", disclosure=False, out=run)
    later = "c ~ b + (1 | hospital)"
    found = refit(run, later, "poisson")
    pooled = fit(later, small_table(), family="poisson").to_dict()

    assert gap(found, later, "poisson") < 1e-4
    assert found.values["loglik"] == pytest.approx(pooled["loglik"], abs=1e-4)
    broken = small_table().assign(c=0.5)
    with pytest.raises(DataError, match="no count"):
        release(asked, FrameSource(broken), NO_DISCLOSURE_CONTROL, site="a")


@pytest.mark.parametrize(
    ("formula", "family", "says"),
    [
        ("x ~ g + (1 | hospital)", "binomial", "two levels"),
        ("g ~ x + (1 | hospital)", "binomial", "two levels"),
        ("x ~ g + (1 | hospital)", "poisson", "log(y!) was not released"),
        ("log(x) ~ g + (1 | hospital)", "gaussian", "'log(x)' was not released"),
        ("e ~ x:g + (1 | hospital)", "binomial", "were not released"),
        ("x ~ g + offset(e) + (1 | hospital)", "gaussian", "offset"),
        ("e ~ x + (1 | hospital)", "gamma", ""),
    ],
)
def test_what_the_products_do_not_hold_is_refused(runs, formula, family, says):
    """Clearly, and before anything is opened."""
    with pytest.raises(FedglmmError) as caught:
        refit(runs["binomial"], formula, family)

    assert says in str(caught.value)
    assert "; " in str(caught.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--formula", "e ~ x + (1 | hospital)", "--order", "1"), "order 1"),
        (("--formula", "e ~ x + offset(y) + (1 | hospital)"), "an offset"),
        (
            ("--formula", "k ~ x + (1 | hospital)", "--trials", "n of trials"),
            "with trials",
        ),
    ],
)
def test_a_study_that_cannot_be_joint_is_refused(options, says, tmp_path):
    """What belongs to one response has no place among many."""
    table = tmp_path / "t.csv"
    small_table().to_csv(table, index=False)
    ended = fedglmm(
        "simulate", table, *options, "--family", "binomial", "--release-set", "joint",
        "--out", tmp_path / "out",
    )  # fmt: skip

    assert (ended.status, ended.line[0]) == (2, "study-invalid")
    assert says in ended.line[1]
    assert not (tmp_path / "out").exists()


def test_joint_sets_are_accepted_alone(runs):
    """Other sets describe other columns."""
    study = read_study(runs["binomial"] / "study.toml")

    assert [k for _, k in study.offers] == [3, 2]
    with pytest.raises(StudyError, match="joint sets alone or none"):
        replace(study, accept=(("joint", 3), ("canonical", 2)))


def test_the_gate_counts_cells_of_the_response(runs):
    """Products of three determine events in every pair of levels."""
    study = read_study(runs["binomial"] / "study.toml")
    table = pd.concat([small_table()] * 8, ignore_index=True)
    rows = table[table["hospital"] == "a"].reset_index(drop=True)
    rng = np.random.default_rng(3)
    rows["e"] = rng.integers(0, 2, len(rows))
    rows["b"] = rng.integers(0, 2, len(rows))
    rows["x"] = rows["x"] + rng.normal(0, 0.01, len(rows))
    low, high = rows["x"].min(), rows["x"].max()
    wide = tuple(
        replace(c, low=low, high=high) if c.name == "x" else c for c in study.columns
    )
    study = replace(study, columns=wide)
    policy = Policy()
    assert release(study, FrameSource(rows), policy, site="a").order == 3
    cell = (rows["g"] == "v") & (rows["b"] == 1) & (rows["e"] == 1)
    rows.loc[cell[cell].index[2:], "e"] = 0
    lowered = release(study, FrameSource(rows), policy, site="a")
    assert lowered.order == 2
    rows.loc[rows["e"] == 1, "b"] = 0
    rows.loc[rows.index[:3], ["e", "b"]] = 1
    with pytest.raises(
        DisclosureError, match=r"smallest cell: 3 rows in a cell of b x e"
    ):
        release(study, FrameSource(rows), policy, site="a")


def test_an_officer_sees_every_product_in_words(runs, tmp_path):
    """The response stands among the columns."""
    small_table().query("hospital == 'a'").to_csv(tmp_path / "a.csv", index=False)
    (tmp_path / "site.toml").write_text(
        'format = 1\nsite = "a"\n[data]\npath = "a.csv"\n[keys]\n'
        'identity = "a.key"\ncoordinator = "c.pub"\n[disclosure]\nenabled = false\n'
    )
    for family in FORMULAS:
        ended = fedglmm(
            "site", "preview", tmp_path / "site.toml", "--json",
            "--study", runs[family] / "study.toml",
        )  # fmt: skip
        words = [s["what"] for s in json.loads(ended.out)["statistics"]]
        assert ended.status == 0, ended.err
        assert len(set(words)) == len(words)
        own = {"gaussian": "z(y)", "binomial": "[e = 1]", "poisson": "z(c)"}[family]
        assert any(own in text and "z(x)" in text for text in words)
