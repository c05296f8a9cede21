"""Where a passphrase comes from when nobody is there to type it.

Never from an argument: the arguments of a process are readable by every user of its
machine, and end up in the history of a shell.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from fedglmm_flower.envelope.owner_files import read_file
from fedglmm_flower.errors import KeyFileError

PASSPHRASE: Final = "FEDGLMM_PASSPHRASE"  # noqa: S105 - the name of a variable
PASSPHRASE_FILE: Final = "FEDGLMM_PASSPHRASE_FILE"  # noqa: S105 - as above

# Given the path of a key file: its passphrase, or None for a key without one.
Ask: TypeAlias = Callable[[Path], str | None]


def passphrase_of_file(path: Path) -> str:
    """
    Read a passphrase from the one line of a file that only its owner can read.

    Parameters
    ----------
    path : Path
        The file, or a link to it; the end of its line, and a mark that some editors
        put before the first letter, are no part of the passphrase.

    Raises
    ------
    KeyFileError
        If the file is missing, open to others, empty, or more than a line of text.
    """
    try:
        text = read_file(path, private=True).decode("utf-8-sig").removesuffix("\n")
    except UnicodeDecodeError:
        text = ""
    text = text.removesuffix("\r")
    if not text or "\n" in text:
        raise KeyFileError(
            f"passphrase file {str(path)!r}: nothing or more than one line of text was "
            "found; one line is required; write the passphrase alone into the file"
        )
    return text


def passphrase_of_variable(name: str) -> str:
    """
    Read a passphrase from an environment variable.

    Raises
    ------
    KeyFileError
        If the variable is not set or empty.
    """
    value = os.environ.get(name)
    if not value:
        raise KeyFileError(
            f"environment variable {name!r}: no passphrase was found; one is required "
            "where the variable is named; set it, or give a file"
        )
    return value


def ambient_passphrase(_path: Path | None = None) -> str | None:
    """
    Take the passphrase of a program without a terminal, such as a node of Flower.

    It is the same for every key file, so the path of one is not looked at.

    Returns
    -------
    str or None
        From ``FEDGLMM_PASSPHRASE``, or from the file that ``FEDGLMM_PASSPHRASE_FILE``
        names; None if neither is set.

    Raises
    ------
    KeyFileError
        If the file is not usable.
    """
    value = os.environ.get(PASSPHRASE)
    if value is not None:
        return value
    path = os.environ.get(PASSPHRASE_FILE)
    return passphrase_of_file(Path(path)) if path else None
