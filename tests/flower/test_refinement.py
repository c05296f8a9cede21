"""Newton steps after the one round, over messages in their bytes."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from flwr.app import Error, Message
from flwr.common.constant import ErrorCode

from fedglmm_flower.coordinator import Result
from fedglmm_flower.errors import StudyError, UsageError
from fedglmm_flower.flower.in_process import InProcessGrid
from fedglmm_flower.flower.plan import strategy_for
from fedglmm_flower.flower.resume import resume
from fedglmm_flower.flower.rounds import Rounds, parse_rounds
from fedglmm_flower.flower.server import RunConfig, run_round
from fedglmm_flower.flower.simulate import simulate
from fedglmm_flower.site import Policy
from fedglmm_flower.site.memory import SiteMemory
from fedglmm_flower.study import read_study, write_study
from tests.command import numbers

FORMULA = "y ~ x + z + (1 | site)"


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Six sites of 150 rows, one 0/1 response, strong predictors."""
    rng = np.random.default_rng(5)
    n = 900
    site = np.repeat(list("abcdef"), 150)
    x, z = rng.exponential(size=n), rng.integers(0, 2, n)
    effects = dict(zip("abcdef", 0.7 * rng.normal(size=6), strict=True))
    eta = -1.5 + 1.2 * x - 0.8 * z + np.array([effects[s] for s in site])
    y = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int)
    slopes = np.repeat([0.9, -0.6, 0.1, 0.5, -0.9, 0.0], 150)
    count = rng.poisson(np.exp(np.clip(0.4 * eta + slopes * z, -3, 3)))
    return pd.DataFrame({"site": site, "x": x, "z": z, "y": y, "count": count})


def distance(values, other) -> float:
    """Largest difference of a fixed effect, in standard errors."""
    pairs = zip(values["fixed"], other["fixed"], strict=True)
    return max(float(abs(a["estimate"] - b["estimate"]) / b["se"]) for a, b in pairs)


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        (FORMULA, {"family": "binomial"}),
        (FORMULA, {"family": "binomial", "method": "aghq:5"}),
        (FORMULA, {"family": "binomial", "link": "cloglog"}),
        ("count ~ x + z + (1 + z || site)", {"family": "poisson"}),
        ("count ~ x + z + (1 | site)", {"family": "nbinom2"}),
    ],
)
def test_refined_estimates_are_those_of_the_pooled_rows(table, formula, options):
    """Estimates, errors and log-likelihood come from the sites' own likelihoods."""
    low: dict[str, Any] = {"rounds": "refine:6", "disclosure": False, **options}
    if options.get("link") != "cloglog" and options["family"] != "nbinom2":
        low |= {"order": 2, "release_set": "canonical"}
    found = simulate(table, formula, compare_pooled=True, **low).to_dict()
    pooled, notes = found["pooled"], found["diagnostics"]["refinement"]
    errors = zip(found["fixed"], pooled["fixed"], strict=True)

    assert notes["state"] == "arrived"
    assert notes["exactness_of_one_round"] == "approximate"
    assert found["exactness"] == "exact"
    assert distance(found, pooled) < 1e-6
    assert found["loglik"] == pytest.approx(pooled["loglik"], abs=1e-7)
    assert all(a["se"] == pytest.approx(b["se"], rel=1e-5) for a, b in errors)
    for a, b in zip(found["random"], pooled["random"], strict=True):
        kind = "sd" if "sd" in a else "corr"
        assert a[kind] == pytest.approx(b[kind], abs=1e-6)


@pytest.mark.parametrize(
    ("formula", "family", "method"),
    [
        (FORMULA, "binomial", "laplace"),
        (FORMULA, "binomial", "aghq:2"),
        ("count ~ x + z + (1 + z || site)", "poisson", "aghq:5"),
    ],
)
def test_an_iterative_fit_owes_nothing_to_the_one_round(table, formula, family, method):
    """From the model without effects, LA and GH(k) arrive at the pooled fit."""
    found = simulate(
        table,
        formula,
        family,
        method=method,
        rounds="iterative",
        order=1,
        release_set="canonical",
        disclosure=False,
        compare_pooled=True,
    ).to_dict()

    assert found["diagnostics"]["refinement"]["state"] == "arrived"
    assert 5 < found["diagnostics"]["refinement"]["rounds"] < 25
    assert distance(found, found["pooled"]) < 1e-6
    assert found["loglik"] == pytest.approx(found["pooled"]["loglik"], abs=1e-7)


