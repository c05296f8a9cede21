"""A coordinator that is killed: what it had is fitted to the same last digit."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fedglmm_flower.coordinator import Result
from fedglmm_flower.errors import QuorumError
from fedglmm_flower.flower.files import file_name
from fedglmm_flower.flower.resume import resume
from fedglmm_flower.flower.server import RunConfig, run_round
from fedglmm_flower.flower.site_files import receive_file
from tests.command import fedglmm, numbers

ROOT = Path(__file__).resolve().parent.parent.parent
# A coordinator of its own, killed without notice at a step of its work.
COORDINATOR = """
import json, os, signal, sys
from fedglmm_flower.flower.client import make_client_app
from fedglmm_flower.flower.in_process import InProcessGrid
from fedglmm_flower.flower.server import RunConfig, run_round

config, nodes, stage, done = json.loads(sys.argv[1])

def tell(*step):
    if step[:2] == (stage, done):
        os.kill(os.getpid(), signal.SIGKILL)

with InProcessGrid(make_client_app(), nodes) as grid:
    run_round(grid, RunConfig.of(config), tell)
"""


def estimated(result: Result) -> dict[str, object]:
    """All of a result that follows from the releases."""
    return {**numbers(result.to_dict()), "timing": None}


@pytest.fixture
def undisturbed(federation, run_config) -> dict[str, object]:
    """What the run would have found, in a folder of its own."""
    folder = str(federation.root / "undisturbed")
    config = RunConfig.of({**run_config, "run-dir": folder})
    with federation.grid() as grid:
        run_round(grid, config, lambda *_: None)
    return estimated(Result.load(folder))


@pytest.mark.parametrize(
    ("stage", "done", "left"),
    [
        ("summarise", 4, "before the fit"),
        ("fit", 1, "during the fit"),
        ("broadcast", 1, "after the fit"),
    ],
)
def test_a_killed_run_resumes_to_the_same_estimates(
    federation, run_config, undisturbed, stage, done, left
):
    """By the command, with the run's keys; and each site can take its result."""
    nodes = [federation.node(site) for site in federation.study.sites]
    told = json.dumps([run_config, nodes, stage, done])
    ended = subprocess.run(
        [sys.executable, "-c", COORDINATOR, told],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        timeout=120,
    )
    folder = Path(str(run_config["run-dir"]))

    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()
    assert (folder / "result.json").exists() == (left == "after the fit")
    again = fedglmm("coordinator", "combine", folder, "--keys", run_config["keys-dir"])
    assert again.status == 0, again.err
    assert estimated(Result.load(folder)) == undisturbed
    for site in federation.study.sites:
        sealed = folder / "results" / f"{file_name(site)}.sealed"
        inbox = receive_file(federation.site_file(site), sealed)
        stored = json.loads((inbox / "estimates.json").read_text())
        assert stored["fixed"] == Result.load(folder).fixed
        assert json.loads((inbox / "fit_check.json").read_text())["site"] == site


def test_a_run_that_was_killed_before_all_had_answered_needs_a_quorum(
    federation, run_config
):
    """What came is kept; who did not answer is missing."""
    nodes = [federation.node(site) for site in federation.study.sites]
    told = json.dumps([run_config, nodes, "summarise", 3])
    subprocess.run(
        [sys.executable, "-c", COORDINATOR, told],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        timeout=120,
    )
    folder, keys = Path(str(run_config["run-dir"])), Path(str(run_config["keys-dir"]))
    with pytest.raises(QuorumError, match="3 of 4 sites can be used"):
        resume(folder, keys=keys)
    done = resume(folder, keys=keys, quorum=3)

    statuses = [site["status"] for site in done.result.to_dict()["sites"]]
    assert sorted(statuses) == ["missing", "used", "used", "used"]


def test_a_new_run_in_the_same_folder_keeps_the_earlier_one(
    federation, run_config, undisturbed
):
    """Moved aside with all that fits it: nothing is lost by trying again."""
    config = RunConfig.of(run_config)
    found = []
    for _ in range(2):
        with federation.grid() as grid:
            run_round(grid, config, lambda *_: None)
        found.append(json.loads((config.run_dir / "run.json").read_text())["run_id"])
    (earlier,) = (config.run_dir / "earlier").iterdir()
    done = resume(earlier, keys=Path(str(run_config["keys-dir"])))

    assert earlier.name == found[0]
    assert estimated(done.result) == undisturbed
    assert done.result.to_dict()["provenance"]["run_id"] == found[0]


def test_a_run_is_fitted_again_by_its_own_terms(federation, run_config):
    """Its quorum is kept beside it, and counts unless another is given."""
    config = RunConfig.of({**run_config, "quorum": 3, "deadline": 2.0})
    with federation.grid(silent=[1]) as grid:
        run_round(grid, config, lambda *_: None)
    before = Result.load(config.run_dir)
    done = resume(config.run_dir, keys=config.keys_dir)

    assert estimated(done.result) == estimated(before)
    with pytest.raises(QuorumError):
        resume(config.run_dir, keys=config.keys_dir, quorum=4)
