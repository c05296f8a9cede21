"""The app on Flower's own programs: SuperNodes that are processes, and Ray."""

import json
import time
from pathlib import Path

import pytest

from examples.gusto.superlink import PrivateSuperLink, free_port

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(180)]


def follow(superlink, run) -> tuple[str, str]:
    """Status and details of a run when it has ended."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        status, details = superlink.status(run)
        if status.startswith("finished"):
            return status, details
        time.sleep(0.5)
    return "timeout", ""


def check(federation) -> None:
    """Every site was used, and has stored what the coordinator wrote."""
    result = json.loads((federation.root / "run" / "result.json").read_text())

    assert [site["status"] for site in result["sites"]] == ["used"] * 4
    for site in federation.study.sites:
        estimates = json.loads(federation.estimates(site).read_text())

        assert estimates["fixed"] == result["fixed"]


@pytest.mark.lengthy
def test_four_supernodes_answer_a_superlink(federation, run_config, tmp_path):
    """A deployment on one machine: each SuperNode names its site's file."""
    with PrivateSuperLink(tmp_path / "flwr") as superlink:
        for site in federation.study.sites:
            superlink.start(
                *("flower-supernode", "--insecure", "--superlink", superlink.address),
                *("--host", "127.0.0.1", "--port", str(free_port())),
                *("--node-config", f'site-config="{federation.site_file(site)}"'),
            )
        run = superlink.run(ROOT, run_config)
        status, details = follow(superlink, run)

    assert status == "finished:completed", details
    check(federation)


def test_the_simulation_engine_runs_the_app(federation, run_config, tmp_path):
    """Ray's virtual SuperNodes take their sites from ``sites-dir``."""
    sites = {"sites-dir": str(federation.root / "sites")}
    with PrivateSuperLink(tmp_path / "flwr", "--simulation") as superlink:
        run = superlink.run(ROOT, {**run_config, **sites}, nodes=4)
        status, details = follow(superlink, run)

    assert status == "finished:completed", details
    check(federation)
