"""The last entry's hash beside a ledger: an older copy put in its place is noticed."""

import json
import os
import sqlite3
from pathlib import Path

from fedglmm_flower.errors import LedgerError


def check_anchor(
    connection: sqlite3.Connection, path: Path, last: tuple[int, str]
) -> None:
    """
    Require that the entry an anchor names is still there.

    Raises
    ------
    LedgerError
        If the ledger ends before it, or holds another entry in its place.
    """
    anchor = anchor_path(path)
    try:
        found = json.loads(anchor.read_text(encoding="ascii"))
        seq, told = int(found["seq"]), str(found["hash"])
    except FileNotFoundError:
        # One that was killed while it was made has none yet, and no debit.
        if last[0] <= 2:
            return
        seq, told = 0, "none"
    except (OSError, ValueError, KeyError, TypeError):
        seq, told = 0, "none"
    require_entry(connection, path, (seq, told), anchor.name)


def require_entry(
    connection: sqlite3.Connection, path: Path, noted: tuple[int, str], where: str
) -> None:
    """
    Require an entry, by position and hash, that a file beside the ledger tells of.

    Raises
    ------
    LedgerError
        If the ledger ends before it, or holds another one in its place.
    """
    query = "SELECT hash FROM entry WHERE seq = ?"
    row = connection.execute(query, noted[:1]).fetchone()
    if row is None or row[0] != noted[1]:
        raise LedgerError(
            f"{path.name}: does not hold the entry that {where} tells of: one of "
            "the two is missing, was altered or is an older copy; the latest of both "
            "is required; restore them together"
        )


def set_anchor(path: Path, seq: int, told: str) -> None:
    """Replace the anchor by the entry that is now the last, whole or not at all."""
    anchor = anchor_path(path)
    fresh = anchor.with_name(f"{anchor.name}.{os.getpid()}")
    text = json.dumps({"hash": told, "seq": seq}) + "\n"
    try:
        descriptor = os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(anchor)
    except OSError as error:
        raise LedgerError(
            f"{anchor}: cannot be written ({error.strerror}); a writable folder with "
            "space is required; nothing was sent"
        ) from None


def anchor_path(path: Path) -> Path:
    """Where the anchor of a ledger lies."""
    return path.with_name(path.name + ".head")
