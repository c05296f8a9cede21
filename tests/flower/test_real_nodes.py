"""The app on Flower's own programs: SuperNodes that are processes, and Ray."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from examples.gusto.superlink import PrivateSuperLink, free_port
from fedglmm_flower.coordinator import Result
from fedglmm_flower.flower.server import RunConfig, run_round
from fedglmm_flower.site.memory import SiteMemory
from tests.command import numbers

ROOT = Path(__file__).resolve().parent.parent.parent
# Nothing here is measured: what is waited for comes, sooner or later.
PATIENCE = 500.0
pytestmark = [
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.timeout(PATIENCE + 100),
]


def follow(superlink, run, folder: Path) -> tuple[str, str]:
    """Status and details of a run when it has ended."""
    until = time.monotonic() + PATIENCE
    signs = (folder / "result.json", folder / "coordinator.log")
    while time.monotonic() < until:
        # A look into the folder first: ``flwr`` takes a second of a core each time.
        look_again = time.monotonic() + 20
        while not any(map(Path.exists, signs)) and time.monotonic() < look_again:
            time.sleep(0.2)
        status, details = superlink.status(run)
        if status.startswith("finished"):
            return status, details
        time.sleep(2)
    return "timeout", ""


@pytest.fixture
def real_config(binary, run_config) -> dict[str, object]:
    """A run that waits for its nodes however long they take to start."""
    return {**run_config, "deadline": PATIENCE, "rounds": "refine:1"}


def check(federation) -> dict[str, Any]:
    """Every site was used, and has stored what the coordinator wrote."""
    result = dict(json.loads((federation.root / "run" / "result.json").read_text()))

    assert [site["status"] for site in result["sites"]] == ["used"] * 4
    for site in federation.study.sites:
        estimates = json.loads(federation.estimates(site).read_text())

        assert estimates["fixed"] == result["fixed"]
    return result


def check_rounds(federation, run_config, found) -> None:
    """The numbers of the same rounds in one process; each site counted its points."""
    other = {**run_config, "run-dir": str(federation.root / "other")}
    with federation.grid() as grid:
        run_round(grid, RunConfig.of(other), lambda *_: None)
    expected = Result.load(federation.root / "other").to_dict()
    notes = found["diagnostics"]["refinement"]

    assert (notes["rounds"], notes["state"]) == (3, "out-of-rounds")
    assert max(notes["one_round_shift_se"]) > 1e-3  # a step was taken
    assert numbers(found) == numbers(expected)
    for site in federation.study.sites:
        memory = SiteMemory(federation.site_file(site).parent / "snapshots")
        assert memory.points(federation.study.digest) == 2


@pytest.mark.lengthy
def test_four_supernodes_answer_a_superlink(binary, real_config, tmp_path):
    """A deployment on one machine, one round and a step: each node names its file."""
    federation = binary
    with PrivateSuperLink(tmp_path / "flwr") as superlink:
        for site in federation.study.sites:
            superlink.start(
                *("flower-supernode", "--insecure", "--superlink", superlink.address),
                *("--host", "127.0.0.1", "--port", str(free_port())),
                *("--node-config", f'site-config="{federation.site_file(site)}"'),
            )
        run = superlink.run(ROOT, real_config)
        status, details = follow(superlink, run, federation.folder.path)

    assert status == "finished:completed", details
    check_rounds(federation, real_config, check(federation))


def test_the_simulation_engine_runs_all_rounds(binary, real_config, tmp_path):
    """``flwr run .``: Ray's virtual SuperNodes take their sites from ``sites-dir``."""
    given = {**real_config, "sites-dir": str(binary.root / "sites")}
    engine = PrivateSuperLink(tmp_path / "flwr", "--simulation")
    # Ray's workers step back before everything else, and starve on a busy machine.
    engine.environment["RAY_worker_niceness"] = "0"
    with engine as superlink:
        run = superlink.run(ROOT, given, nodes=4)
        status, details = follow(superlink, run, binary.folder.path)

    assert status == "finished:completed", details
    check_rounds(binary, real_config, check(binary))
