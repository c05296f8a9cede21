"""``fedglmm site``: what an officer sees before anything leaves."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fedglmm_flower.errors import DisclosureError
from fedglmm_flower.site import read_site_config
from fedglmm_flower.site.answer import check_expected
from fedglmm_flower.site.gate import clear, inspect
from fedglmm_flower.site.moments import summarise
from fedglmm_flower.site.words import describe
from fedglmm_flower.study import read_study

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
    check_expected(asked, here.site)
    moments = summarise(asked, here.source, site=here.site)
    refused: DisclosureError | None = None
    release_set: str | None = None
    order: int | None = None
    lines: list[tuple[str, float]] = []
    try:
        cleared = clear(asked.moment_model, moments, here.policy, asked.offers)
    except DisclosureError as error:
        refused = error
        name, lowest = asked.offers[-1]
        last = asked.statistics(lowest, name)
        findings = inspect(asked.moment_model, moments, last, here.policy)
    else:
        release_set, order = cleared.release_set, cleared.order
        findings = cleared.findings
        lines = [
            (describe(asked.moment_model, s), float(v))
            for s, v in zip(cleared.statistics, cleared.values, strict=True)
        ]
    approved = asked.digest in here.approved
    if as_json:
        plain: dict[str, Any] = {
            "site": here.site,
            "study": asked.digest,
            "approved": approved,
            "release_set": release_set,
            "order": order,
            "n_rows": moments.n_rows,
            "n_missing": moments.n_missing,
            "rules": [vars(finding) for finding in findings],
            "statistics": [{"what": what, "value": v} for what, v in lines],
        }
        typer.echo(json.dumps(plain, ensure_ascii=False))
    else:
        would = "nothing to" if refused else "to"
        typer.echo(f"site {here.site}: would send {would} study {asked.digest[:16]}...")
        typer.echo(
            f"  approved here: {'yes' if approved else 'no, so nothing is sent'}"
        )
        missing = moments.n_missing
        typer.echo(f"  rows {moments.n_rows}, dropped for missing values {missing}")
        if order is None:
            typer.echo(f"  no set passes; rules of {name}, order {lowest}\n")
        else:
            asked_first = f"{asked.release_set}, order {asked.order}"
            typer.echo(f"  {release_set} set, order {order} ({asked_first} asked)\n")
        for finding in findings:
            seen = (
                f"{finding.detail}: {finding.cell}" if finding.cell else finding.detail
            )
            typer.echo(f"  {'pass' if finding.passed else 'FAIL'}  {seen}")
        if lines:
            typer.echo(f"\n  {len(lines)} numbers:")
        for what, value in lines:
            typer.echo(f"  {value:>24.10g}  {what}")
    if refused is not None:
        raise refused
