"""The entries of a privacy ledger, each sealed by the hash of all before it."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from fedglmm_flower.errors import LedgerError

Kind = Literal["open", "policy", "debit", "release", "resend", "refuse"]
GENESIS: Final = "0" * 64
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entry(
  seq INTEGER PRIMARY KEY,
  kind TEXT NOT NULL CHECK(
    kind IN ('open','policy','debit','release','resend','refuse')),
  dataset TEXT NOT NULL, request TEXT NOT NULL,
  rho_nano INTEGER NOT NULL CHECK(rho_nano >= 0),
  body TEXT NOT NULL, at TEXT NOT NULL, prev TEXT NOT NULL, hash TEXT NOT NULL UNIQUE
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS one_debit
  ON entry(dataset, request) WHERE kind = 'debit';
CREATE UNIQUE INDEX IF NOT EXISTS one_release
  ON entry(dataset, request) WHERE kind = 'release';
CREATE TABLE IF NOT EXISTS answer(
  dataset TEXT NOT NULL, request TEXT NOT NULL, release BLOB NOT NULL,
  PRIMARY KEY(dataset, request)
) STRICT;
CREATE TRIGGER IF NOT EXISTS entry_kept BEFORE UPDATE ON entry
  BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS entry_stays BEFORE DELETE ON entry
  BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS answer_kept BEFORE UPDATE ON answer
  BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER IF NOT EXISTS answer_stays BEFORE DELETE ON answer
  BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""
_COLUMNS: Final = "seq, kind, dataset, request, rho_nano, body, at, prev, hash"
_INSERT: Final = "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True)
class Entry:
    """
    One line of a ledger; none holds a statistic.

    Parameters
    ----------
    seq : int
        Position, from 1.
    kind : str
        ``policy`` sets the cap of a dataset, ``debit`` pays, ``release`` stores the
        answer, ``resend`` gives it again, ``refuse`` says that too little was left.
    dataset, request : str
        Whose budget, and the hash of the request.
    rho_nano : int
        Price in billionths of rho; only debits add up.
    body : str
        Canonical JSON of what else is known.
    at : str
        Time, UTC.
    prev, hash : str
        Hash of the entry before, and of this one with ``prev``.
    """

    seq: int
    kind: Kind
    dataset: str
    request: str
    rho_nano: int
    body: str
    at: str
    prev: str
    hash: str

    @property
    def facts(self) -> dict[str, Any]:
        """The body, read."""
        found: dict[str, Any] = json.loads(self.body)
        return found


def entries(connection: sqlite3.Connection) -> Iterator[Entry]:
    """All entries in order."""
    query = f"SELECT {_COLUMNS} FROM entry ORDER BY seq"  # noqa: S608 - a constant
    for row in connection.execute(query):
        yield Entry(*row)


def head(connection: sqlite3.Connection) -> tuple[int, str]:
    """Position and hash of the last entry."""
    query = "SELECT seq, hash FROM entry ORDER BY seq DESC LIMIT 1"
    row = connection.execute(query).fetchone()
    return (0, GENESIS) if row is None else (int(row[0]), str(row[1]))


def append(
    connection: sqlite3.Connection,
    kind: Kind,
    *,
    dataset: str = "",
    request: str = "",
    rho_nano: int = 0,
    **body: object,
) -> None:
    """Write the next entry; inside a transaction that the caller commits."""
    seq, prev = head(connection)
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    at = datetime.now(UTC).isoformat(timespec="seconds")
    fields = (seq + 1, kind, dataset, request, rho_nano, text, at, prev)
    connection.execute(_INSERT, (*fields, _hash(*fields)))


def require_whole(connection: sqlite3.Connection) -> tuple[int, str]:
    """
    Check every entry and every stored answer.

    Returns
    -------
    (int, str)
        Position and hash of the last entry.

    Raises
    ------
    LedgerError
        If an entry or an answer was altered, removed or put in.
    """
    prev, seq, answers = GENESIS, 0, {}
    for entry in entries(connection):
        fields = asdict(entry)
        told = fields.pop("hash")
        seq += 1
        if entry.seq != seq or entry.prev != prev or _hash(*fields.values()) != told:
            raise LedgerError(
                f"ledger: entry {seq} does not follow from those before it; an "
                "unaltered chain is required; keep this file as evidence, and restore "
                "the latest copy that 'fedglmm ledger verify' accepts"
            )
        prev = told
        if entry.kind == "release":
            answers[entry.dataset, entry.request] = entry.facts["sha256"]
    stored = {
        (dataset, request): hashlib.sha256(release).hexdigest()
        for dataset, request, release in connection.execute(
            "SELECT dataset, request, release FROM answer"
        )
    }
    if stored != answers:
        raise LedgerError(
            "ledger: the stored answers are not those that its entries tell of; they "
            "must agree; keep this file as evidence, and restore the latest copy that "
            "'fedglmm ledger verify' accepts"
        )
    return seq, prev


def _hash(*fields: object) -> str:
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
