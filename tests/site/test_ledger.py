"""The ledger: paid before it is drawn, one answer a request, and no way to forget."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from fedglmm_flower.errors import BudgetError, LedgerError
from fedglmm_flower.site import Ledger
from tests.command import fedglmm

ROOT = Path(__file__).parents[2]
# One process a step, which ends itself at that step of one request and leaves what
# would be sent; all come from one that has paid for the imports.
KILLED = """
import json, os, sys
from pathlib import Path
from fedglmm_flower.site import ledger as room
def request(step, path):
    ledger = room.Ledger(path)
    def die(*_):
        os._exit(9)
    if step == "before the policy is anchored":
        room.set_anchor = die
    ledger.allow("people", cap_nano=60, delta=1e-6)
    def draw():
        if step == "after the debit":
            die()
        noise = os.urandom(8)
        (path.parent / "draws").open("ab").write(noise)
        if step == "after the draw":
            die()
        return noise
    append = room.append
    def counted(connection, kind, **fields):
        append(connection, kind, **fields)
        if step == f"inside the {kind}":
            die()
    room.append = counted
    anchor, calls = room.set_anchor, []
    def anchored(*arguments):
        calls.append(1)
        if step == f"before anchor {len(calls)}":
            die()
        anchor(*arguments)
    room.set_anchor = anchored
    answer = ledger.serve("people", "request", 24, draw)
    if step == "before it is sent":
        die()
    (path.parent / "sent").write_bytes(answer)
    os._exit(0)
ended = {}
for step in sys.argv[2:]:
    child = os.fork()
    if not child:
        request(step, Path(sys.argv[1]) / step / "ledger.sqlite")
    ended[step] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(ended))
