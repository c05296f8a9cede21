"""``fedglmm study sign`` and ``study manifest``: the study owner's signed manifest."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from fedglmm_flower.cli.passphrases import (
    FileOption,
    VariableOption,
    passphrase_for,
)
from fedglmm_flower.envelope import (
    Manifest,
    PublicIdentity,
    read_identity,
    read_public,
    sign_manifest,
    split_signed,
)
from fedglmm_flower.envelope.manifest import write_time
from fedglmm_flower.errors import UsageError
from fedglmm_flower.flower.admission import utc_now
from fedglmm_flower.flower.files import file_name
from fedglmm_flower.flower.own_manifest import read_manifest_file
from fedglmm_flower.site.config import read_demands
from fedglmm_flower.study import read_study
from fedglmm_flower.study.whole_file import SHARED, write_whole


def sign(
    path: Annotated[Path, typer.Argument(help="study.toml")],
    keys: Annotated[
        Path, typer.Option(help="Folder of coordinator.pub and sites/SITE.pub.")
    ],
    owner: Annotated[Path, typer.Option(help="The study owner's .key file.")],
    expires: Annotated[str, typer.Option(help="UTC: 2027-06-30 or ...T12:00:00Z")],
    policy: Annotated[
        Path | None,
        typer.Option(help="TOML whose [disclosure] every site must meet."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Where to write it.")] = Path(
        "manifest.toml"
    ),
    passphrase_file: FileOption = None,
    passphrase_env: VariableOption = None,
) -> None:
    """
    Bind study, coordinator, sites, demands and expiry, and sign them.

    Compare the fingerprint of every .pub file by voice first: what is signed here is
    what all sites will trust.
    """
    if out.exists():
        raise UsageError(
            f"{out}: exists; a new name is required; a manifest is never overwritten"
        )
    study = read_study(path)
    now = utc_now().replace(microsecond=0)
    manifest = Manifest(
        name=study.name,
        study=study.digest,
        made=now,
        expires=_time(expires),
        demands=() if policy is None else read_demands(policy),
        recipients=(read_public(keys / "coordinator.pub"),),
        sites=tuple(
            _named(site, keys / "sites" / f"{file_name(site)}.pub")
            for site in sorted(study.sites)
        ),
    )
    passphrase = passphrase_for(owner, passphrase_file, passphrase_env)
    data = sign_manifest(manifest, read_identity(owner, passphrase))
    write_whole(out, data, SHARED)
    typer.echo(f"{out}: {split_signed(data).digest}")


def show(path: Annotated[Path, typer.Argument(help="manifest.toml")]) -> None:
    """Show what a manifest binds, and whether its signature fits its text."""
    signed = split_signed(read_manifest_file(path))
    manifest = signed.read(signed.owner)
    for line in manifest_lines(manifest, signed.digest):
        typer.echo(line)
    typer.echo("signed, and unchanged since; 'fedglmm site approve' checks by whom")


def manifest_lines(manifest: Manifest, digest: str) -> list[str]:
    """What a manifest binds, a line each, for an officer."""
    demands = ", ".join(f"{name} {value}" for name, value in manifest.demands)
    lines = [
        f"manifest    {digest}",
        f"study       {manifest.name}, {manifest.study}",
        f"made        {write_time(manifest.made)}",
        f"expires     {write_time(manifest.expires)}",
        f"demands     {demands or 'none; each site has its own policy'}",
    ]
    lines += [f"recipient   {p.name}: {p.words}" for p in manifest.recipients]
    lines += [f"site        {p.name}: {p.words}" for p in manifest.sites]
    return lines


def _named(site: str, path: Path) -> PublicIdentity:
    """The keys of a site, under the name that the study gives it."""
    public = read_public(path)
    return PublicIdentity(site, public.encrypt, public.verify)


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is not None and time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    if time is None or time.microsecond:
        raise UsageError(
            f"--expires: {text!r} was found; a date or time in UTC is required, such "
            "as 2027-06-30 or 2027-06-30T12:00:00Z; correct it"
        )
    return time.astimezone(UTC)
