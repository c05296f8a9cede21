"""``fedglmm site approve``: an officer's yes to one manifest, written down."""

from pathlib import Path
from typing import Annotated

import typer

from fedglmm_flower.cli.manifest import manifest_lines
from fedglmm_flower.cli.passphrases import (
    FileOption,
    VariableOption,
    passphrase_for,
)
from fedglmm_flower.envelope import read_identity, read_public, split_signed
from fedglmm_flower.errors import StudyMismatchError
from fedglmm_flower.flower.admission import check_parties, utc_now
from fedglmm_flower.flower.approvals import APPROVALS, Approval, add_approval
from fedglmm_flower.flower.own_manifest import read_manifest_file
from fedglmm_flower.flower.policy_in_force import policy_in_force
from fedglmm_flower.site import read_site_config
from fedglmm_flower.site.demands import require_demands
from fedglmm_flower.study import read_study


def approve(
    path: Annotated[Path, typer.Argument(help="manifest.toml")],
    study: Annotated[
        Path, typer.Option(help="study.toml that was read and previewed.")
    ],
    owner: Annotated[
        Path, typer.Option(help="The study owner's .pub file, compared by voice.")
    ],
    config: Annotated[Path, typer.Option(help="site.toml")] = Path("site.toml"),
    passphrase_file: FileOption = None,
    passphrase_env: VariableOption = None,
) -> None:
    """
    Check a manifest and approve it: queries under it are answered from now on.

    Checked are the owner's signature, the study, expiry by this machine's clock, this
    site's keys and its coordinator, and that the site's policy is as it was signed and
    meets the demands.  The
    approval goes to approvals.toml beside site.toml.
    """
    here = read_site_config(config)
    signer = read_public(owner)
    signed = split_signed(read_manifest_file(path))
    manifest = signed.read(signer.verify)
    asked = read_study(study)
    if asked.digest != manifest.study:
        raise StudyMismatchError(
            f"{study}: digest {asked.digest[:16]}... was found; {manifest.study[:16]}"
            "..., the study of the manifest, is required; approve what was read, or "
            "ask the study's owner"
        )
    now = utc_now()
    manifest.check_time(now)
    key = here.identity_path
    passphrase = passphrase_for(key, passphrase_file, passphrase_env)
    own = read_identity(key, passphrase).public
    policy_in_force(config, here, own, now)
    check_parties(
        manifest,
        site=here.site,
        own=own,
        coordinator=read_public(here.coordinator_path),
    )
    require_demands(here.policy, manifest.demands, where=f"site {here.site!r}")
    approvals = config.parent / APPROVALS
    new = add_approval(
        approvals, Approval(signed.digest, manifest.study, signer.verify, now)
    )
    for line in manifest_lines(manifest, signed.digest):
        typer.echo(line)
    typer.echo(f"owner       {signer.name}: {signer.words}")
    typer.echo(f"approved{'' if new else ' before'}: {approvals}")
