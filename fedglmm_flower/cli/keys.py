"""``fedglmm keys``: make and show identities."""

import os
from pathlib import Path
from typing import Annotated

import typer

from fedglmm_flower.envelope import (
    PublicIdentity,
    new_identity,
    read_identity,
    read_public,
    write_identity,
    write_public,
)
from fedglmm_flower.errors import KeyFileError
from fedglmm_flower.flower.files import file_name

PASSPHRASE = "FEDGLMM_PASSPHRASE"  # noqa: S105 - the name of a variable

app = typer.Typer(help="Make and show key files.", no_args_is_help=True)


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Name of the site or the coordinator.")],
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path(),
) -> None:
    """
    Make NAME.key, which stays, and NAME.pub, which the others pin.

    The passphrase is taken from FEDGLMM_PASSPHRASE, if it is set.
    """
    identity = new_identity(name)
    private = out / f"{file_name(name)}.key"
    public = out / f"{file_name(name)}.pub"
    if public.exists():
        raise KeyFileError(
            f"{public}: exists; a new name or folder is required; key files are never "
            "overwritten"
        )
    write_identity(identity, private, os.environ.get(PASSPHRASE))
    write_public(identity.public, public)
    typer.echo(f"{private}: keep it here, and secret")
    typer.echo(f"{public}: give it to the others")
    typer.echo(f"fingerprint {identity.public.fingerprint}")


@app.command("show")
def show(path: Annotated[Path, typer.Argument(help="A .key or .pub file.")]) -> None:
    """Show name and fingerprint, to be compared by voice."""
    public = _public(path)
    typer.echo(f"name        {public.name}")
    typer.echo(f"fingerprint {public.fingerprint}")


def _public(path: Path) -> PublicIdentity:
    if path.suffix == ".key":
        return read_identity(path, os.environ.get(PASSPHRASE)).public
    return read_public(path)
