"""The ServerApp: its configuration, and what its failures tell the SuperLink."""

import json
import traceback

import pytest
from flwr.app import Context, RecordDict

from coordinator_app.server_app import app
from fedglmm_flower.errors import UsageError
from fedglmm_flower.flower.coordinator_desk import estimates_for
from fedglmm_flower.flower.files import file_name
from fedglmm_flower.flower.server import RunConfig


def serve(federation, run_config) -> None:
    """Call the ServerApp as Flower does."""
    context = Context(
        run_id=1, node_id=1, node_config={}, state=RecordDict(), run_config=run_config
    )
    with federation.grid() as grid:
        app(grid, context)


def test_the_app_leaves_result_sealed_releases_and_estimates(federation, run_config):
    """From run configuration to ``result.json`` and every site's inbox."""
    serve(federation, run_config)
    run = federation.root / "run"
    result = json.loads((run / "result.json").read_text())

    assert {site["status"] for site in result["sites"]} == {"used"}
    assert len(list((run / "sealed").iterdir())) == 4
    for site in federation.study.sites:
        estimates = json.loads(federation.estimates(site).read_text())

        assert estimates["fixed"] == result["fixed"]
        assert [entry["site"] for entry in estimates["sites"]] == [site]


def test_a_failure_tells_the_superlink_a_code_and_keeps_its_detail(
    federation, run_config, capfd
):
    """Neither the exception, nor its causes, nor the log quote the key's path."""
    key = federation.root / "keys" / "sites" / f"{file_name('north')}.pub"
    key.unlink()

    with pytest.raises(RuntimeError, match=r"^key-invalid: a key file is") as caught:
        serve(federation, run_config)
    told = "".join(traceback.format_exception(caught.value)) + "".join(
        capfd.readouterr()
    )

    assert "north.pub" not in told
    assert "north.pub" in (federation.root / "run" / "coordinator.log").read_text()


@pytest.mark.parametrize(
    ("key", "value"),
    [("study", "study.toml"), ("run-dir", ""), ("deadline", 0.0), ("quorum", -1)],
)
def test_a_run_configuration_that_cannot_work_is_refused(run_config, key, value):
    """Relative paths would be taken from where the SuperLink was started."""
    with pytest.raises(UsageError, match=key):
        RunConfig.of({**run_config, key: value})


def test_a_site_receives_nothing_of_a_single_other_site():
    """Random effects and row counts of the others stay at the coordinator."""
    result = {
        "fixed": [{"name": "Intercept"}],
        "sites": [{"site": "a", "n_rows": 60}, {"site": "b", "n_rows": 70}],
        "ranef": [{"group": "site", "level": "a"}, {"group": "site", "level": "b"}],
    }

    assert estimates_for("a", result) == {
        "fixed": [{"name": "Intercept"}],
        "sites": [{"site": "a", "n_rows": 60}],
        "ranef": [{"group": "site", "level": "a"}],
    }
