"""The relay's memory: whatever its database is given stays, and can be searched."""

import sqlite3
import struct
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

KEPT = "kept_for_the_test"
HEAD = 8
CHUNK = 2**20


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
    short = [needle for needle in needles if len(needle) < HEAD]
    long = [needle for needle in needles if len(needle) >= HEAD]
    return [
        f"{place}: {needle!r}"
        for place, content in places
        for needle in [*(n for n in short if n in content), *_inside(long, content)]
    ]


def _inside(needles: list[bytes], content: bytes) -> set[bytes]:
    """
    Which of many needles stand in a content, in one pass over it.

    Needles are known by their first eight bytes as one number, and of these by the
    lowest two: what is left is compared in full.
    """
    by_head: dict[int, list[bytes]] = {}
    for needle in needles:
        by_head.setdefault(int.from_bytes(needle[:HEAD], "little"), []).append(needle)
    heads = np.array(sorted(by_head), dtype="<u8")
    likely = np.zeros(2**16, dtype=bool)
    likely[heads & np.uint64(0xFFFF)] = True
    inside: set[bytes] = set()
    for start in range(0, len(content) - HEAD + 1, CHUNK):
        size = min(CHUNK, len(content) - HEAD + 1 - start)
        # A number from every byte on: the rows overlap.
        numbers = np.ndarray((size,), "<u8", content, offset=start, strides=(1,))
        places = np.flatnonzero(likely[numbers & np.uint64(0xFFFF)])
        places = places[np.isin(numbers[places], heads)]
        for at in places:
            head = int(numbers[at])
            inside |= {n for n in by_head[head] if content.startswith(n, start + at)}
    return inside


def _tables(link: sqlite3.Connection) -> list[str]:
    rows = link.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return [n for (n,) in rows.fetchall() if not n.startswith("sqlite_") and n != KEPT]


def _columns(link: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in link.execute(f'PRAGMA table_info("{table}")')]
