"""``fedglmm coordinator refit``: other models from the folder of a run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from fedglmm_flower import Result, refit
from fedglmm_flower.glmm import fit
from tests.command import (
    BINOMIAL,
    GAUSSIAN,
    OPEN,
    POISSON,
    fedglmm,
    refused,
    simulate,
    small_table,
)

FAMILIES = {"gaussian": GAUSSIAN, "binomial": BINOMIAL, "poisson": POISSON}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """A finished run of each family."""
    found = {}
    for family, options in FAMILIES.items():
        folder = tmp_path_factory.mktemp(family)
        assert simulate(folder, small_table(), *options, *OPEN).status == 0
        found[family] = folder / "out"
    return found


def estimates(values) -> list[float]:
    """Fixed effects and standard deviations."""
    found = [row["estimate"] for row in values["fixed"]]
    return found + [row["sd"] for row in values["random"] if "sd" in row]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_of_the_run_is_fitted_again_to_the_last_digit(runs, family):
    """The same releases, the same pseudo-data, the same fit."""
    before = Result.load(runs[family]).to_dict()
    again = refit(runs[family], before["study"]["formula"]).to_dict()

    assert estimates(again) == estimates(before)
    assert again["loglik"] == before["loglik"]
    assert again["diagnostics"] == before["diagnostics"]


@pytest.mark.parametrize(
    ("formula", "tolerance"),
    [("{} ~ x + (1 | hospital)", 0.05), ("{} ~ g + (1 | hospital)", 1e-5)],
)
@pytest.mark.parametrize(
    ("family", "response"), [("gaussian", "y"), ("binomial", "e"), ("poisson", "c")]
)
def test_a_model_of_fewer_columns_agrees_with_the_pooled_one(
    runs, family, response, formula, tolerance
):
    """Exactly where sums suffice: gaussian, and factors alone."""
    asked = formula.format(response)
    found = refit(runs[family], asked).to_dict()
    pooled = fit(asked, small_table(), family=family).to_dict()
    exact = family == "gaussian" or tolerance < 1e-3
    gaps = [
        (one["estimate"] - other["estimate"]) / other["se"]
        for one, other in zip(found["fixed"], pooled["fixed"], strict=True)
    ]

    assert found["exactness"] == ("exact" if exact else "approximate")
    assert np.abs(gaps).max() < (1e-5 if exact else tolerance)
    told = " ".join(found["diagnostics"]["warnings"])
    assert ("without a new round" in told) is not exact


def test_slopes_that_vary_need_no_new_round(runs):
    """A released column may vary by site."""
    asked = "y ~ x + g + (1 + x || hospital)"
    found = refit(runs["gaussian"], asked).to_dict()
    pooled = fit(asked, small_table(), family="gaussian").to_dict()

    np.testing.assert_allclose(estimates(found), estimates(pooled), atol=1e-5)


def test_the_command_writes_a_new_folder_and_leaves_the_run_alone(runs, tmp_path):
    """With its own study and result; a folder of results is never written into."""
    run = tmp_path / "run"
    shutil.copytree(runs["binomial"], run)
    before = (run / "result.json").read_bytes()
    ended = fedglmm("coordinator", "refit", run, "e ~ g + (1 | hospital)")
    again = fedglmm(
        "coordinator", "refit", run, "e ~ g + (1 | hospital)", "--json", "--method",
        "aghq:9",
    )  # fmt: skip

    assert (ended.status, again.status) == (0, 0)
    assert "refit-1" in ended.out
    found = json.loads((run / "refit-1" / "result.json").read_text())
    assert found["study"]["formula"] == "e ~ g + (1 | hospital)"
    assert json.loads(again.out)["method"] == "aghq:9"
    assert (run / "refit-2" / "study.toml").exists()
    assert (run / "result.json").read_bytes() == before
    for taken in (run, run / "refit-1"):
        ended = fedglmm(
            "coordinator", "refit", run, "e ~ g + (1 | hospital)", "--out", taken
        )
        refused(ended, 2, "usage", "a new folder is required")


@pytest.mark.parametrize(
    ("formula", "options", "code", "says"),
    [
        ("e ~ x + b + (1 | hospital)", (), "formula-invalid", "'b' is not declared"),
        ("e ~ log(x) + (1 | hospital)", (), "study-invalid", "were not released"),
        ("e ~ I(x**2) + (1 | hospital)", (), "study-invalid", "were not released"),
        ("e ~ x:g + (1 | hospital)", (), "study-invalid", "were not released"),
        ("e ~ 1 + (1 + x:g | hospital)", (), "study-invalid", "were not released"),
        ("x ~ g + (1 | hospital)", (), "data-invalid", ""),
        ("e ~ x + (1 | ward)", (), "study-invalid", "ward"),
        ("e ~ x +", (), "formula-invalid", ""),
        ("e ~ x + (1 | hospital)", ("--family", "poisson"), "study-invalid", "family"),
        ("e ~ x + (1 | hospital)", ("--method", "reml"), "study-invalid", "method"),
        ("e ~ x + (1 | hospital)", ("--link", "probit"), "study-invalid", "link"),
    ],
)
def test_what_was_not_released_is_refused_in_one_line(
    runs, formula, options, code, says, tmp_path
):
    """And nothing is written."""
    out = tmp_path / "new"
    ended = fedglmm(
        "coordinator", "refit", runs["binomial"], formula, *options, "--out", out
    )
    found, detail = ended.line

    assert ended.status == 2
    assert found == code or not says
    assert says in detail
    assert not out.exists()


def test_offsets_stay_as_they_were_released(tmp_path):
    """A sum that holds an exposure cannot lose it."""
    options = ("--formula", "c ~ x + offset(log(`expo-sure`)) + (1 | hospital)")
    folder = tmp_path / "run"
    folder.mkdir()
    ended = simulate(folder, small_table(), *options, "--family", "poisson", *OPEN)
    assert ended.status == 0, ended.err
    ended = fedglmm("coordinator", "refit", folder / "out", "c ~ x + (1 | hospital)")

    refused(ended, 2, "study-invalid", "offset none; the released sums have offset log")


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        ("no run", 2, "data-invalid"),
        ("no note", 2, "data-invalid"),
        ("broken note", 2, "data-invalid"),
        ("another study", 2, "data-invalid"),
        ("no study", 2, "study-invalid"),
        ("no key", 2, "key-invalid"),
        ("keys elsewhere", 2, "key-invalid"),
        ("open key", 2, "key-invalid"),
        ("no release", 5, "quorum-not-reached"),
        ("altered release", 5, "quorum-not-reached"),
    ],
)
def test_a_run_that_is_not_whole_is_refused(runs, fault, status, code, tmp_path):
    """In one line, before anything is written."""
    run = tmp_path / "run"
    shutil.copytree(runs["binomial"], run)
    if fault == "no run":
        shutil.rmtree(run)
    elif fault == "no note":
        (run / "run.json").unlink()
    elif fault == "broken note":
        (run / "run.json").write_text('{"format": 1}')
    elif fault == "another study":
        text = (run / "study.toml").read_text()
        (run / "study.toml").write_text(text.replace("laplace", "aghq:9"))
    elif fault == "no study":
        (run / "study.toml").unlink()
    elif fault == "no key":
        (run / "keys" / "coordinator.key").unlink()
    elif fault == "keys elsewhere":
        (run / "keys").rename(tmp_path / "keys")
    elif fault == "open key":
        (run / "keys" / "coordinator.key").chmod(0o644)
    elif fault == "no release":
        (run / "sealed" / "a.sealed").unlink()
    else:
        path = run / "sealed" / "a.sealed"
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    ended = fedglmm(
        "coordinator", "refit", run, "e ~ x + (1 | hospital)", "--out", tmp_path / "new"
    )

    hint = ("--keys",) if fault == "keys elsewhere" else ()
    refused(ended, status, code, *hint)
    assert not (tmp_path / "new").exists()
