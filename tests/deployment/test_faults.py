"""What goes wrong in a deployment ends in a clear state, and is survived."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from examples.gusto.superlink import free_port
from tests.deployment.consortium import SITES, Consortium, service
from tests.deployment.guide import PAGE, blocks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.timeout(900),
]


def only_certificate_authority() -> str:
    """The guide's command for a certificate authority."""
    (text,) = [b.text for b in blocks() if "study CA" in b.text]
    return text


def stranger(consortium: Consortium, name: str) -> None:
    """Start what has all that the site south has, but the right key or ``ca.crt``."""
    south, folder = consortium.folder("south"), consortium.folder(name)
    for file in ("flower.env", "ca.crt", "site.toml", "node.key"):
        shutil.copy(south / file, folder / file)
    if name == "unregistered":
        (folder / "node.key").unlink()
        consortium.run('ssh-keygen -q -t ecdsa -b 384 -N "" -f node.key', name)
    else:
        (folder / "ca.crt").unlink()
        consortium.run(only_certificate_authority(), name)
    consortium.start(service("site"), name)


@contextmanager
def asleep(consortium: Consortium, site: str) -> Iterator[None]:
    """A site that is online and does not answer: its processes are halted."""
    consortium.await_online()
    consortium.signal(site, signal.SIGSTOP)
    try:
        yield
    finally:
        if site in consortium.running:
            consortium.signal(site, signal.SIGCONT)


def await_two(consortium: Consortium, folder: str) -> None:
    """Wait until two sites have answered."""
    sealed = consortium.folder("coordinator") / folder / "sealed"
    consortium.until(
        lambda: len(list(sealed.glob("*.sealed"))) == 2, "two sites have answered"
    )


def statuses(consortium: Consortium, folder: str) -> dict[str, str]:
    """What became of each site."""
    return {s["site"]: s["status"] for s in consortium.result(folder)["sites"]}


@dataclass(frozen=True)
class Troubles:
    """
    A run in which a site sleeps, and all that went wrong in the meantime.

    Parameters
    ----------
    slow, keyless : tuple of str
        How that run ended, and one of a coordinator without its key: status, details.
    strangers : mapping
        What each stranger said.
    nodes : int
        SuperNodes that the relay knows.
    told : str
        The log of the keyless run, and the relay's.
    """

    slow: tuple[str, str]
    keyless: tuple[str, str]
    strangers: dict[str, str]
    nodes: int
    told: str


@pytest.fixture(scope="module")
def troubles(consortium) -> Troubles:
    """One after the other they would take four times as long."""
    office, names = consortium.folder("coordinator"), ("unregistered", "elsewhere")
    shutil.copytree(office / "keys" / "sites", office / "no-key" / "sites")
    with asleep(consortium, "south"):
        slow = consortium.submit("slow", deadline=consortium.deadline(), quorum=2)
        missing = {"keys-dir": str(office / "no-key")}
        keyless = consortium.submit("keyless", **missing)
        for name in names:
            stranger(consortium, name)
        logs = {name: consortium.log(name) for name in names}
        status = consortium.running["unregistered"].wait(timeout=600)
        assert status != 0
        consortium.until(
            lambda: (
                "certificate verify failed" in logs["elsewhere"].read_text().lower()
            ),
            "the SuperNode names the certificate",
        )
        nodes = consortium.flwr("supernode ls study")["nodes"]
        ended = consortium.ended(slow), consortium.ended(keyless)
    told = consortium.run(f"flwr log {keyless} study --show", "coordinator")
    for name in names:
        consortium.kill(name)
    return Troubles(
        *ended,
        strangers={name: log.read_text() for name, log in logs.items()},
        nodes=len(nodes),
        told=told + consortium.log("relay").read_text(),
    )


def test_a_key_that_nobody_registered_is_turned_away(troubles):
    """The SuperNode ends and says why; the relay has one node for each site."""
    said = troubles.strangers["unregistered"]

    assert "Exit Code: 305" in said
    assert "[code: 2004] Failed to activate SuperNode" in said
    # The SuperNode ends its SuperExec, which is interrupted wherever it is by then.
    assert "Traceback" not in said.partition("Starting Flower SuperExec")[0]
    assert troubles.nodes == len(SITES)


def test_a_relay_of_another_authority_is_not_spoken_to(troubles):
    """With the wrong ca.crt nothing is sent, and the log names the certificate."""
    assert "certificate verify failed" in troubles.strangers["elsewhere"].lower()
    assert troubles.nodes == len(SITES)