def test_the_error_of_the_one_round_is_measured(table):
    """The stated shift is that from the one-round estimates to the refined ones."""
    low: dict[str, Any] = {
        "order": 2,
        "release_set": "canonical",
        "family": "binomial",
        "seed": 1,
    }
    one = simulate(table, FORMULA, **low).to_dict()
    found = simulate(table, FORMULA, rounds="refine:4", **low).to_dict()
    notes = found["diagnostics"]["refinement"]
    moved = [
        a["estimate"] - b["estimate"]
        for a, b in zip(one["fixed"], found["fixed"], strict=True)
    ]

    assert max(map(abs, moved)) > 1e-4
    assert notes["one_round_shift"] == pytest.approx(moved, abs=1e-9)
    assert notes["bytes_asked"] > 0 < notes["bytes_answered"]


def test_too_few_steps_are_told(table):
    """One step from a poor start has not arrived, and the result says approximate."""
    low: dict[str, Any] = {"order": 1, "release_set": "canonical", "family": "binomial"}
    found = simulate(table, FORMULA, rounds="refine:1", **low).to_dict()

    assert found["diagnostics"]["refinement"]["state"] == "out-of-rounds"
    assert found["exactness"] == "approximate"
    assert any("one more round" in text for text in found["diagnostics"]["warnings"])
    assert all(row["approx_error"] > 0 for row in found["fixed"])


def test_a_gaussian_study_needs_no_second_message(table):
    """One round is lossless there: nobody is asked again."""
    found = simulate(
        table, "x ~ z + (1 | site)", "gaussian", rounds="refine:2"
    ).to_dict()

    assert found["exactness"] == "exact"
    assert found["diagnostics"]["refinement"] == {"state": "not-needed", "rounds": 1}
    assert found["diagnostics"]["warnings"] == []


@pytest.mark.parametrize("text", ["2", "refine", "refine:0", "refine:x", "refine:21"])
def test_unknown_rounds_are_refused(text):
    """Only what can be run is accepted."""
    with pytest.raises(UsageError, match="refine:R"):
        parse_rounds(text)


def test_a_study_of_one_round_allows_no_other(table, tmp_path):
    """What the sites have approved says how often they may be asked."""
    simulate(table, FORMULA, "binomial", out=tmp_path / "one")

    with pytest.raises(StudyError, match="rounds = 3"):
        simulate(table, study=tmp_path / "one" / "study.toml", rounds="refine:2")


def refined(federation, grid, steps=3, *, quorum=None):
    """Run the rounds on a grid."""
    strategy = strategy_for(
        Rounds(steps),
        federation.study,
        federation.desk(),
        federation.folder,
        quorum=quorum,
        patience=60.0,
    )
    with grid:
        return strategy.start(grid, timeout=20).outcome.to_dict()


def test_sites_read_from_their_own_files(binary):
    """The deployed desk answers as a simulation's does, and counts the points."""
    found = refined(binary, binary.grid())
    points = SiteMemory(binary.site_file("east").parent / "snapshots")
    notes = found["diagnostics"]["refinement"]

    assert notes["state"] == "arrived"
    assert points.points(binary.study.digest) == notes["rounds"] - 1
    assert Result.load(binary.folder.path).to_dict() == found
    assert json.loads(binary.estimates("east").read_text())["fixed"] == found["fixed"]


def test_the_server_app_reads_the_rounds(binary, run_config):
    """``flwr run -c rounds=...``: the result on disk is the refined one."""
    config = RunConfig.of({**run_config, "rounds": "refine:3"})
    with binary.grid() as grid:
        run_round(grid, config)
    found = Result.load(config.run_dir).to_dict()

    assert found["diagnostics"]["refinement"]["state"] == "arrived"


