"""How a command asks for a passphrase: a file, a variable, or a hidden prompt."""

import sys
from functools import cache
from pathlib import Path
from typing import Annotated

import typer

from fedglmm_flower.envelope.key_files import is_protected
from fedglmm_flower.envelope.passphrase import (
    Ask,
    ambient_passphrase,
    passphrase_of_file,
    passphrase_of_variable,
)
from fedglmm_flower.errors import UsageError

FileOption = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="File of one line, mode 0600."),
]
VariableOption = Annotated[
    str | None,
    typer.Option("--passphrase-env", help="Name of an environment variable."),
]


def chosen_passphrase(
    file: Path | None, variable: str | None, *, of: str, new: bool = False
) -> str | None:
    """
    The passphrase of a key, from the first place that has one.

    Parameters
    ----------
    file, variable : optional
        What the command line names.
    of : str
        Whose passphrase, for the prompt.
    new : bool
        Whether it is given for the first time: asked for twice.

    Returns
    -------
    str or None
        None for a key without a passphrase.
    """
    if file is not None and variable is not None:
        raise UsageError(
            "passphrase: a file and a variable were found; one of the two is required; "
            "leave one out"
        )
    if file is not None:
        return passphrase_of_file(file)
    if variable is not None:
        return passphrase_of_variable(variable)
    found = ambient_passphrase()
    if found is not None or not sys.stdin.isatty():
        return found
    words = "six random words; empty for none" if new else "empty for none"
    given: str = typer.prompt(
        f"Passphrase of {of} ({words})",
        default="",
        show_default=False,
        hide_input=True,
        confirmation_prompt=new,
        err=True,
    )
    return given or None


def asking(file: Path | None, variable: str | None) -> Ask:
    """
    How a command that uses keys gets their passphrases: asked for once each.

    Parameters
    ----------
    file, variable : optional
        What the command line names.

    Returns
    -------
    callable
        :func:`passphrase_for` of a key file.
    """

    @cache
    def ask(path: Path) -> str | None:
        return passphrase_for(path, file, variable)

    return ask


def passphrase_for(path: Path, file: Path | None, variable: str | None) -> str | None:
    """
    The passphrase of a key file that exists; a terminal is asked only if it has one.

    Parameters
    ----------
    path : Path
        ``NAME.key``.
    file, variable : optional
        What the command line names.

    Raises
    ------
    KeyFileError
        If the key file or the file named is not usable.
    """
    if file is None and variable is None and not is_protected(path):
        return ambient_passphrase()
    return chosen_passphrase(file, variable, of=path.name)
