"""The privacy ledger of a site: debit, draw, store, and only then send.

One SQLite file for all datasets and studies of a site.  Whatever is killed at whatever
point: a draw is paid before it is made, and one request never has two answers.
"""

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedglmm_flower.errors import BudgetError, LedgerError
from fedglmm_flower.site.ledger_anchor import check_anchor, require_entry, set_anchor
from fedglmm_flower.site.ledger_chain import (
    SCHEMA,
    Entry,
    append,
    entries,
    head,
    require_whole,
)

_WAIT_S = 60.0
# Facts of a policy entry that say which signed version it follows.
_SIGNED = ("version", "policy")


@dataclass(frozen=True)
class Balance:
    """
    Budget of a dataset, in billionths of rho.

    Parameters
    ----------
    cap_nano, spent_nano : int
        What was allowed last, and what is spent.
    delta : float
        The delta at which the officer states epsilon.
    """

    cap_nano: int
    spent_nano: int
    delta: float


@dataclass(frozen=True)
class Ledger:
    """
    A ledger in a file that only its owner may read.

    Parameters
    ----------
    path : Path
        The file, on a local disk; ``.head`` beside it holds the last entry's hash, so
        that an older copy put in its place is noticed.
    """

    path: Path

    def allow(
        self,
        dataset: str,
        *,
        cap_nano: int,
        delta: float,
        signed: tuple[int, str] | None = None,
    ) -> None:
        """
        Record the officer's cap for a dataset, if it is another than before.

        Parameters
        ----------
        dataset : str
            Whose budget.
        cap_nano, delta : int, float
            The cap, and the delta at which epsilon is stated.
        signed : (int, str) or None
            Number and digest of the signed version of the policy that says so.

        Raises
        ------
        LedgerError
            If a later version, or another one of this number, was in force before.
        """
        with self._transaction(create=True) as connection:
            self._require_later(connection, signed)
            version = {} if signed is None else dict(zip(_SIGNED, signed, strict=True))
            told: dict[str, Any] = {"cap_nano": cap_nano, "delta": delta, **version}
            if _allowed(connection, dataset) != told:
                append(connection, "policy", dataset=dataset, **told)
        self._set_anchor()

    def stored(self, dataset: str, request: str) -> bytes | None:
        """The answer that a request was given before, if any."""
        with self._transaction() as connection:
            return _answer(connection, dataset, request)

    def serve(
        self, dataset: str, request: str, rho_nano: int, draw: Callable[[], bytes]
    ) -> bytes:
        """
        The stored answer, or a new one that is paid before it is drawn.

        Parameters
        ----------
        dataset, request : str
            Whose budget, and what is asked.
        rho_nano : int
            Price.
        draw : callable
            Makes the answer, with noise.

        Returns
        -------
        bytes
            The same for every call with this request.

        Raises
        ------
        BudgetError
            If too little is left; nothing was drawn.
        LedgerError
            If the file is damaged or was set back.
        """
        with self._transaction() as connection:
            known = _answer(connection, dataset, request)
            left: int | None = None
            if known is not None:
                append(connection, "resend", dataset=dataset, request=request)
            elif not _is_paid(connection, dataset, request):
                balance = _balances(connection).get(dataset, Balance(0, 0, 0.0))
                left = balance.cap_nano - balance.spent_nano
                kind = "debit" if rho_nano <= left else "refuse"
                append(
                    connection,
                    "debit" if kind == "debit" else "refuse",
                    dataset=dataset,
                    request=request,
                    rho_nano=rho_nano,
                )
        self._set_anchor()
        if known is not None:
            return known
        if left is not None and rho_nano > left:
            raise BudgetError(
                f"privacy: dataset {dataset!r}: {left / 1e9:.6f} of rho is left and "
                f"the release would cost {rho_nano / 1e9:.6f}; a release within the "
                "budget is required; answer no more studies of this dataset, or have "
                "the budget raised in [privacy]"
            )
        answer = draw()
        with self._transaction() as connection:
            # Another process may have paid nothing and drawn too: the first one counts.
            known = _answer(connection, dataset, request)
            if known is None:
                connection.execute(
                    "INSERT INTO answer VALUES (?, ?, ?)", (dataset, request, answer)
                )
                append(
                    connection,
                    "release",
                    dataset=dataset,
                    request=request,
                    sha256=hashlib.sha256(answer).hexdigest(),
                )
        self._set_anchor()
        return answer if known is None else known

    def balances(self) -> dict[str, Balance]:
        """Budget of each dataset."""
        with self._transaction() as connection:
            return _balances(connection)

    def entries(self) -> list[Entry]:
        """All entries, after the whole chain was checked."""
        with self._transaction() as connection:
            return list(entries(connection))

    def last(self) -> tuple[int, str]:
        """Position and hash of the last entry."""
        with self._transaction() as connection:
            return head(connection)

    def require_entry(self, seq: int, told: str, where: Path) -> None:
        """
        Require that an entry which was noted elsewhere is there.

        Raises
        ------
        LedgerError
            If the ledger was set back behind it, or is another one.
        """
        with self._transaction() as connection:
            require_entry(connection, self.path, (seq, told), where.name)

    def _require_later(
        self, connection: sqlite3.Connection, signed: tuple[int, str] | None
    ) -> None:
        """Refuse a policy that was set back."""
        told = [entry for entry in entries(connection) if _SIGNED[0] in entry.facts]
        if not told:
            return
        before: int = told[-1].facts[_SIGNED[0]]
        number, policy = signed or (0, "")
        other = before == number and told[-1].facts[_SIGNED[1]] != policy
        if before > number or other:
            found = f"version {number}" if number else "a policy that is not signed"
            raise LedgerError(
                f"{self.path.name}: version {before} of the policy was in force "
                f"(entry {told[-1].seq}) and {found}{' of other content' * other} is "
                "now; the latest version is required; restore policy-versions.toml "
                "and site.toml"
            )

    @contextmanager
    def _transaction(self, *, create: bool = False) -> Iterator[sqlite3.Connection]:
        """Everything inside is on the disk afterwards, or nothing is."""
        self._require_file(create=create)
        try:
            # No transaction but our own; one writer at a time.
            connection = sqlite3.connect(
                self.path, timeout=_WAIT_S, isolation_level=None
            )
            with closing(connection):
                if create:  # it stays so; a file named by mistake is not changed
                    connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("BEGIN IMMEDIATE")
                try:
                    if create:
                        _create(connection)
                    check_anchor(connection, self.path, require_whole(connection))
                    yield connection
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise LedgerError(
                f"{self.path.name}: SQLite says {error}; a ledger on a local disk that "
                "nothing else writes is required; check the file and its folder"
            ) from None

    def _require_file(self, *, create: bool) -> None:
        """Create the file for its owner alone, or require that it is so."""
        anchored = self.path.with_name(self.path.name + ".head").exists()
        if create and not self.path.exists() and not anchored:
            try:
                os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))
            except OSError as error:
                raise LedgerError(
                    f"{self.path}: cannot be made ({error.strerror}); a writable "
                    "folder is required; check 'ledger' in [privacy]"
                ) from None
        if not self.path.exists():
            what = "is gone, but not its .head file" if anchored else "does not exist"
            raise LedgerError(
                f"{self.path}: the ledger {what}; the budget cannot be known without "
                "it; restore the file, or correct the path"
            )
        if self.path.stat().st_mode & 0o077:
            raise LedgerError(
                f"{self.path}: others may read or write it; mode 600 is required; "
                f"chmod 600 {self.path.name}"
            )

    def _set_anchor(self) -> None:
        # Under the lock, so that a slower process does not set an older one.
        with self._transaction() as connection:
            set_anchor(self.path, *head(connection))


