"""The public anchor: plain sums, and no window on a patient."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower import simulate
from fedglmm_flower.errors import DisclosureError, StudyError
from fedglmm_flower.glmm import fit
from fedglmm_flower.site import FrameSource, Policy, release
from fedglmm_flower.site.dominance import Dominance, update_dominance
from fedglmm_flower.site.gate import inspect
from fedglmm_flower.site.summarise import summarise
from fedglmm_flower.study import Column, Study, read_study, write_study
from fedglmm_flower.study.anchor_file import read_anchor
from fedglmm_flower.study.file import parse_study
from tests.command import fedglmm, small_table

ANCHOR = (("Intercept", -3.0), ("age", 0.04), ("female", 0.3))


def study_of(family="binomial", anchor=ANCHOR, **changes) -> Study:
    """Two columns, an intercept that varies, and an anchor."""
    parts = {
        "name": "public",
        "formula": "y ~ age + female + (1 | site)",
        "family": family,
        "link": "logit" if family == "binomial" else "log",
        "method": "laplace",
        "site_column": "site",
        "columns": (
            Column("age", "continuous", (), "", 0.0, 120.0, 60.0, 12.0),
            Column("female", "binary"),
            Column("y", "binary" if family == "binomial" else "continuous"),
        ),
        "sites": ("north", "south"),
        "release_set": "public",
        "order": 2,
        "anchor": anchor,
        **changes,
    }
    return Study(**parts)


def rows_of(n=600, seed=1) -> pd.DataFrame:
    """A site's rows."""
    rng = np.random.default_rng(seed)
    age = rng.normal(60, 12, n).clip(20, 100).round(2)
    female = rng.integers(0, 2, n)
    p = 1 / (1 + np.exp(3 - 0.04 * age))
    return pd.DataFrame(
        {"age": age, "female": female, "y": (rng.random(n) < p).astype(int)}
    )


@pytest.mark.parametrize("family", ["binomial", "poisson"])
def test_what_is_sent_are_plain_sums_at_the_anchor(family):
    """Value, score, information, and the third derivative times each column."""
    study, rows = study_of(family), rows_of()
    found = summarise(study, FrameSource(rows), site="north")
    sums = dict(zip(found.statistics, found.values, strict=True))
    x = np.stack([np.ones(len(rows)), rows["age"], rows["female"]])
    eta = np.array([-3.0, 0.04, 0.3]) @ x
    p = 1 / (1 + np.exp(-eta))
    h = [np.log1p(np.exp(eta)), p, p * (1 - p), p * (1 - p) * (1 - 2 * p)]
    if family == "poisson":
        h = [np.exp(eta)] * 4
    by_role = {
        role: [v for s, v in sums.items() if s.role == role]
        for role in ("value", "score", "bend", "information", "anchor")
    }

    assert by_role["anchor"] == []
    np.testing.assert_allclose(by_role["value"], [h[0].sum()])
    np.testing.assert_allclose(by_role["score"], x @ h[1])
    np.testing.assert_allclose(by_role["bend"], x @ h[3])
    assert len(by_role["information"]) == 5  # 1, z, z^2, f, z f: f^2 is f
    assert any(np.isclose(v, h[2].sum()) for v in by_role["information"])


def test_effective_rows_are_those_of_equal_weights():
    """Kish's count does not know the scale of the weights."""
    seen: dict[str, Dominance] = {}
    update_dominance(seen, {"equal": np.full(30, 1e-9), "one": np.array([1.0, 1e-9])})
    update_dominance(seen, {"equal": np.full(20, 1e-9), "none": np.zeros(100)})

    assert seen["equal"].rows == pytest.approx(50)
    assert seen["one"].rows == pytest.approx(1)
    assert seen["none"].rows == 0


def steep(at: float, slope: float) -> tuple[tuple[str, float], ...]:
    """An anchor that steps at an age."""
    return (("Intercept", -slope * at), ("age", slope), ("female", 0.0))


@pytest.mark.parametrize("at", [60.0, 99.0, 22.0, 200.0, -100.0])
@pytest.mark.parametrize("slope", [50.0, -50.0, 5.0])
def test_a_steep_anchor_is_no_window_on_a_patient(at, slope):
    """Where it steps the information, beyond it the score tells single patients."""
    study, rows = study_of(anchor=steep(at, slope)), rows_of()
    found = summarise(study, FrameSource(rows), site="north")
    statistics = study.statistics(2)
    findings = inspect(study.model, found, statistics, Policy())

    assert any(f.rule == "effective-rows" and not f.passed for f in findings)
    released = release(study, FrameSource(rows), Policy(), site="north")
    assert released.release_set == "canonical"
    with pytest.raises(DisclosureError, match="effective rows"):
        release(
            replace(study, accept=(("public", 2),)),
            FrameSource(rows),
            Policy(),
            site="north",
        )


