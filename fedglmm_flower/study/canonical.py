"""Canonical bytes of plain values: one spelling, so that a digest means content."""

import hashlib
import json
from typing import Any


def canonical_bytes(value: Any) -> bytes:
    """
    JSON with sorted keys, no blanks and shortest floats, in UTF-8.

    Raises
    ------
    ValueError
        If the value holds NaN or an infinity.

    Examples
    --------
    >>> canonical_bytes({"b": 1.0, "a": ["x"]})
    b'{"a":["x"],"b":1.0}'
    """
    text = json.dumps(
        value,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )
    return text.encode()


def digest(data: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(data).hexdigest()
