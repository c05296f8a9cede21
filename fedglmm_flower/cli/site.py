"""``fedglmm site``: what an officer sees before anything leaves."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fedglmm_flower.errors import DisclosureError
from fedglmm_flower.site import read_site_config
from fedglmm_flower.site.gate import clear, inspect
from fedglmm_flower.site.moments import Moments, summarise
from fedglmm_flower.site.words import describe
from fedglmm_flower.study import Study, read_study

app = typer.Typer(help="Preview what a site would send.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Preview what a site would send."""


@app.command("preview")
def preview(
    config: Annotated[Path, typer.Argument(help="site.toml")],
    study: Annotated[Path, typer.Option(help="study.toml")],
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """
    Show exactly what would leave, and what every rule says; sends nothing.

    The output holds the site's sums: it is for the site alone.
    """
    asked = read_study(study)
    here = read_site_config(config)
    moments = summarise(asked, here.source, site=here.site)
    try:
        cleared = clear(asked.model, moments, here.policy)
    except DisclosureError:
        _rules(asked, moments, config)
        raise
    lines = [
        (describe(asked.model, s), float(v))
        for s, v in zip(cleared.statistics, cleared.values, strict=True)
    ]
    if as_json:
        plain: dict[str, Any] = {
            "site": here.site,
            "study": asked.digest,
            "approved": asked.digest in here.approved,
            "order": cleared.order,
            "n_rows": moments.n_rows,
            "n_missing": moments.n_missing,
            "rules": [vars(finding) for finding in cleared.findings],
            "statistics": [{"what": what, "value": v} for what, v in lines],
        }
        typer.echo(json.dumps(plain, ensure_ascii=False))
        return
    typer.echo(f"site {here.site}: would send to study {asked.digest[:16]}...")
    approved = asked.digest in here.approved
    typer.echo(f"  approved here: {'yes' if approved else 'no, so nothing is sent'}")
    typer.echo(
        f"  rows {moments.n_rows}, dropped for missing values {moments.n_missing}"
    )
    typer.echo(f"  moments to order {cleared.order} of {asked.order} asked\n")
    for finding in cleared.findings:
        typer.echo(f"  {'pass' if finding.passed else 'FAIL'}  {finding.detail}")
    typer.echo(f"\n  {len(lines)} numbers:")
    for what, value in lines:
        typer.echo(f"  {value:>24.10g}  {what}")


def _rules(study: Study, moments: Moments, config: Path) -> None:
    """Say what every rule finds at the highest order, when none passes."""
    policy = read_site_config(config).policy
    typer.echo(f"rules at order {moments.order}:", err=True)
    for finding in inspect(study.model, moments, moments.statistics, policy):
        typer.echo(
            f"  {'pass' if finding.passed else 'FAIL'}  {finding.detail}", err=True
        )
