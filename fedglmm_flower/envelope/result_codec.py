"""The broadcast result <-> bytes: the format ``fedglmm-result/1``.

Canonical JSON (:mod:`fedglmm_flower.envelope.wire`) of one object::

    {"format": "fedglmm-result/1", "result": {...}}

What ``result`` holds is the affair of the rooms that make and read it.
"""

from collections.abc import Mapping
from typing import Any, Final

from fedglmm_flower.envelope.fields import check_format, fields_of, refuse
from fedglmm_flower.envelope.names import kind_of
from fedglmm_flower.envelope.wire import MAX_BYTES, canonical_bytes, strict_parse

RESULT_FORMAT: Final = "fedglmm-result/1"


def encode_result(result: Mapping[str, object]) -> bytes:
    """
    Write the estimates that the coordinator broadcasts.

    Law: ``decode_result(encode_result(r)) == r`` for a dict of plain JSON values.

    Parameters
    ----------
    result : mapping of str
        Plain JSON values; a number that does not exist is None, never NaN.

    Returns
    -------
    bytes
        Canonical JSON of format ``fedglmm-result/1``.

    Raises
    ------
    WireError
        If a value is not plain JSON or not finite.

    Examples
    --------
    >>> encode_result({"n_sites": 3}).decode()
    '{"format":"fedglmm-result/1","result":{"n_sites":3}}'
    """
    message = {"format": RESULT_FORMAT, "result": dict(result)}
    return canonical_bytes(message, where="result")


def decode_result(data: bytes, max_size: int = MAX_BYTES) -> dict[str, Any]:
    """
    Read the estimates that the coordinator broadcast.

    Law: ``encode_result(decode_result(b)) == b`` for every ``b`` not refused.

    Parameters
    ----------
    data : bytes
        What was unsealed.
    max_size : int
        Largest number of bytes that is looked at.

    Returns
    -------
    dict
        Plain JSON values.

    Raises
    ------
    WireError
        If the bytes are not canonical JSON of a known format.
    """
    parsed = strict_parse(data, max_size, where="result")
    message = check_format(parsed, RESULT_FORMAT, "result")
    result = fields_of(message, ("format", "result"), "result")["result"]
    if not isinstance(result, dict):
        refuse("result, result", kind_of(result), "an object is")
    return result