@pytest.mark.parametrize(
    ("family", "link"),
    [("binomial", "probit"), ("binomial", "cloglog"), ("nbinom2", "log")],
)
@pytest.mark.parametrize("at", [60.0, 99.0, 22.0, 200.0, -100.0])
@pytest.mark.parametrize("slope", [50.0, -50.0, 5.0])
def test_nor_is_one_of_a_likelihood_with_two_measures(family, link, at, slope):
    """Each function is a window of its own."""
    study = study_of(family, link=link, anchor=steep(at, slope))

    released = release(study, FrameSource(rows_of()), Policy(), site="north")

    assert released.release_set == "canonical"


def test_a_window_on_one_side_of_the_other_end_is_seen():
    """Where a normal curve is a parabola, what is left of it is of the other side."""
    study = study_of(link="probit", anchor=steep(88.0, 1.0))
    found = summarise(study, FrameSource(rows_of()), site="north")
    seen = found.at_anchor

    # Events: nearly all are below the step, where the information is one.
    assert seen["information under events"].rows > 50
    assert seen["rest of the information under events"].rows < 50


@pytest.mark.parametrize(
    ("family", "link"),
    [("binomial", "probit"), ("binomial", "cloglog"), ("nbinom2", "log")],
)
def test_a_flat_anchor_of_two_measures_passes(family, link):
    """As it does with one."""
    flat = (("Intercept", -0.6), ("age", 0.01), ("female", 0.1))
    study = study_of(family, link=link, anchor=flat)

    released = release(study, FrameSource(rows_of()), Policy(), site="north")

    assert (released.release_set, released.order) == ("public", 2)


@pytest.mark.parametrize("family", ["binomial", "poisson"])
def test_a_flat_anchor_passes(family):
    """An estimate of another study, say."""
    released = release(study_of(family), FrameSource(rows_of()), Policy(), site="north")

    assert (released.release_set, released.order) == ("public", 2)


def test_a_poisson_anchor_that_weighs_a_few_rows_is_refused():
    """The exponential of a steep line is the oldest patient alone."""
    study = study_of("poisson", anchor=steep(60.0, 1.0))

    assert (
        release(study, FrameSource(rows_of()), Policy(), site="north").release_set
        == "canonical"
    )


def test_an_anchor_travels_with_the_study(tmp_path):
    """In its file, its bytes and its digest."""
    study = study_of()
    write_study(study, tmp_path / "study.toml")

    assert read_study(tmp_path / "study.toml") == study
    assert parse_study(study.canonical_bytes).digest == study.digest
    assert study_of(anchor=(*ANCHOR[:2], ("female", 0.4))).digest != study.digest


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"anchor": ()}, "goes with a public anchor"),
        ({"release_set": "canonical"}, "goes with a public anchor"),
        ({"accept": (("public", 2), ("anchored", 2))}, "goes with a public anchor"),
        ({"anchor": ANCHOR[:2]}, "lacks 'female'"),
        ({"anchor": (*ANCHOR, ("weight", 1.0))}, "has 'weight'"),
    ],
)
def test_an_anchor_that_does_not_fit_the_formula_is_refused(changes, says):
    """Before any site is asked."""
    with pytest.raises(StudyError, match=says):
        _ = study_of(**changes).anchor_values


