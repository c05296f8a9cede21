"""What a site has answered, and under which policy: later answers are held to it."""

import hashlib
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fedglmm_flower.errors import (
    DisclosureError,
    PolicyError,
    SnapshotError,
    StorageError,
)
from fedglmm_flower.site.own_database import OwnDatabase, is_file
from fedglmm_flower.site.row_sets import RowSets

FOLDER: Final = "snapshots"
NAME: Final = "memory.sqlite"
_SCHEMA: Final = """
CREATE TABLE secret(only INTEGER PRIMARY KEY CHECK(only = 1), value BLOB NOT NULL);
CREATE TABLE snapshot(study TEXT PRIMARY KEY, digest TEXT NOT NULL);
CREATE TABLE answer(
  number INTEGER PRIMARY KEY, study TEXT NOT NULL, further INTEGER NOT NULL,
  rows TEXT NOT NULL, numbers INTEGER NOT NULL);
CREATE TABLE point(
  study TEXT NOT NULL, point TEXT NOT NULL, numbers INTEGER NOT NULL,
  PRIMARY KEY(study, point));
CREATE TABLE policy(number INTEGER PRIMARY KEY, version TEXT NOT NULL)
"""


@dataclass(frozen=True)
class Answered:
    """
    Which rows an earlier answer summed.

    Parameters
    ----------
    study : str
        Digest of the study.
    further : bool
        Whether it was a likelihood, of which more is told than by the one round.
    rows : RowSets
        The rows, by their places in the table.
    """

    study: str
    further: bool
    rows: RowSets


Judge = Callable[[Sequence[Answered], RowSets], None]


@dataclass(frozen=True)
class SiteMemory:
    """
    A folder with one SQLite file, and in it the site's secret.

    Laws: an answer is compared with all earlier ones and entered in one transaction,
    so that of two studies that are asked at once the second is compared with the
    first; a point is counted and entered in one, so that no more than a study allows
    are ever answered.

    Everything in it stays at the site.  Digests are keyed by the secret, without
    which no table can be compared with them.

    Parameters
    ----------
    folder : Path
        Made when something is first answered.
    """

    folder: Path

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / NAME

    def key(self) -> bytes:
        """
        The site's secret; made when it is first needed.

        Raises
        ------
        StorageError
            If it cannot be read or made.
        """
        with self._open() as base:
            fresh = secrets.token_bytes(32)
            base.execute("INSERT OR IGNORE INTO secret VALUES(1, ?)", (fresh,))
            return bytes(base.execute("SELECT value FROM secret").fetchone()[0])

    def extent(self) -> tuple[int, str] | None:
        """How many entries it holds, and which secret; None if there is no file."""
        if not is_file(self.path):
            return None
        with self._open() as base:
            row = base.execute("SELECT value FROM secret").fetchone()
            return _entries(base), "" if row is None else _name(bytes(row[0]))

    def snapshot_of(self, study: str) -> str | None:
        """Digest of the rows that a study was answered from; None if it never was."""
        if not is_file(self.path):
            return None
        with self._open() as base:
            return _snapshot(base, study)

    def require_same(self, study: str, snapshot: str) -> None:
        """
        Refuse other rows than those of the first answer.

        Raises
        ------
        SnapshotError
            If the study was answered from other rows.
        """
        self._require(study, self.snapshot_of(study), snapshot)

    def answers(self) -> tuple[Answered, ...]:
        """Rows of all earlier answers, oldest first."""
        if not is_file(self.path):
            return ()
        with self._open() as base:
            return self._answers(base)

    def enter(
        self,
        study: str,
        snapshot: str,
        told: Sequence[RowSets],
        judge: Judge,
        *,
        numbers: int = 0,
        further: bool = False,
    ) -> None:
        """
        Compare an answer with the earlier ones and record it, before it leaves.

        Parameters
        ----------
        study : str
            Digest of the study that is answered.
        snapshot : str
            Digest of the rows.
        told : sequence of RowSets
            Which rows its sums are of.
        judge : callable
            Raises, given all earlier answers and the rows, if these tell of few rows
            by subtraction.
        numbers : int
            Of the answer.
        further : bool
            Whether it is a likelihood.

        Raises
        ------
        SnapshotError
            If the study was answered from other rows: of several first answers at
            once, one is recorded and the others are held to it.
        DisclosureError
            From ``judge``; nothing is recorded.
        StorageError
            If the file cannot be read or written.
        """
        with self._open() as base:
            base.execute(
                "INSERT OR IGNORE INTO snapshot VALUES(?, ?)", (study, snapshot)
            )
            self._require(study, _snapshot(base, study), snapshot)
            for rows in told:
                known = self._answers(base)
                judge(known, rows)
                if not any(
                    (one.study, one.further) == (study, further)
                    and rows.as_many(one.rows)
                    for one in known
                ):
                    base.execute(
                        "INSERT INTO answer(study, further, rows, numbers) "
                        "VALUES(?, ?, ?, ?)",
                        (study, further, rows.text(), numbers),
                    )

    def points(self, study: str) -> int:
        """Points of a study at which a likelihood was answered, or refused."""
        if not is_file(self.path):
            return 0
        with self._open() as base:
            return _points(base, study)

    def elsewhere(self, study: str) -> int:
        """Numbers that were told in answers to other studies."""
        if not is_file(self.path):
            return 0
        with self._open() as base:
            return _told(base) - _told(base, study)

    def admit(
        self,
        study: str,
        point: str,
        most: int,
        *,
        numbers: int = 0,
        allowed: float = float("inf"),
    ) -> None:
        """
        Enter a point, before its answer leaves; the same one again costs nothing.

        Parameters
        ----------
        study, point : str
            SHA-256 in hexadecimal digits.
        most : int
            Points that the study allows.
        numbers : int
            That would be told there.
        allowed : float
            Numbers that the site tells in all answers to all studies.

        Raises
        ------
        DisclosureError
            If so many others were answered before, or too much would be told.
        StorageError
            If the file cannot be read or written.
        """
        with self._open() as base:
            known = "SELECT 1 FROM point WHERE study = ? AND point = ?"
            if base.execute(known, (study, point)).fetchone():
                return
            count = _points(base, study)
            if count >= most:
                raise DisclosureError(
                    f"study {study[:16]}...: a likelihood at one more point was asked; "
                    f"the study allows {most} and as many were answered; approve a "
                    "study with more 'rounds', or end the refinement"
                )
            told = _told(base)
            if told + numbers > allowed:
                raise DisclosureError(
                    f"values-per-number: study {study[:16]}...: {told} numbers were "
                    f"told of this site's rows and {numbers} more are asked; at most "
                    f"{allowed:.0f} in all rounds of all studies are allowed by its "
                    "values; end the refinement, or lower 'values_per_number' of "
                    "[disclosure]"
                )
            base.execute("INSERT INTO point VALUES(?, ?, ?)", (study, point, numbers))

    def policy(self) -> tuple[int, str] | None:
        """Number and digest of the last signed version of the policy; None if none."""
        if not is_file(self.path):
            return None
        with self._open() as base:
            return _policy(base)

    def require_policy(self, versions: Sequence[str]) -> None:
        """Refuse signed versions that do not go on; see :meth:`hold_policy`."""
        if is_file(self.path):
            with self._open() as base:
                self._require_policy(base, versions)

    def hold_policy(self, versions: Sequence[str]) -> None:
        """
        Require that the signed versions go on from the last that was in force.

        The last of them is in force from now on.  Whoever puts back an older policy
        with its older signatures, or removes the signatures, is told from this.

        Parameters
        ----------
        versions : sequence of str
            Digest of each signed version, the first one first.

        Raises
        ------
        PolicyError
            If the last version that was in force is not among them.
        StorageError
            If the file cannot be read or written.
        """
        if not versions and not is_file(self.path):
            return
        with self._open() as base:
            self._require_policy(base, versions)
            if versions:
                base.execute(
                    "INSERT OR IGNORE INTO policy VALUES(?, ?)",
                    (len(versions), versions[-1]),
                )

    def _answers(self, base: sqlite3.Connection) -> tuple[Answered, ...]:
        query = "SELECT study, further, rows FROM answer ORDER BY number"
        try:
            return tuple(
                Answered(study, bool(further), RowSets.of_text(rows))
                for study, further, rows in base.execute(query)
            )
        except ValueError as error:
            raise StorageError(
                f"{self.path}: holds {error}; what this site answered before must be "
                "known; restore it from a backup"
            ) from None

    def _require_policy(
        self, base: sqlite3.Connection, versions: Sequence[str]
    ) -> None:
        last = _policy(base)
        if last is not None and tuple(versions[last[0] - 1 : last[0]]) != last[1:]:
            raise PolicyError(
                f"{self.path}: version {last[0]} of the policy was in force, with "
                f"digest {last[1][:16]}...; it is not among the {len(versions)} signed "
                "versions beside site.toml, which were set back, altered or removed; "
                "restore the latest policy-versions.toml and site.toml"
            )

    def _require(self, study: str, before: str | None, snapshot: str) -> None:
        if before is not None and before != snapshot:
            raise SnapshotError(
                f"study {study[:16]}...: the table has changed since this study was "
                f"first answered ({self.path}); a second answer from other rows would "
                "tell by its difference who was added, removed or corrected; restore "
                "the table of the first answer, or have a new revision of the study "
                "made and approve its digest"
            )

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        return OwnDatabase(self.path, _SCHEMA).transaction()


