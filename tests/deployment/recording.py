"""The relay's memory: whatever its database is given stays, and can be searched."""

import sqlite3
import struct
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

KEPT = "kept_for_the_test"


def record(database: Path) -> None:
    """
    Let a SuperLink's own database keep a copy of every blob and text that it is given.

    Flower deletes messages when they are fetched; triggers see them before.
    """
    with closing(sqlite3.connect(database, timeout=30)) as link, link:
        link.execute(f"CREATE TABLE {KEPT} (place TEXT, value BLOB)")
        for table in _tables(link):
            for column in _columns(link, table):
                for event in ("INSERT", f'UPDATE OF "{column}"'):
                    name = f"{KEPT}_{table}_{column}_{event[:6]}"
                    link.execute(
                        f'CREATE TRIGGER "{name}" AFTER {event} ON "{table}" '
                        f'WHEN new."{column}" IS NOT NULL BEGIN INSERT INTO {KEPT} '
                        f"VALUES ('{table}.{column}', new.\"{column}\"); END"
                    )


def recorded(database: Path) -> list[tuple[str, bytes]]:
    """Place and bytes of everything that was kept."""
    with closing(sqlite3.connect(database, timeout=30)) as link:
        rows = link.execute(f"SELECT place, value FROM {KEPT}").fetchall()
    return [
        (place, value if isinstance(value, bytes) else str(value).encode())
        for place, value in rows
    ]


def everything(folder: Path, database: Path) -> Iterator[tuple[str, bytes]]:
    """All files of a folder, names included, and all that the database kept."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and "venv" not in path.parts:
            name = str(path.relative_to(folder))
            yield name, name.encode() + b"\n" + path.read_bytes()
    yield from recorded(database)


def traces(value: float) -> list[bytes]:
    """A number as text, and as a double in both orders of bytes."""
    return [repr(value).encode(), struct.pack("<d", value), struct.pack(">d", value)]


def found(
    values: Iterable[float], texts: Iterable[str], places: Iterable[tuple[str, bytes]]
) -> list[str]:
    """Where any of the numbers or texts stands."""
    needles = [trace for value in values for trace in traces(value)]
    needles += [text.encode() for text in texts]
    return [
        f"{place}: {needle!r}"
        for place, content in places
        for needle in needles
        if needle in content
    ]


def _tables(link: sqlite3.Connection) -> list[str]:
    rows = link.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return [n for (n,) in rows.fetchall() if not n.startswith("sqlite_") and n != KEPT]


def _columns(link: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in link.execute(f'PRAGMA table_info("{table}")')]