def test_a_simulation_takes_the_result_of_another_run(tmp_path):
    """Or a mapping, or a file of names and numbers."""
    table, formula = small_table(), "e ~ x + g + (1 | hospital)"
    first = simulate(
        table, formula, "binomial", disclosure=False, order=2, out=tmp_path / "first"
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    asked = ("--formula", formula, "--family", "binomial", "--no-disclosure")
    ended = fedglmm(
        "simulate", tmp_path / "t.csv", *asked, "--json", "--out", tmp_path / "second",
        "--anchor", tmp_path / "first" / "result.json",
    )  # fmt: skip
    pooled = fit(formula, table, family="binomial").to_dict()
    given = {row["name"]: row["estimate"] for row in first.fixed}
    found = simulate(table, formula, "binomial", disclosure=False, anchor=given)

    assert ended.status == 0, ended.err
    assert read_study(tmp_path / "second" / "study.toml").anchor
    assert read_anchor(tmp_path / "first" / "result.json") == given
    assert {s["release_set"] for s in found.values["sites"]} == {"public"}
    for one, other in zip(found.fixed, pooled["fixed"], strict=True):
        assert abs(one["estimate"] - other["estimate"]) < 0.05 * other["se"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot be read"),
        (b"\xff", "is no list"),
        (b"", "is no list"),
        (b"[1, 2]", "is no list"),
        (b'{"x": "1"}', "is no list"),
        (b'{"x": NaN}', "is no list"),
        (b'{"fixed": [1]}', "is no list"),
        (b"x = 1.5", "lacks 'Intercept'"),
    ],
)
def test_a_file_that_is_no_anchor_is_refused(content, says, tmp_path):
    """In one line, and nothing is written."""
    path = tmp_path / "anchor.toml"
    if content is not None:
        path.write_bytes(content)
    small_table().to_csv(tmp_path / "t.csv", index=False)
    ended = fedglmm(
        "simulate", tmp_path / "t.csv", "--formula", "e ~ x + (1 | hospital)",
        "--family", "binomial", "--anchor", path, "--out", tmp_path / "out",
    )  # fmt: skip

    assert (ended.status, ended.line[0]) == (2, "study-invalid")
    assert says in ended.line[1]
    assert not (tmp_path / "out").exists()


ASKED = ("--formula", "e ~ x + g + (1 | hospital)", "--family", "binomial")
FLAT = {"Intercept": -1.0, "x": 0.2, "g[T.v]": 0.3, "g[T.w]": 0.0}


def drafted(folder, anchor, *options):
    """``fedglmm study init`` with an anchor."""
    small_table().to_csv(folder / "t.csv", index=False)
    (folder / "anchor.json").write_text(json.dumps(anchor))
    return fedglmm(
        *("study", "init", folder / "t.csv", *ASKED, *options),
        *("--anchor", folder / "anchor.json", "--out", folder / "study.toml"),
    )


def test_a_draft_takes_an_anchor(tmp_path):
    """The study holds it, and asks for the public set."""
    ended = drafted(tmp_path, FLAT)
    study = read_study(tmp_path / "study.toml")

    assert ended.status == 0, ended.err
    assert dict(study.anchor) == FLAT
    assert study.offers[0][0] == "public"


@pytest.mark.parametrize(
    ("changes", "options", "says"),
    [
        ({"x": 80.0}, (), "on the logit scale within the declared range of 'x'"),
        ({"Intercept": -31.0}, (), "at most 30 either way is required"),
        ({"g[T.w]": 1e6}, (), "within the declared range of 'g'"),
        ({"x": float("nan")}, (), "a finite number for each column is required"),
        ({"weight": 1.0}, (), "has 'weight'; a coefficient for each of Intercept, x"),
        ({}, ("--release-set", "canonical"), "the public set is required"),
    ],
)
def test_an_anchor_that_is_nonsense_is_no_study(changes, options, says, tmp_path):
    """Refused with what was found, and no file is written."""
    ended = drafted(tmp_path, FLAT | changes, *options)

    assert ended.status == 2
    assert says in ended.line[1]
    assert not (tmp_path / "study.toml").exists()


def test_a_study_file_with_a_nonsense_anchor_is_refused(tmp_path):
    """However it came to be: the file is what every party reads."""
    drafted(tmp_path, FLAT)
    path = tmp_path / "study.toml"
    good = path.read_text()
    path.write_text(good.replace("= 0.2\n", "= 90.0\n"))
    steep = fedglmm("study", "check", path)
    path.write_text(good.replace("= 0.2\n", "= nan\n"))
    nothing = fedglmm("study", "check", path)

    assert good != path.read_text()
    assert (steep.status, nothing.status) == (2, 2)
    assert "the public anchor predicts" in steep.line[1]
    assert "study-invalid" in {steep.line[0], nothing.line[0]}


def test_rates_may_reach_further_than_odds():
    """Beyond exp(50) nothing is counted; within it a gate decides."""
    for slope, fine in ((0.8, True), (0.9, False)):
        study = study_of("poisson", anchor=steep(60.0, slope))
        if fine:
            study.check_anchor()
        else:
            with pytest.raises(StudyError, match="log scale"):
                study.check_anchor()