def _create(connection: sqlite3.Connection) -> None:
    found = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not found:
        for statement in SCHEMA.split(";\nCREATE"):
            text = statement.strip().removeprefix("CREATE").rstrip(";")
            connection.execute(f"CREATE {text}")
        append(connection, "open", format=1)


def _answer(connection: sqlite3.Connection, dataset: str, request: str) -> bytes | None:
    row = connection.execute(
        "SELECT release FROM answer WHERE dataset = ? AND request = ?",
        (dataset, request),
    ).fetchone()
    return None if row is None else bytes(row[0])


def _allowed(connection: sqlite3.Connection, dataset: str) -> dict[str, Any]:
    """What the last policy entry of a dataset says."""
    found: dict[str, Any] = {}
    for entry in entries(connection):
        if entry.kind == "policy" and entry.dataset == dataset:
            found = entry.facts
    return found


def _is_paid(connection: sqlite3.Connection, dataset: str, request: str) -> bool:
    row = connection.execute(
        "SELECT 1 FROM entry WHERE kind = 'debit' AND dataset = ? AND request = ?",
        (dataset, request),
    ).fetchone()
    return row is not None


def _balances(connection: sqlite3.Connection) -> dict[str, Balance]:
    spent: dict[str, int] = {}
    allowed: dict[str, tuple[int, float]] = {}
    for entry in entries(connection):
        if entry.kind == "debit":
            spent[entry.dataset] = spent.get(entry.dataset, 0) + entry.rho_nano
        elif entry.kind == "policy":
            allowed[entry.dataset] = (entry.facts["cap_nano"], entry.facts["delta"])
    return {
        dataset: Balance(cap, spent.get(dataset, 0), delta)
        for dataset, (cap, delta) in sorted(allowed.items())
    }
