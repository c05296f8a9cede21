"""``fedglmm keys``: make, show and rotate identities."""

from pathlib import Path
from typing import Annotated

import typer

from fedglmm_flower.cli.passphrases import (
    FileOption,
    VariableOption,
    chosen_passphrase,
    passphrase_for,
)
from fedglmm_flower.envelope import (
    PublicIdentity,
    new_identity,
    read_identity,
    read_public,
    write_identity,
    write_public,
)
from fedglmm_flower.envelope.rotation import retired_path, rotate_identity
from fedglmm_flower.errors import KeyFileError
from fedglmm_flower.flower.files import file_name

HYBRID_HELP = "Messages to it withstand quantum computers too: ML-KEM-768 and X25519."

app = typer.Typer(help="Make, show and rotate key files.", no_args_is_help=True)


@app.command("new")
def new(
    name: Annotated[
        str, typer.Argument(help="Name of the site, coordinator or study owner.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the files.")] = Path(),
    hybrid: Annotated[bool, typer.Option("--hybrid", help=HYBRID_HELP)] = False,
    passphrase_file: FileOption = None,
    passphrase_env: VariableOption = None,
) -> None:
    """
    Make NAME.key, which stays, and NAME.pub, which the others pin.

    The passphrase is asked for at a terminal; else it comes from the file or variable
    named, from FEDGLMM_PASSPHRASE or from the file FEDGLMM_PASSPHRASE_FILE names.
    """
    identity = new_identity(name, hybrid=hybrid)
    private = out / f"{file_name(name)}.key"
    public = out / f"{file_name(name)}.pub"
    if public.exists():
        raise KeyFileError(
            f"{public}: exists; a new name or folder is required; key files are never "
            "overwritten"
        )
    passphrase = chosen_passphrase(
        passphrase_file, passphrase_env, of=private.name, new=True
    )
    write_identity(identity, private, passphrase)
    write_public(identity.public, public)
    kept = "secret" if passphrase else "secret; it has no passphrase"
    typer.echo(f"{private}: keep it here, and {kept}")
    typer.echo(f"{public}: give it to the others")
    _show(identity.public)


@app.command("show")
def show(
    path: Annotated[Path, typer.Argument(help="A .key or .pub file.")],
    passphrase_file: FileOption = None,
    passphrase_env: VariableOption = None,
) -> None:
    """Show name and fingerprint, in words and digits, to be compared by voice."""
    if path.suffix == ".key":
        passphrase = passphrase_for(path, passphrase_file, passphrase_env)
        public = read_identity(path, passphrase).public
    else:
        public = read_public(path)
    typer.echo(f"name        {public.name}")
    _show(public)


@app.command("rotate")
def rotate(
    path: Annotated[Path, typer.Argument(help="NAME.key")],
    hybrid: Annotated[bool, typer.Option("--hybrid", help=HYBRID_HELP)] = False,
    passphrase_file: FileOption = None,
    passphrase_env: VariableOption = None,
) -> None:
    """
    Make a new key in the place of an old one, under the same passphrase.

    A hybrid key is followed by a hybrid one.

    The old key stays beside it, to open what was sealed to it; the others pin the new
    NAME.pub, and a study's manifest that names the old key needs a successor.
    """
    if path.suffix != ".key":
        raise KeyFileError(
            f"{path}: another file was found; NAME.key is required; give the private "
            "key that is to be replaced"
        )
    passphrase = passphrase_for(path, passphrase_file, passphrase_env)
    old, fresh = rotate_identity(path, passphrase, hybrid=hybrid)
    typer.echo(f"{retired_path(path, old.public.encrypt_id)}: opens what it could open")
    typer.echo(f"{path}: keep it here, and secret")
    typer.echo(f"{path.with_suffix('.pub')}: give it to the others")
    _show(fresh.public)


def _show(public: PublicIdentity) -> None:
    words = public.words.split()
    typer.echo(f"suite       {public.suite}")
    typer.echo(f"words       {' '.join(words[:8])}")
    typer.echo(f"            {' '.join(words[8:])}")
    typer.echo(f"fingerprint {public.fingerprint}")
