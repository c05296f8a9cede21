"""Typed reading of the parts of a parsed message; nothing is converted.

Every function takes a part and ``where``, the first words of an error message, returns
the part unchanged with its type known, or raises :class:`WireError`.  No message
quotes a statistic.
"""

import math
from typing import Final, NoReturn

from fedglmm_flower.envelope.names import MAX_NAME, is_digest, kind_of, name_fault
from fedglmm_flower.errors import WireError

# Every reader in every language holds whole numbers up to here exactly.
MAX_WHOLE: Final = 2**53 - 1

_RESEND: Final = "have the message made again by fedglmm-flower"


def refuse(where: str, found: str, required: str, cure: str = _RESEND) -> NoReturn:
    """Raise a WireError of the form "where: found; required; cure"."""
    msg = f"{where}: {found} was found; {required} required; {cure}"
    raise WireError(msg)


def check_format(message: object, known: str, where: str) -> dict[str, object]:
    """Return a message of the one known format; name the format found if another."""
    if not isinstance(message, dict):
        refuse(where, kind_of(message), "an object is")
    found = message.get("format")
    if found != known:
        refuse(
            where,
            "no format" if name_fault(found) else f"format {found!r}",
            f"the known format {known!r} is",
            "use versions of fedglmm-flower that agree",
        )
    return message


def fields_of(value: object, keys: tuple[str, ...], where: str) -> dict[str, object]:
    """Return an object with exactly the given keys."""
    if not isinstance(value, dict):
        refuse(where, kind_of(value), "an object is")
    missing = sorted(set(keys) - set(value))
    if missing:
        refuse(where, "no key " + repr(missing[0]), "that key is")
    if len(value) > len(keys):
        refuse(where, "an unknown key", "no other key is")
    return value


def list_of(value: object, where: str) -> list[object]:
    """Return a list."""
    if not isinstance(value, list):
        refuse(where, kind_of(value), "a list is")
    return value


def name_of(value: object, where: str) -> str:
    """Return a name, see :func:`fedglmm_flower.envelope.names.name_fault`."""
    fault = name_fault(value)
    if fault is not None or not isinstance(value, str):
        required = f"1 to {MAX_NAME} characters without control characters are"
        refuse(where, str(fault), required, "correct the name at the site")
    return value


def digest_of(value: object, where: str) -> str:
    """Return a SHA-256 digest of 64 lower-case hex digits."""
    if not isinstance(value, str) or not is_digest(value):
        refuse(where, "no digest", "64 lower-case hex digits are")
    return value


def whole_of(value: object, low: int, high: int, where: str) -> int:
    """Return a whole number from low to high; true and 1.0 are none."""
    required = f"a whole number from {low} to {high} is"
    if isinstance(value, bool) or not isinstance(value, int):
        refuse(where, kind_of(value), required)
    if not low <= value <= high:
        refuse(where, "a number out of bounds", required)
    return value


def finite_of(value: object, where: str) -> float:
    """Return a finite float; integers have another spelling and are none."""
    required = "a finite decimal number is"
    if not isinstance(value, float):
        refuse(where, kind_of(value), required)
    if not math.isfinite(value):
        refuse(where, "a number that is not finite", required)
    return value