def test_a_site_that_is_lost_leaves_the_one_round_result(binary):
    """A sum without one site is that of other data: the estimates stay."""

    class Losing(InProcessGrid):
        def _answer(self, message):
            about = message.metadata
            if (about.dst_node_id, about.message_type) == (1002, "query.score"):
                return Message(Error(ErrorCode.NODE_UNAVAILABLE), reply_to=message)
            return super()._answer(message)

    one = binary.grid()
    with one:
        strategy = binary.strategy()
        expected = strategy.start(one, timeout=60).outcome.to_dict()
    binary.run_id = "run-2"
    found = refined(binary, binary.grid(kind=Losing))
    notes = found["diagnostics"]["refinement"]

    assert notes["state"] == "site-lost"
    assert notes["lost"] == ["east"]
    assert found["fixed"] == expected["fixed"]
    assert found["exactness"] == "approximate"
    assert found["converged"]
    assert "did not give its likelihood" in " ".join(found["diagnostics"]["warnings"])
    told = json.loads(binary.estimates("north").read_text())["diagnostics"]

    assert not {"lost", "refusals"} & set(told["refinement"])


def test_a_site_answers_no_more_points_than_approved(binary):
    """The count outlives the run: a second run does not start from nothing."""
    first = refined(binary, binary.grid())
    asked = first["diagnostics"]["refinement"]["rounds"] - 1
    points = SiteMemory(binary.site_file("east").parent / "snapshots")
    for k in range(binary.study.rounds - asked):
        points.admit(binary.study.digest, f"{k:064x}", binary.study.rounds)
    binary.run_id = "run-2"
    again = refined(binary, binary.grid())

    # The same release gives the same points, so that most of them are free.
    assert again["diagnostics"]["refinement"]["state"] in ("arrived", "site-lost")
    assert points.points(binary.study.digest) == binary.study.rounds


def test_a_crash_between_rounds_keeps_the_one_round_result(binary, run_config):
    """What was answered is on disk: resuming takes those steps, and says what lacks."""
    config = RunConfig.of({**run_config, "rounds": "refine:3"})
    whole = RunConfig.of({**run_config, "rounds": "refine:3"})
    whole = replace(whole, run_dir=config.run_dir.with_name("whole"))
    with binary.grid() as grid:
        run_round(grid, whole, lambda *_: None)

    class PowerCutError(Exception):
        pass

    def crash(point):
        def tell(stage, done, _total):
            if (stage, done) == ("refine", point):
                raise PowerCutError

        with binary.grid() as grid, pytest.raises(PowerCutError):
            run_round(grid, config, tell)
        again = resume(config.run_dir, keys=config.keys_dir).result.to_dict()
        return again, again["diagnostics"]["refinement"]

    one, first = crash(2)
    step, second = crash(3)

    for notes, point in ((first, 2), (second, 3)):
        assert (notes["state"], notes["rounds"]) == ("broken-off", 1 + point)
        assert {why["code"] for why in notes["refusals"].values()} == {"not-asked"}
    assert "of the one round" in one["diagnostics"]["warnings"][-1]
    assert distance(step, one) > 1e-3
    assert step["exactness"] == "approximate"
    assert all(row["approx_error"] is not None for row in step["fixed"])
    # With all answers there, everything is as the run has left it.
    before = Result.load(whole.run_dir).to_dict()
    after = resume(whole.run_dir, keys=whole.keys_dir).result.to_dict()

    assert after["diagnostics"]["refinement"]["state"] == "arrived"
    assert {**numbers(after), "timing": None} == {**numbers(before), "timing": None}


def test_the_gate_stands_before_a_score(table):
    """A site too small for the numbers of a score is refused before anything leaves."""
    policy = Policy(rows_per_statistic=12.0)
    found = simulate(
        table,
        FORMULA,
        "binomial",
        order=1,
        release_set="canonical",
        policy=policy,
        rounds="refine:1",
    ).to_dict()
    notes = found["diagnostics"]["refinement"]

    assert notes["state"] == "site-lost"
    assert {r["code"] for r in notes["refusals"].values()} == {"disclosure-refused"}


def test_rounds_survive_the_study_file(binary, tmp_path):
    """``rounds`` is part of what is approved; a study without keeps its digest."""
    study = replace(binary.study, held_out=0.25)
    write_study(study, tmp_path / "study.toml")

    assert read_study(tmp_path / "study.toml") == study
    assert b"held_out" not in binary.study.canonical_bytes
    assert b"rounds" not in replace(binary.study, rounds=0).canonical_bytes