def _entries(base: sqlite3.Connection) -> int:
    """Of all kinds; none is ever removed."""
    query = (
        "SELECT (SELECT count(*) FROM snapshot) + (SELECT count(*) FROM answer) "
        "+ (SELECT count(*) FROM point) + (SELECT count(*) FROM policy)"
    )
    return int(base.execute(query).fetchone()[0])


def _name(secret: bytes) -> str:
    """What a secret is known by, which tells nothing of it."""
    return hashlib.sha256(b"fedglmm memory" + secret).hexdigest()


def _snapshot(base: sqlite3.Connection, study: str) -> str | None:
    query = "SELECT digest FROM snapshot WHERE study = ?"
    row = base.execute(query, (study,)).fetchone()
    return None if row is None else str(row[0])


def _points(base: sqlite3.Connection, study: str) -> int:
    query = "SELECT count(*) FROM point WHERE study = ?"
    return int(base.execute(query, (study,)).fetchone()[0])


def _told(base: sqlite3.Connection, study: str | None = None) -> int:
    """Numbers of one study, or of all, for which another name is no other data."""
    query = (
        "SELECT coalesce(sum(numbers), 0) FROM ("
        "SELECT study, numbers FROM point UNION ALL "
        "SELECT study, numbers FROM answer WHERE NOT further) "
        "WHERE :study IS NULL OR study = :study"
    )
    return int(base.execute(query, {"study": study}).fetchone()[0])


def _policy(base: sqlite3.Connection) -> tuple[int, str] | None:
    query = "SELECT number, version FROM policy ORDER BY number DESC LIMIT 1"
    row = base.execute(query).fetchone()
    return None if row is None else (int(row[0]), str(row[1]))
