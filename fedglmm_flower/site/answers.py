"""What a site has answered: asked again, it gives the same bytes again."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from fedglmm_flower import __version__
from fedglmm_flower.errors import StorageError
from fedglmm_flower.site.own_database import OwnDatabase, is_file
from fedglmm_flower.site.policy import Policy

NAME: Final = "answers.sqlite"
_SCHEMA: Final = """
CREATE TABLE question(
  study TEXT, run TEXT, body BLOB NOT NULL, PRIMARY KEY(study, run));
CREATE TABLE release(
  key TEXT PRIMARY KEY, study TEXT NOT NULL, snapshot TEXT NOT NULL,
  body BLOB NOT NULL, sha256 TEXT NOT NULL);
CREATE TABLE answer(
  release TEXT REFERENCES release, place TEXT,
  body BLOB NOT NULL, sha256 TEXT NOT NULL, PRIMARY KEY(release, place));
CREATE TABLE anchor(
  record TEXT PRIMARY KEY, number INTEGER NOT NULL, digest TEXT NOT NULL);
"""


@dataclass(frozen=True)
class ReleaseKey:
    """
    What a release follows from; the run is no part of it.

    Parameters
    ----------
    study : str
        Digest of the study.
    site : str
        Name of the site.
    snapshot : str
        Digest of the rows.
    policy : Policy
        The thresholds that it has passed.
    mechanism : str
        Privacy mechanism, with its parameters.
    """

    study: str
    site: str
    snapshot: str
    policy: Policy
    mechanism: str = "none"

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of all of it, and of the version of this package."""
        plain = {**asdict(self), "software": __version__}
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class AnswerStore:
    """
    Releases and sealed answers of a site, in a SQLite file of its own.

    Laws: of two releases with one key the first is kept, and both callers get its
    bytes; the same release for the same run and recipient has one sealed form.  Hence
    a coordinator that asks again, or a relay that repeats a request, learns nothing
    new: no second draw of noise, no second message to compare.

    Does not leave the site.  Holds studies, sums that have passed the gate, and sealed
    bytes; never a row.  The file is readable by its owner only.

    Parameters
    ----------
    path : Path
        The file; made when something is kept.
    """

    path: Path

    def keep_question(self, study: str, run: str, body: bytes) -> None:
        """Note that a study was asked in a run, before it is answered."""
        with self._open() as base:
            base.execute(
                "INSERT OR IGNORE INTO question VALUES(?, ?, ?)", (study, run, body)
            )

    def question(self, study: str, run: str) -> bytes | None:
        """Canonical bytes of a study that was asked in a run; None if it was not."""
        if not is_file(self.path):
            return None
        with self._open() as base:
            row = base.execute(
                "SELECT body FROM question WHERE study = ? AND run = ?", (study, run)
            ).fetchone()
        return None if row is None else bytes(row[0])

    def release(self, key: ReleaseKey, body: bytes) -> bytes:
        """
        Keep the bytes of a release, or get those that were kept before.

        Raises
        ------
        StorageError
            If the file cannot be written or is damaged.
        """
        with self._open() as base:
            base.execute(
                "INSERT OR IGNORE INTO release VALUES(?, ?, ?, ?, ?)",
                (key.digest, key.study, key.snapshot, body, _digest(body)),
            )
            row = base.execute(
                "SELECT body, sha256 FROM release WHERE key = ?", (key.digest,)
            ).fetchone()
        return self._checked(*row)

    def note(self, record: str, number: int, digest: str) -> None:
        """Note how far another record of the site has come; it never goes back."""
        with self._open() as base:
            base.execute(
                "INSERT INTO anchor VALUES(?, ?, ?) ON CONFLICT(record) DO UPDATE "
                "SET number = excluded.number, digest = excluded.digest "
                "WHERE excluded.number >= number",
                (record, number, digest),
            )

    def noted(self, record: str) -> tuple[int, str] | None:
        """How far another record had come; None if nothing was ever noted."""
        if not is_file(self.path):
            return None
        with self._open() as base:
            row = base.execute(
                "SELECT number, digest FROM anchor WHERE record = ?", (record,)
            ).fetchone()
        return None if row is None else (int(row[0]), str(row[1]))

    def answer(
        self, key: ReleaseKey, place: Sequence[str], seal: Callable[[], bytes]
    ) -> bytes:
        """
        The sealed form of a release for one place in an exchange, made once.

        Parameters
        ----------
        key : ReleaseKey
            Of a release that is kept.
        place : sequence of str
            What it is sealed for: the run, the recipient's key, whatever else binds it.
        seal : callable
            Makes it if there is none.
        """
        at = (key.digest, json.dumps(list(place)))
        with self._open() as base:
            row = base.execute(
                "SELECT body, sha256 FROM answer WHERE release = ? AND place = ?", at
            ).fetchone()
            if row is None:
                body = seal()
                row = (body, _digest(body))
                base.execute("INSERT INTO answer VALUES(?, ?, ?, ?)", (*at, *row))
        return self._checked(*row)

    def _checked(self, body: object, digest: str) -> bytes:
        if not isinstance(body, bytes) or _digest(body) != digest:
            raise StorageError(
                f"{self.path}: an answer in it is not what was kept; an undamaged file "
                "is required; restore it from a backup"
            )
        return body

    def _open(self) -> AbstractContextManager[sqlite3.Connection]:
        return OwnDatabase(self.path, _SCHEMA).transaction()


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
