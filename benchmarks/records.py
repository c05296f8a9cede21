"""Records of runs that can be stopped at any time: one line of JSON for each."""

import gzip
import json
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
