"""A SQLite file of the site's own: one writer at a time, on the disk when it ends."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from stat import S_IRWXG, S_IRWXO
from typing import Final

from fedglmm_flower.errors import StorageError
from fedglmm_flower.study.whole_file import write_new

_WAIT: Final = 60.0  # seconds for another process of the site to finish
_OTHERS: Final = S_IRWXG | S_IRWXO
_CURE: Final = "make room, or correct its permissions or restore it, and run again"
# What SQLite says, and what helps then.
_CURES: Final = {
    "locked": (
        f"another process has held it for {_WAIT:.0f} seconds: let it end, or look "
        "which one it is, and run again"
    ),
    "no such": (
        "it is of another version of this package: go back to the version that wrote "
        "it, or restore it, and run again"
    ),
}


@dataclass(frozen=True)
class OwnDatabase:
    """
    A file that only its owner may read; nothing in it leaves the site.

    Parameters
    ----------
    path : Path
        The file; made whole, with its tables, when it is first written.
    schema : str
        Statements that make the tables, each but the last ended by ``;``.
    """

    path: Path
    schema: str

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """
        All that is done inside, or nothing; what is read inside stays true.

        Raises
        ------
        StorageError
            If the file cannot be read or written, or is damaged.
        """
        try:
            if not is_file(self.path):
                self._make()
            status = self.path.stat()
            # To SQLite a file that was cut off to nothing is a new one.
            if status.st_size == 0:
                raise sqlite3.DatabaseError("the file is empty")
            if status.st_mode & _OTHERS:
                raise StorageError(
                    f"{self.path}: others may read or write it; mode 600 is required; "
                    f"chmod 600 {self.path.name}, and look who has read it"
                )
            base = sqlite3.connect(self.path, timeout=_WAIT, isolation_level=None)
            with closing(base):
                base.execute("PRAGMA synchronous = FULL")
                base.execute("BEGIN IMMEDIATE")
                yield base
                base.execute("COMMIT")  # closing without it rolls back
        except (sqlite3.Error, OSError) as error:
            found = getattr(error, "strerror", None) or str(error)
            cure = next((cure for word, cure in _CURES.items() if word in found), _CURE)
            raise StorageError(
                f"{self.path}: cannot be written or read ({found}); the site's own "
                f"record of its answers is required, so nothing was sent; {cure}"
            ) from None

    def _make(self) -> None:
        """With its tables from the first byte on, by whoever is quickest."""
        journal = self.path.with_name(f"{self.path.name}-journal")
        if is_file(journal) and not is_file(self.path):
            # SQLite would play it back into the new file.
            raise StorageError(
                f"{self.path}: is missing, and {journal.name}, which belongs to it, is "
                "there; both are required; restore them from one backup"
            )
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with closing(sqlite3.connect(":memory:")) as fresh:
            fresh.executescript(self.schema)
            content = fresh.serialize()
        try:
            write_new(self.path, content)
        except StorageError:
            if not is_file(self.path):
                raise


def is_file(path: Path) -> bool:
    """
    Whether something of this name is there, if only a link to what is not.

    Raises
    ------
    StorageError
        If that cannot be told: what cannot be seen is not taken for missing.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be looked for ({error.strerror}); the site's own record "
            "of its answers is required, so nothing was sent; correct the permissions "
            "of its folder, or run as the account that owns it"
        ) from None
    return True
