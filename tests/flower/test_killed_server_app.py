"""A ServerApp of a real SuperLink is killed; its run is fitted from what it kept."""

import os
import signal
import time
from pathlib import Path

import pytest

from examples.gusto.superlink import PrivateSuperLink, _process_table, free_port
from fedglmm_flower.coordinator import Result
from fedglmm_flower.errors import QuorumError
from fedglmm_flower.flower.files import file_name
from fedglmm_flower.flower.resume import resume
from fedglmm_flower.flower.server import RunConfig, run_round
from fedglmm_flower.flower.site_files import receive_file
from tests.command import numbers

ROOT = Path(__file__).resolve().parent.parent.parent
PATIENCE = 500.0
pytestmark = [
    pytest.mark.lengthy,
    pytest.mark.network,
    pytest.mark.timeout(PATIENCE + 100),
]


def server_app(superlink: PrivateSuperLink) -> int:
    """Process of the ServerApp among those that this SuperLink has started."""
    family = {superlink._processes[0].pid}
    rows = _process_table()
    while more := {row[0] for row in rows if row[1] in family} - family:
        family |= more
    for pid in sorted(family):
        line = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if any(part.endswith(b"flwr-serverapp") for part in line):
            return pid
    pytest.fail("no ServerApp is running")


def test_a_killed_server_app_loses_no_answer(federation, run_config, tmp_path):
    """Three sites have answered, the fourth hangs; the three are fitted afterwards."""
    slow = federation.site_file("south").parent / "data.csv"
    slow.unlink()
    os.mkfifo(slow)  # a table that is never finished
    folder = Path(str(run_config["run-dir"]))
    with PrivateSuperLink(tmp_path / "flwr") as superlink:
        for site in federation.study.sites:
            superlink.start(
                *("flower-supernode", "--insecure", "--superlink", superlink.address),
                *("--host", "127.0.0.1", "--port", str(free_port())),
                *("--node-config", f'site-config="{federation.site_file(site)}"'),
            )
        superlink.run(ROOT, {**run_config, "deadline": PATIENCE})
        until = time.monotonic() + PATIENCE
        while len(list(folder.glob("sealed/*.sealed"))) < 3:
            assert time.monotonic() < until
            time.sleep(0.2)
        os.kill(server_app(superlink), signal.SIGKILL)

    keys = Path(str(run_config["keys-dir"]))
    with pytest.raises(QuorumError, match="3 of 4 sites can be used"):
        resume(folder, keys=keys)
    found = numbers(resume(folder, keys=keys, quorum=3).result.to_dict())
    other = {**run_config, "run-dir": str(tmp_path / "other"), "quorum": 3}
    with federation.grid(silent=[3]) as grid:
        config = RunConfig.of({**other, "deadline": 2.0})
        run_round(grid, config, lambda *_: None)
    expected = numbers(Result.load(tmp_path / "other").to_dict())

    assert found["fixed"] == expected["fixed"]
    assert found["random"] == expected["random"]
    assert found["loglik"] == expected["loglik"]
    for site in ("St. Mary/West", "east", "north"):
        sealed = folder / "results" / f"{file_name(site)}.sealed"
        inbox = receive_file(federation.site_file(site), sealed)
        assert (inbox / "fit_check.json").exists()
