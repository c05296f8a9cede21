"""``fedglmm site``: what an officer sees, and what a site sends and gets in files."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fedglmm_flower.cli.approve import approve
from fedglmm_flower.cli.noise_preview import noise_preview, noise_text
from fedglmm_flower.cli.passphrases import FileOption, VariableOption, asking
from fedglmm_flower.cli.preview import preview_of
from fedglmm_flower.cli.preview_text import WIDTH, preview_plain, print_preview
from fedglmm_flower.cli.sign_policy import sign_policy, version_words
from fedglmm_flower.flower.approvals import APPROVALS, read_approvals
from fedglmm_flower.flower.site_desk import ESTIMATES, FIT_CHECK
from fedglmm_flower.flower.site_files import (
    FIRST_RUN,
    receive_file,
    release_to_file,
)
from fedglmm_flower.site import SiteConfig, read_site_config
from fedglmm_flower.site.answer import check_expected
from fedglmm_flower.site.clearing import clear_apart
from fedglmm_flower.site.clusters import ClearedSite
from fedglmm_flower.site.finding import Finding
from fedglmm_flower.site.kept import require_memory
from fedglmm_flower.site.summarise import summarise_clusters
from fedglmm_flower.study import read_study

app = typer.Typer(help="Preview, send and receive at a site.", no_args_is_help=True)
app.command("approve")(approve)
app.command("sign-policy")(sign_policy)


@app.callback()
def _group() -> None:
    """Preview, send and receive at a site."""


@app.command("preview")
def preview(
    config: Annotated[Path, typer.Argument(help="site.toml")],
    study: Annotated[Path, typer.Option(help="study.toml")],
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """
    Show exactly what would leave, and what every rule says; sends nothing.

    The output holds the site's sums: it is for the site alone. Where noise is switched
    on it holds none, and no row is read. Ends with status 3 if the site would refuse.
    """
    asked = read_study(study)
    here = _with_approvals(read_site_config(config), config)
    check_expected(asked, here.site, here.policy.min_sites)
    require_memory(here.memory, here.answers)
    version = version_words(here, config)
    if here.privacy is not None:
        plain = noise_preview(asked, here.privacy)
        plain["policy"] = version
        text = json.dumps(plain) if as_json else noise_text(here.site, plain)
        typer.echo(text)
        return
    memory = here.memory
    # Nothing is written by looking; what is there is compared under its own secret.
    key = b"" if memory.extent() is None else memory.key()
    found = summarise_clusters(
        asked, here.source, site=here.site, key=key, unit=here.policy.unit
    )
    memory.require_same(asked.digest, found.snapshot)

    between: list[Finding] = []

    def cleared() -> ClearedSite:
        one, _ = clear_apart(
            asked,
            here.source,
            found,
            here.policy,
            memory.answers(),
            site=here.site,
            key=key,
            seen=between,
        )
        return one

    known = memory.points(asked.digest), memory.elsewhere(asked.digest)
    shown = preview_of(asked, found, here.policy, cleared, between, *known)
    if as_json:
        plain = preview_plain(shown, asked, here, version)
        typer.echo(json.dumps(plain, ensure_ascii=False))
    else:
        print_preview(
            shown,
            asked,
            here,
            version,
            Console(width=None if sys.stdout.isatty() else WIDTH),
        )
    if shown.refused is not None:
        raise shown.refused


@app.command("release")
def release(
    config: Annotated[Path, typer.Option(help="site.toml")],
    study: Annotated[Path, typer.Option(help="study.toml")],
    out: Annotated[Path, typer.Option(help="New file for the sealed release.")],
    run: Annotated[
        str, typer.Option(help="Label that the coordinator gave.")
    ] = FIRST_RUN,
    manifest: Annotated[
        Path | None, typer.Option(help="The study's signed manifest, if it has one.")
    ] = None,
    passphrase_file: FileOption = None,
    passphrase_env: VariableOption = None,
) -> None:
    """Write the site's release to a file that only the coordinator can open."""
    ask = asking(passphrase_file, passphrase_env)
    site, size = release_to_file(config, study, out, run, manifest=manifest, ask=ask)
    typer.echo(f"{out}: sealed release of site {site}, {size} bytes; send it on")


@app.command("receive")
def receive(
    result: Annotated[Path, typer.Argument(help="Sealed result.")],
    config: Annotated[Path, typer.Option(help="site.toml")],
    passphrase_file: FileOption = None,
    passphrase_env: VariableOption = None,
) -> None:
    """Check the coordinator's signature on a sealed result, and store the estimates."""
    inbox = receive_file(config, result, ask=asking(passphrase_file, passphrase_env))
    typer.echo(inbox / ESTIMATES)
    if (inbox / FIT_CHECK).exists():
        typer.echo(inbox / FIT_CHECK)
    else:
        typer.echo("no fit check was possible; the site's log says why")


def _with_approvals(here: SiteConfig, path: Path) -> SiteConfig:
    """What is answered at all: studies approved alone, and those under a manifest."""
    alone = () if here.require_manifest else here.approved
    under = (entry.study for entry in read_approvals(path.parent / APPROVALS))
    return replace(here, approved=(*alone, *under))
