"""Records of runs that can be stopped at any time: one line of JSON for each."""

import gzip
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def read(path: Path) -> list[Record]:
    """Records so far; a line that was cut off by a crash is left out."""
    if not path.exists():
        return []
    found = []
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else None
    lines = path.read_text(encoding="utf-8") if text is None else text.decode()
    for line in lines.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def missing(
    found: Iterable[Record],
    settings: Sequence[str],
    replicates: int,
    key: str,
    wanted: Sequence[str],
) -> list[tuple[str, int, list[str]]]:
    """Setting, replicate, and which ``wanted`` values of ``key`` have no record."""
    have = {(r["setting"], r["replicate"], r[key]) for r in found}
    return [
        (setting, replicate, absent)
        for replicate in range(replicates)
        for setting in settings
        if (absent := [w for w in wanted if (setting, replicate, w) not in have])
    ]


def append(path: Path, records: Iterable[Record]) -> None:
    """Write records as they come."""
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
