"""Why a file is no TOML, in words that help whoever has saved it."""

from typing import Final

_MARK: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"


def toml_fault(text: str, error: ValueError) -> str:
    """
    What the parser says, unless the cause is a mark that no editor shows.

    Examples
    --------
    >>> toml_fault("a = ", ValueError("Invalid value"))
    'Invalid value'
    """
    if text.startswith(_MARK):
        return "it begins with a byte order mark: save it as UTF-8 without one"
    return str(error)
