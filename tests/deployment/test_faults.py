"""What goes wrong in a deployment ends in a clear state, and is survived."""

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from examples.gusto.superlink import free_port
from tests.deployment.consortium import SITES, Consortium, service
from tests.deployment.guide import PAGE, blocks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("deployment"),
]


@pytest.fixture
def stranger(consortium) -> Iterator[Consortium]:
    """A machine with everything that the site south has, and another SuperNode key."""
    south, folder = consortium.folder("south"), consortium.folder("stranger")
    for name in ("flower.env", "ca.crt", "site.toml", "node.key"):
        shutil.copy(south / name, folder / name)
    yield consortium
    if "stranger" in consortium.running:
        consortium.kill("stranger")
    shutil.rmtree(folder)


def online(consortium: Consortium) -> int:
    """Number of SuperNodes that the relay takes for online."""
    nodes = consortium.flwr("supernode ls study")["nodes"]
    return sum(node["status"] == "online" for node in nodes)


def test_a_key_that_nobody_registered_is_turned_away(stranger):
    """The SuperNode ends and says why; the relay has one node for each site."""
    folder = stranger.folder("stranger")
    (folder / "node.key").unlink()
    stranger.run('ssh-keygen -q -t ecdsa -b 384 -N "" -f node.key', "stranger")

    stranger.start(service("site"), "stranger")
    status = stranger.running["stranger"].wait(timeout=120)

    assert status != 0
    said = stranger.log("stranger").read_text()
    assert "Exit Code: 305" in said
    assert "[code: 2004] Failed to activate SuperNode" in said
    assert "Traceback" not in said
    assert online(stranger) == len(SITES)


def test_a_relay_of_another_authority_is_not_spoken_to(stranger):
    """With the wrong ca.crt nothing is sent, and the log names the certificate."""
    folder = stranger.folder("stranger")
    (folder / "ca.crt").unlink()
    authority = only_certificate_authority()
    stranger.run(authority, "stranger")

    stranger.start(service("site"), "stranger")
    log = stranger.log("stranger")
    stranger.until(
        lambda: "certificate verify failed" in log.read_text().lower(),
        "the SuperNode names the certificate",
    )

    assert online(stranger) == len(SITES)


@pytest.mark.lengthy
@pytest.mark.parametrize(
    ("says", "machine", "changes"),
    [
        ("address already in use", "relay", {"state.db": "other.db"}),
        ("address already in use", "south", {}),
        ("Hostname mismatch", "south", {"relay.example.org": "127.0.0.1"}),
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


def only_certificate_authority() -> str:
    """The guide's command for a certificate authority."""
    (text,) = [b.text for b in blocks() if "study CA" in b.text]
    return text


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


def test_a_site_slower_than_the_deadline_is_missing(consortium):
    """The others are fitted if they are a quorum."""
    with asleep(consortium, "south"):
        run = consortium.submit("slow", deadline=30.0, quorum=2)
        status, details = consortium.ended(run)

    assert status == "finished:completed", details
    assert statuses(consortium, "slow") == {
        "east": "used",
        "north": "used",
        "south": "missing",
    }


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
    with killed(consortium, folder, deadline=90.0, quorum=quorum) as run:
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