"""
STEPS = [
    "before the policy is anchored",
    "inside the debit",
    "before anchor 1",
    "after the debit",
    "after the draw",
    "inside the release",
    "before anchor 2",
    "before it is sent",
    "never",
]


@pytest.fixture
def ledger(tmp_path) -> Ledger:
    """A ledger with a budget for two releases."""
    found = Ledger(tmp_path / "ledger.sqlite")
    found.allow("people", cap_nano=60, delta=1e-6)
    return found


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> tuple[Path, dict[str, int]]:
    """The folders of all steps, and how the process of each ended."""
    root = tmp_path_factory.mktemp("killed")
    for step in STEPS:
        (root / step).mkdir()
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(root), *STEPS],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return root, json.loads(done.stdout)


@pytest.mark.parametrize("step", STEPS)
def test_a_process_killed_at_any_step_pays_once_and_answers_with_one_noise(
    killed, step
):
    """Whatever was sent or stored before is what is sent for ever."""
    root, ended = killed
    assert ended[step] == (0 if step == "never" else 9)
    path = root / step / "ledger.sqlite"
    ledger, draws, sent = Ledger(path), path.with_name("draws"), path.with_name("sent")
    kept = None
    if step in ("before anchor 2", "before it is sent", "never"):
        kept = ledger.stored("people", "request")
        assert kept is not None

    def draw() -> bytes:
        noise = os.urandom(8)
        with draws.open("ab") as file:
            file.write(noise)
        return noise

    ledger.allow("people", cap_nano=60, delta=1e-6)
    again, more = (ledger.serve("people", "request", 24, draw) for _ in range(2))
    assert again == more
    assert kept in (None, again)
    assert sent.exists() == (step == "never")
    assert not sent.exists() or sent.read_bytes() == again
    assert ledger.balances()["people"].spent_nano == 24
    kinds = [entry.kind for entry in ledger.entries()]
    assert kinds.count("debit") == kinds.count("release") == 1
    # A draw that was lost with its process was neither stored nor sent.
    lost = step in ("after the draw", "inside the release")
    assert len(draws.read_bytes()) == (16 if lost else 8)


def test_a_request_beyond_the_budget_draws_nothing(ledger):
    """Two fit in, the third does not; the first is still answered."""

    def unreachable() -> bytes:
        raise AssertionError

    assert ledger.serve("people", "a", 30, lambda: b"A") == b"A"
    assert ledger.serve("people", "b", 30, lambda: b"B") == b"B"
    with pytest.raises(BudgetError, match="is left and the release would cost"):
        ledger.serve("people", "c", 1, unreachable)
    assert ledger.serve("people", "a", 30, unreachable) == b"A"
    assert ledger.balances()["people"].spent_nano == 60
    kinds = [entry.kind for entry in ledger.entries()]
    assert kinds[-2:] == ["refuse", "resend"]


def test_each_dataset_has_its_own_budget(ledger):
    """Whatever study asks; a dataset that nobody allowed has none."""
    ledger.allow("others", cap_nano=10, delta=1e-6)
    ledger.serve("people", "a", 60, lambda: b"A")

    assert ledger.serve("others", "a", 10, lambda: b"O") == b"O"
    with pytest.raises(BudgetError):
        ledger.serve("unknown", "a", 1, lambda: b"U")


def test_a_cap_is_recorded_when_it_changes(ledger):
    """A raised one lets more through, a lowered one takes nothing back."""
    ledger.serve("people", "a", 60, lambda: b"A")
    ledger.allow("people", cap_nano=60, delta=1e-6)
    ledger.allow("people", cap_nano=90, delta=1e-6)
    assert ledger.serve("people", "b", 30, lambda: b"B") == b"B"
    ledger.allow("people", cap_nano=20, delta=1e-6)

    with pytest.raises(BudgetError):
        ledger.serve("people", "c", 1, lambda: b"C")
    caps = [e.facts["cap_nano"] for e in ledger.entries() if e.kind == "policy"]
    assert caps == [60, 90, 20]


def test_a_cap_follows_the_latest_signed_policy(ledger):
    """Neither an older version, nor another of its number, nor one without a name."""
    allow = {"cap_nano": 60, "delta": 1e-6}
    one, two, other = ("1" * 64, "2" * 64, "3" * 64)
    for signed in ((1, one), (1, one), (2, two)):
        ledger.allow("people", **allow, signed=signed)
    ledger.allow("others", **allow, signed=(2, two))
    for set_back in ((1, one), (2, other), None):
        with pytest.raises(LedgerError, match=r"version 2 of the policy was in force"):
            ledger.allow("people", **allow, signed=set_back)
    ledger.allow("people", **allow, signed=(4, other))

    told = [e.facts.get("version") for e in ledger.entries() if e.kind == "policy"]
    assert told == [None, 1, 2, 2, 4]
    shown = fedglmm("ledger", "show", ledger.path).out
    assert "version 4 of the policy" in shown


def test_32_senders_at_once_get_one_answer_and_pay_once(ledger):
    """Each drew its own noise; one of them counts."""
    with ThreadPoolExecutor(8) as pool:
        found = list(
            pool.map(
                lambda _: ledger.serve("people", "a", 24, lambda: os.urandom(8)),
                range(32),
            )
        )

    assert len(set(found)) == 1
    assert ledger.balances()["people"].spent_nano == 24
    kinds = [entry.kind for entry in ledger.entries()]
    assert (kinds.count("debit"), kinds.count("release")) == (1, 1)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE entry SET rho_nano = 0 WHERE kind = 'debit'",
        "UPDATE entry SET at = 'x' WHERE seq = 1",
        "DELETE FROM entry WHERE seq = (SELECT max(seq) FROM entry)",
        "UPDATE answer SET release = x'00'",
        "DELETE FROM answer",
        "INSERT INTO answer VALUES ('people', 'z', x'00')",
    ],
)
def test_what_was_tampered_with_is_not_used(ledger, change):
    """The file itself refuses; whoever removes its triggers is found out."""
    ledger.serve("people", "a", 24, lambda: b"A")
    connection = sqlite3.connect(ledger.path)
    if not change.startswith("INSERT"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute(change)
    for name in ("entry_kept", "entry_stays", "answer_kept", "answer_stays"):
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute(change)
    connection.commit()
    connection.close()

    with pytest.raises(LedgerError):
        ledger.serve("people", "b", 1, lambda: b"B")
    with pytest.raises(LedgerError):
        ledger.entries()


def test_an_older_copy_in_its_place_is_noticed(ledger, tmp_path):
    """Spent budget does not come back with a backup."""
    older = tmp_path / "older"
    connection = sqlite3.connect(ledger.path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    shutil.copy2(ledger.path, older)
    ledger.serve("people", "a", 60, lambda: b"A")
    shutil.copy2(older, ledger.path)
    for suffix in ("-wal", "-shm"):
        ledger.path.with_name(ledger.path.name + suffix).unlink(missing_ok=True)

    with pytest.raises(LedgerError, match="older copy"):
        ledger.serve("people", "b", 60, lambda: b"B")


def test_a_missing_file_or_anchor_is_not_replaced_by_a_new_one(ledger):
    """A new ledger would have nothing spent."""
    ledger.serve("people", "a", 24, lambda: b"A")
    anchor = ledger.path.with_name("ledger.sqlite.head")
    told = anchor.read_text()
    anchor.unlink()
    with pytest.raises(LedgerError, match="does not hold the entry"):
        ledger.balances()
    anchor.write_text("{}")
    with pytest.raises(LedgerError, match="does not hold the entry"):
        ledger.balances()
    anchor.write_text(told)
    ledger.path.unlink()
    with pytest.raises(LedgerError, match="is gone"):
        ledger.allow("people", cap_nano=60, delta=1e-6)


def test_nobody_else_may_read_it(ledger):
    """Neither the ledger nor what SQLite and the anchor put beside it."""
    ledger.serve("people", "a", 24, lambda: b"A")
    for path in ledger.path.parent.glob("ledger*"):
        assert path.stat().st_mode & 0o077 == 0
    ledger.path.chmod(0o644)
    with pytest.raises(LedgerError, match="mode 600"):
        ledger.balances()


def test_what_is_no_ledger_ends_in_one_error(tmp_path):
    """A foreign file, a missing one, a folder that does not exist."""
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"not a database, but longer than its header would be" * 9)
    foreign.chmod(0o600)
    with pytest.raises(LedgerError, match="SQLite says"):
        Ledger(foreign).balances()
    with pytest.raises(LedgerError, match="does not exist"):
        Ledger(tmp_path / "nothing").balances()
    with pytest.raises(LedgerError, match="cannot be made"):
        Ledger(tmp_path / "no" / "ledger").allow("a", cap_nano=1, delta=1e-6)


def test_another_database_named_by_mistake_stays_as_it_is(tmp_path):
    """The site's memory, say: to look is not to change how it is written."""
    path = tmp_path / "memory.sqlite"
    path.touch(0o600)
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE secret(value BLOB)")
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="no such table"):
        Ledger(path).entries()

    assert path.read_bytes() == before


def test_the_command_shows_verifies_and_exports(ledger):
    """Budgets as epsilon, entries without statistics, and a chain that holds."""
    ledger.allow("people", cap_nano=185_069_840, delta=1e-6)
    ledger.serve("people", "a" * 64, 24_355_971, lambda: b"A")
    shown = fedglmm("ledger", "show", ledger.path)
    assert "people: epsilon 1.000 of 3.000 spent at delta 1e-06" in shown.out
    assert shown.out.count("debit") == 1
    verified = fedglmm("ledger", "verify", ledger.path)
    assert verified.out.startswith("5 entries, whole; the last is 5 ")
    exported = fedglmm("ledger", "export", ledger.path).out.splitlines()
    kinds = [json.loads(line)["kind"] for line in exported]
    assert kinds == ["open", "policy", "policy", "debit", "release"]
    ledger.path.chmod(0o640)
    assert fedglmm("ledger", "verify", ledger.path).line[0] == "ledger-invalid"
