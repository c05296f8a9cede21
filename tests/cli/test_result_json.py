"""What ``result.json`` promises to other programs."""

import json

import pytest

import fedglmm_flower
from tests.command import (
    BINOMIAL,
    GAUSSIAN,
    POISSON,
    SITES,
    fedglmm,
    numbers,
    result_of,
    simulate,
    small_table,
)

QUESTIONS = {"gaussian": GAUSSIAN, "binomial": BINOMIAL, "poisson": POISSON}
NAMES = ["Intercept", "x", "g[T.v]", "g[T.w]"]
KEYS = [
    "format study family link method converged exactness n_sites n_rows fixed random",
    "dispersion residual_sd loglik aic bic icc ranef sites diagnostics pooled privacy",
    "timing provenance",
]


@pytest.fixture(params=QUESTIONS)
def family(request):
    """Each family of one-round release."""
    return request.param


def test_result_json_has_the_keys_and_types_of_the_contract(family, tmp_path):
    """Other programs read this file: every key is there, and no other kind of value."""
    ended = simulate(tmp_path, small_table(), *QUESTIONS[family], "--compare-pooled")
    result = result_of(tmp_path)
    number = (int, float)

    assert ended.status == 0
    assert set(result) == set(" ".join(KEYS).split())
    assert (result["format"], result["family"]) == (1, family)
    assert result["converged"] is True
    assert result["exactness"] == ("exact" if family == "gaussian" else "approximate")
    assert (result["n_sites"], result["n_rows"]) == (4, 240)
    assert result["method"] == ("reml" if family == "gaussian" else "laplace")
    assert [row["name"] for row in result["fixed"]] == NAMES
    for row in result["fixed"]:
        for key in ("estimate", "se", "approx_error", "z", "p", "ci_low", "ci_high"):
            assert isinstance(row[key], number)
        assert row["ci_low"] < row["estimate"] < row["ci_high"]
        assert row["z"] == pytest.approx(row["estimate"] / row["se"])
    (sd,) = result["random"]

    assert set(sd) == {"group", "term1", "term2", "sd", "approx_error"}
    assert (sd["group"], sd["term1"], sd["term2"]) == ("hospital", "Intercept", None)
    assert sd["sd"] > 0
    assert (result["residual_sd"] is not None) == (family == "gaussian")
    for key in ("loglik", "aic", "bic"):
        assert isinstance(result[key], float)
    assert [row["level"] for row in result["ranef"]] == list(SITES)
    for row in result["ranef"]:
        assert set(row) == {"group", "level", "term", "estimate", "sd"}
    assert set(result["diagnostics"]) == {
        "moment_residual",
        "order_shift",
        "start_shift",
        "r2",
        "seed_spread",
        "eta_range",
        "warnings",
    }
    assert result["privacy"] is None
    assert set(result["timing"]) == {"summarise_s", "pseudodata_s", "fit_s"}


def test_sites_are_sorted_and_tell_what_each_sent(family, tmp_path):
    """Rows, statistics and bytes are those of the sealed file of each site."""
    table = small_table().sample(frac=1, random_state=1)
    simulate(tmp_path, table, *QUESTIONS[family])
    result = result_of(tmp_path)
    entries = result["sites"]

    assert [entry["site"] for entry in entries] == list(SITES)
    for entry in entries:
        sealed = tmp_path / "out" / "sealed" / f"{entry['site']}.sealed"

        assert entry["status"] == "used"
        assert (entry["n_rows"], entry["n_missing"]) == (60, 0)
        assert entry["release_set"] == "canonical"
        assert entry["bytes_sent"] == sealed.stat().st_size
    data, out = tmp_path / "data.csv", tmp_path / "study.toml"
    assert fedglmm("study", "init", data, *QUESTIONS[family], "--out", out).status == 0
    counts = json.loads(fedglmm("study", "check", out, "--json").out)["orders"]
    sent = {(entry["order"], entry["statistics"]) for entry in entries}

    assert sent <= {(row["order"], row["statistics"]) for row in counts}


def test_the_pooled_fit_stands_beside_the_federated_one(family, tmp_path):
    """Same names, same order; equal for gaussian, near for the others."""
    simulate(tmp_path, small_table(), *QUESTIONS[family], "--compare-pooled")
    result = result_of(tmp_path)
    pooled = result["pooled"]

    assert [row["name"] for row in pooled["fixed"]] == NAMES
    for row, other in zip(result["fixed"], pooled["fixed"], strict=True):
        size = 1e-6 if family == "gaussian" else 0.05

        assert abs(row["estimate"] - other["estimate"]) < size * other["se"]
        assert row["se"] == pytest.approx(other["se"], rel=0.01)
    assert result["loglik"] == pytest.approx(pooled["loglik"], abs=0.05)
    assert result["random"][0]["sd"] == pytest.approx(
        pooled["random"][0]["sd"], rel=0.02
    )


def test_the_same_command_gives_the_same_numbers(family, tmp_path):
    """Twice the same, in any order of rows, and again from the written study."""
    table = small_table()
    simulate(tmp_path, table, *QUESTIONS[family])
    first = numbers(result_of(tmp_path))
    simulate(tmp_path, table, *QUESTIONS[family])

    assert numbers(result_of(tmp_path)) == first

    study = tmp_path / "study.toml"
    study.write_bytes((tmp_path / "out" / "study.toml").read_bytes())
    simulate(tmp_path, table, "--study", study)

    assert numbers(result_of(tmp_path)) == first


def test_json_on_standard_output_is_the_file(tmp_path):
    """With --json standard output is the result and nothing else."""
    ended = simulate(tmp_path, small_table(), *GAUSSIAN, "--json")

    assert json.loads(ended.out) == result_of(tmp_path)


def test_a_result_is_read_back_from_its_folder(tmp_path):
    """Result.load reads what simulate wrote, and the function returns the same."""
    simulate(tmp_path, small_table(), *BINOMIAL)
    loaded = fedglmm_flower.Result.load(tmp_path / "out")
    returned = fedglmm_flower.simulate(tmp_path / "data.csv", BINOMIAL[1], BINOMIAL[3])

    assert loaded.to_dict() == result_of(tmp_path)
    assert numbers(returned.to_dict()) == numbers(loaded.to_dict())


def test_the_folder_holds_what_a_new_fit_needs(tmp_path):
    """Study, sealed releases, keys, result; estimates at each site; no scratch file."""
    simulate(tmp_path, small_table(), *GAUSSIAN)
    out = tmp_path / "out"
    files = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    each = {f"sealed/{s}.sealed" for s in SITES} | {
        f"sites/{s}/{name}.json" for s in SITES for name in ("estimates", "fit_check")
    }

    assert files == each | {f"keys/sites/{s}.pub" for s in SITES} | {
        "study.toml",
        "run.json",
        "result.json",
        "keys/coordinator.key",
    }
    assert (out / "keys" / "coordinator.key").stat().st_mode & 0o077 == 0
