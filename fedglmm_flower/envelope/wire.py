r"""Canonical JSON: every value has exactly one spelling, and no other is read.

The rules, in full:

- UTF-8 without byte order mark or whitespace; keys sorted by code point, each once;
- text unescaped but for ``\"``, ``\\``, ``\b``, ``\f``, ``\n``, ``\r``, ``\t`` and,
  for other characters below U+0020, ``\u00xx`` in lower case; no lone surrogates;
- a number with a fraction or an exponent is a float in its shortest spelling that
  reads back (``0.1``, ``1e+16``), any other number an integer; zero is never negative;
- NaN and infinities do not exist;
- at most 32 levels of nesting, at most ``max_size`` bytes, and among these at most
  2**20 opening brackets and braces (an empty list takes 2 bytes of a message and 80 of
  memory).

A reader enforces this by writing what it read and comparing the bytes.
"""

import json
import math
from contextlib import suppress
from typing import Final, TypeAlias

from fedglmm_flower.envelope.names import kind_of
from fedglmm_flower.errors import WireError

JsonValue: TypeAlias = (
    "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
)

MAX_BYTES: Final = 64 * 2**20
MAX_DEPTH: Final = 32
MAX_BRACKETS: Final = 2**20


def canonical_bytes(
    value: object, max_size: int = MAX_BYTES, *, where: str = "message"
) -> bytes:
    """
    Write a JSON value in its one canonical spelling.

    Law: ``strict_parse(canonical_bytes(v)) == v``, and equal values of equal types
    give equal bytes (-0.0 is written as 0.0).

    Parameters
    ----------
    value : object
        None, bool, int, float, str, and lists, tuples (written as lists) or dicts
        with text keys of these.
    max_size : int
        Largest number of bytes that may result.
    where : str
        What is written, the first words of an error message.

    Returns
    -------
    bytes
        UTF-8 text of the module's rules.

    Raises
    ------
    WireError
        If the value holds what the rules do not have, is nested too deeply or
        becomes too large.

    Examples
    --------
    >>> canonical_bytes({"b": [1, 1.0, -0.0], "a": "é"}).decode()
    '{"a":"é","b":[1,1.0,0.0]}'
    """
    plain = _plain(value, where, MAX_DEPTH)
    data: bytes | None = None
    # A lone surrogate or an integer of thousands of digits.  Told after the block,
    # because the exception itself would carry the text along.
    with suppress(ValueError):
        data = json.dumps(
            plain,
            ensure_ascii=False,
            allow_nan=False,
            sort_keys=True,
            separators=(",", ":"),
        ).encode()
    if data is None:
        msg = (
            f"{where}: text that is not Unicode or an overlong integer was found; "
            "UTF-8 text and ordinary numbers are required; correct the value"
        )
        raise WireError(msg)
    _check_size(data, max_size, where)
    return data


def strict_parse(
    data: bytes, max_size: int = MAX_BYTES, *, where: str = "message"
) -> JsonValue:
    """
    Read canonical JSON, refusing every other spelling.

    Law: ``canonical_bytes(strict_parse(b)) == b`` for every ``b`` that is not refused.

    Parameters
    ----------
    data : bytes
        What arrived.
    max_size : int
        Largest number of bytes that is looked at.
    where : str
        What is read, the first words of an error message.

    Returns
    -------
    JsonValue
        The value.

    Raises
    ------
    WireError
        If the bytes are too many, not JSON, not canonical or nested too deeply.  The
        message quotes no part of them.

    Examples
    --------
    >>> strict_parse(b'{"a":[1,2.5]}')
    {'a': [1, 2.5]}
    >>> strict_parse(b'{"a": 1}')
    Traceback (most recent call last):
        ...
    fedglmm_flower.errors.WireError: message: JSON in a non-canonical spelling was \
found; canonical JSON is required; encode it with fedglmm-flower
    """
    _check_size(data, max_size, where)
    parsed: JsonValue = None
    fault = None
    # These errors keep the whole document, so ours is raised after the block.
    try:
        parsed = json.loads(data.decode(), parse_constant=_refuse_constant)
    except RecursionError:
        fault = f"nesting deeper than {MAX_DEPTH} levels"
    except UnicodeDecodeError as error:
        fault = f"text that is not UTF-8 at byte {error.start}"
    except json.JSONDecodeError as error:
        fault = f"text that is not JSON at character {error.pos}"
    except ValueError:
        fault = "a number that is not finite or is too long"
    if fault is None and canonical_bytes(parsed, where=where) != data:
        fault = "JSON in a non-canonical spelling"
    if fault is not None:
        msg = (
            f"{where}: {fault} was found; canonical JSON is required; "
            "encode it with fedglmm-flower"
        )
        raise WireError(msg)
    return parsed


def _refuse_constant(_name: str) -> None:
    raise ValueError


def _check_size(data: bytes, max_size: int, where: str) -> None:
    if len(data) > max_size:
        msg = (
            f"{where}: {len(data)} bytes were found; at most {max_size} are "
            "allowed; send less at once"
        )
        raise WireError(msg)
    brackets = data.count(b"[") + data.count(b"{")
    if brackets > MAX_BRACKETS:
        msg = (
            f"{where}: {brackets} lists and objects were found; at most {MAX_BRACKETS} "
            "are allowed; send less at once"
        )
        raise WireError(msg)


def _plain(value: object, where: str, depth: int) -> JsonValue:
    """Copy of a value in plain JSON types, with zero positive; depth levels allowed."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value) + 0.0
    if isinstance(value, list | tuple | dict) and depth == 0:
        found = f"nesting deeper than {MAX_DEPTH} levels"
    elif isinstance(value, list | tuple):
        return [_plain(item, where, depth - 1) for item in value]
    elif isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            return {key: _plain(item, where, depth - 1) for key, item in value.items()}
        found = "a key that is not text"
    elif isinstance(value, float):
        found = "a number that is not finite"
    else:
        found = kind_of(value)
    msg = (
        f"{where}: {found} was found; finite numbers, text, true, false, null, "
        f"lists and objects are required; correct the value"
    )
    raise WireError(msg)