def test_a_site_slower_than_the_deadline_is_missing(consortium, troubles):
    """The others are fitted if they are a quorum."""
    status, details = troubles.slow

    assert status == "finished:completed", details
    assert statuses(consortium, "slow") == {
        "east": "used",
        "north": "used",
        "south": "missing",
    }


def test_a_failed_run_tells_no_more_than_its_code(consortium, troubles):
    """Status, details and logs at the relay hold neither path nor exception."""
    status, details = troubles.keyless

    assert status == "finished:failed"
    assert "key-invalid: a key file is missing or not usable" in details
    assert "key-invalid: a key file is missing or not usable" in troubles.told
    assert "coordinator.key" not in troubles.told + details
    log = consortium.folder("coordinator") / "keyless" / "coordinator.log"
    assert "coordinator.key" in log.read_text()


@contextmanager
def killed(consortium: Consortium, folder: str, **config: float) -> Iterator[int]:
    """A run in which two sites answer and the third loses its power; its number."""
    try:
        with asleep(consortium, "south"):
            run = consortium.submit(folder, **config)
            await_two(consortium, folder)
            consortium.kill("south")
        yield run
    finally:
        if "south" not in consortium.running:
            consortium.start(service("site"), "south")
            consortium.await_online()


@pytest.mark.lengthy
def test_a_supernode_killed_mid_round_is_asked_again_when_it_is_back(consortium):
    """The relay tells that it is gone, after a minute; the round goes on with it."""
    with killed(consortium, "back", deadline=600.0, quorum=0) as run:
        consortium.until(lambda: consortium.answered("back") == 3, "it is gone")
        consortium.start(service("site"), "south")
        status, details = consortium.ended(run)

    assert status == "finished:completed", details
    assert set(statuses(consortium, "back").values()) == {"used"}


@pytest.mark.lengthy
@pytest.mark.parametrize("quorum", [0, 2])
def test_a_supernode_killed_mid_round_is_missing_at_the_deadline(consortium, quorum):
    """It does not come back: the quorum rules, and what arrived is kept."""
    folder = f"killed-{quorum}"
    place = consortium.folder("coordinator") / folder
    deadline = consortium.deadline()
    with killed(consortium, folder, deadline=deadline, quorum=quorum) as run:
        status, details = consortium.ended(run)

    assert len(list((place / "sealed").glob("*.sealed"))) == 2
    if quorum == 2:
        assert status == "finished:completed", details
        assert statuses(consortium, folder)["south"] == "missing"
    else:
        assert status == "finished:failed"
        assert "quorum-not-reached" in details
        assert not (place / "result.json").exists()


@pytest.mark.lengthy
def test_a_relay_that_restarts_during_the_wait_loses_nothing(consortium):
    """Sites and ServerApp come back by themselves, and the round ends with all."""
    with asleep(consortium, "south"):
        run = consortium.submit("restarted", deadline=600.0, quorum=0)
        await_two(consortium, "restarted")
        consortium.kill("relay")
        consortium.start(service("relay"), "relay")
        consortium.await_relay()
    status, details = consortium.ended(run)

    assert status == "finished:completed", details
    assert set(statuses(consortium, "restarted").values()) == {"used"}


@pytest.mark.lengthy
@pytest.mark.parametrize(
    ("says", "machine", "changes"),
    [
        ("address already in use", "relay", {"state.db": "other.db"}),
        ("address already in use", "south", {}),
        ("certificate is not valid for", "south", {"relay.example.org": "127.0.0.1"}),
        ("Connection attempt failed, retrying", "south", {":8000": ":9"}),
        ("SuperExec terminated gracefully", "coordinator", {"runtime.": "other."}),
    ],
)
def test_what_the_table_of_failures_says_is_seen(consortium, says, machine, changes):
    """A port that is taken, a wrong name or secret, no way to the relay."""
    text = service(machine if machine in ("relay", "coordinator") else "site")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    if says != "address already in use":
        text = text.replace("--port 9094", f"--port {free_port()}")
    (consortium.folder("coordinator") / "other.secret").write_bytes(bytes(32))

    assert says in PAGE.read_text()
    consortium.start(text, machine, "second")
    try:
        log = consortium.log("second")
        consortium.until(lambda: says in log.read_text(), says)
    finally:
        consortium.kill("second")
        log.unlink()
