"""What counts as a name or a digest in a message, a header or a key file."""

import re
import unicodedata
from typing import Final

MAX_NAME: Final = 200

# Categories and marks that would let a name break or reorder a line of a log.
_REFUSED_CATEGORIES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_REFUSED_MARKS: Final = frozenset(
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def name_fault(value: object) -> str | None:
    r"""
    What is wrong with a name, or None.

    A name is text of 1 to 200 characters without control characters, line
    separators, lone surrogates or marks that reorder text.  Letters of every script
    are welcome, and names are compared code point by code point.

    Parameters
    ----------
    value : object
        Anything, such as a value read from a message.

    Returns
    -------
    str or None
        What was found, for an error message; None for a name.

    Examples
    --------
    >>> name_fault("Zürich 中心") is None
    True
    >>> name_fault("a\nb")
    'a control character (U+000A)'
    """
    if not isinstance(value, str):
        return kind_of(value)
    if not 1 <= len(value) <= MAX_NAME:
        return f"text of {len(value)} characters"
    for character in value:
        if (
            unicodedata.category(character) in _REFUSED_CATEGORIES
            or character in _REFUSED_MARKS
        ):
            return f"a control character (U+{ord(character):04X})"
    return None


def is_digest(value: object) -> bool:
    """
    Whether a value is a SHA-256 digest in its one spelling: 64 lower-case hex digits.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    bool
        True for a digest.

    Examples
    --------
    >>> is_digest("0" * 64), is_digest("A" * 64)
    (True, False)
    """
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def kind_of(value: object) -> str:
    """
    Kind of a JSON value in words, for messages that must not quote the value.

    Parameters
    ----------
    value : object
        Anything.

    Returns
    -------
    str
        Such as ``"a whole number"``; the type's name for what JSON does not have.

    Examples
    --------
    >>> kind_of(True), kind_of(1), kind_of({})
    ('true or false', 'a whole number', 'an object')
    """
    if value is None:
        return "null"
    kinds: tuple[tuple[type, str], ...] = (
        (bool, "true or false"),
        (int, "a whole number"),
        (float, "a decimal number"),
        (str, "text"),
        (list, "a list"),
        (dict, "an object"),
    )
    for kind, words in kinds:
        if isinstance(value, kind):
            return words
    return f"a {type(value).__name__}"
