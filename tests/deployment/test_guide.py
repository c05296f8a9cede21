"""The guide for deployments: its commands, as they stand, give simulate's result."""

import json
import re
import tomllib

import pytest

from tests.command import fedglmm
from tests.deployment.comparing import check_deployed
from tests.deployment.consortium import SITES
from tests.deployment.guide import PAGE, ROOT, blocks, words
from tests.deployment.recording import everything, found, recorded, traces
from tests.saved_run import use_again

pytestmark = [
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.timeout(900),
]


def test_a_deployment_gives_the_numbers_of_simulate(consortium, patients, tmp_path):
    """Three SuperNodes with TLS and keys, a ServerApp of its own: the same to 1e-12."""
    patients.to_csv(tmp_path / "all.csv", index=False)
    study = consortium.folder("coordinator") / "study.toml"
    simulated = tmp_path / "out"

    ended = fedglmm(
        *("simulate", tmp_path / "all.csv", "--study", study, "--out", simulated)
    )
    result = consortium.result("run")

    assert ended.status == 0, ended.err
    assert [site["status"] for site in result["sites"]] == ["used"] * 3
    assert result["exactness"] == "approximate"  # pseudo-data were drawn
    expected = json.loads((simulated / "result.json").read_text())
    check_deployed(result, expected)


def test_every_site_has_the_estimates_and_its_own_effect(consortium):
    """The broadcast is opened and stored, and holds no other site's effect."""
    result = consortium.result("run")

    for site in SITES:
        inbox = consortium.folder(site) / "inbox" / "estimates.json"
        estimates = json.loads(inbox.read_text(encoding="utf-8"))

        assert estimates["fixed"] == result["fixed"]
        assert [effect["level"] for effect in estimates["ranef"]] == [site]


def test_the_run_of_a_deployment_can_be_used_again(consortium, tmp_path):
    """Refit, compare, export and report, with the keys that stand beside the run."""
    place = consortium.folder("coordinator")

    use_again(place / "run", place / "keys", "event ~ 1 + (1 | site)", tmp_path / "new")


def test_the_coordinators_key_is_nowhere_at_the_relay(consortium):
    """The ServerApp ran in the coordinator's process; the relay never had a key."""
    keys = consortium.folder("coordinator") / "keys" / "coordinator.key"
    secrets = [keys.read_bytes()]
    secrets += [
        (consortium.folder(site) / name).read_bytes()
        for site in SITES
        for name in ("node.key", f"keys/{site}.key")
    ]
    relay = consortium.folder("relay")

    assert list(relay.rglob("*.key")) == [relay / "relay.key"]
    for _, content in everything(relay, relay / "flower" / "state.db"):
        for secret in secrets:
            lines = [line for line in secret.splitlines() if len(line) > 20]
            assert lines
            assert not any(line in content for line in lines if b"---" not in line)


def known(patients, result) -> list[float]:
    """Rows, sums of each site and estimates."""
    values = [float(age) for age in patients["age"]]
    for _, rows in patients.groupby("site"):
        age, event = rows["age"], rows["event"]
        values += [float((age**k).sum()) for k in (1, 2, 3, 4)]
        values += [float((age**k * event).sum()) for k in (1, 2)]
        values += [float(age.mean()), float(age.var())]
    values += [float(e["estimate"]) for e in result["fixed"] + result["ranef"]]
    values += [float(entry["sd"]) for entry in result["random"]]
    return values


def test_the_relay_never_held_a_row_a_sum_or_an_estimate(consortium, patients):
    """Every message that was stored, the database, the logs and Flower's home."""
    relay = consortium.folder("relay")
    database = relay / "flower" / "state.db"
    places = [
        *everything(relay, database),
        ("log", consortium.log("relay").read_bytes()),
    ]
    values = known(patients, consortium.result("run"))

    assert len(values) > 600
    assert {"flower/state.db", "objects.content", "log"} <= {name for name, _ in places}
    # What was stored twice is read once.
    once = {content: name for name, content in places}
    assert found(values, (), [(name, content) for content, name in once.items()]) == []


def test_the_scan_reads_what_passes_the_relay(consortium):
    """A control: what is sent in clear, the study, is found among stored messages."""
    stored = recorded(consortium.folder("relay") / "flower" / "state.db")

    assert found((), ["event ~ age + (1 | site)"], stored)
    assert found((), ["sealed"], stored)


@pytest.mark.parametrize("before", [0, 70_000, 2**20 - 3])
@pytest.mark.parametrize("after", [0, 70_000])
@pytest.mark.parametrize("trace", range(3))
def test_the_scan_finds_a_planted_value(trace, before, after, tmp_path):
    """A control: one number in a large file, as text or as a double of either order."""
    value = 51.123456789
    path = tmp_path / "flower" / "some.log"
    path.parent.mkdir()
    path.write_bytes(bytes(before) + traces(value)[trace] + bytes(after))
    clean = [("elsewhere", bytes(1000))]
    places = [("some.log", path.read_bytes()), *clean]

    assert len(found([value], (), places)) == 1
    assert found([value], (), clean) == []


def test_a_block_tells_its_reader_where_it_is_pasted():
    """The fence, which the tests read, and the first line, which is shown, agree."""
    shared = ("install", "everywhere", "shell")

    for block in blocks():
        place = "every machine" if block.machine in shared else block.machine
        assert block.text.startswith(f"# {place}")


def test_systemd_runs_the_commands_of_the_guide():
    """A unit that drifts from section 5 would be a second, untested guide."""
    units = {block.machine: block.text for block in blocks("ini")}
    services = [block for block in blocks() if block.kind.startswith("service ")]

    assert len(services) == len(units) == 3
    for block in services:
        unit = units[block.kind.removeprefix("service ")]
        line = unit.partition("ExecStart=")[2].partition("\nRestart")[0]
        assert words(line.removeprefix("/srv/fedglmm/venv/bin/")) == words(block.text)


def test_systemd_asks_for_no_folder_that_may_be_missing():
    """A unit that names one does not start; a site with a database has no ``data``."""
    made = {"app", "flower", "keys", "run", ""}
    for block in blocks("ini"):
        for paths in re.findall(r"^Read\w+Paths=(.*)$", block.text, re.MULTILINE):
            needed = {path for path in paths.split() if not path.startswith("-")}

            assert {p.removeprefix("/srv/fedglmm").strip("/") for p in needed} <= made


def test_the_guide_knows_every_key_of_the_run_configuration():
    """Each key of the app stands in the table with its default."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    config = project["tool"]["flwr"]["app"]["config"]
    page = PAGE.read_text(encoding="utf-8")

    for key, default in config.items():
        shown = "none" if default == "" else str(default)
        assert f"| `{key}` | {shown} |" in page
