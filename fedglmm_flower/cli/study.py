"""``fedglmm study``: draft, check, show and sign a study."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from fedglmm_flower.cli import manifest
from fedglmm_flower.cli.needs import needs_of, show_needs
from fedglmm_flower.cli.simulate import parse_levels
from fedglmm_flower.errors import UsageError
from fedglmm_flower.site.scoring import score_size
from fedglmm_flower.site.whole_table import read_table, study_of_table
from fedglmm_flower.study import Study, read_study, write_study
from fedglmm_flower.study.anchor_file import read_anchor
from fedglmm_flower.study.offers import write_offer
from fedglmm_flower.study.release import MAX_ORDER

app = typer.Typer(help="Draft, check, show and sign a study.", no_args_is_help=True)
app.command("sign")(manifest.sign)
app.command("manifest")(manifest.show)


@app.command("init")
def init(
    data: Annotated[Path, typer.Argument(help="CSV or Parquet that may be seen.")],
    formula: Annotated[str, typer.Option(help="lme4 syntax.")],
    family: Annotated[
        str, typer.Option(help="gaussian, binomial, poisson, gamma, nbinom2")
    ],
    out: Annotated[Path, typer.Option(help="Where to write study.toml.")] = Path(
        "study.toml"
    ),
    link: Annotated[str | None, typer.Option()] = None,
    site_column: Annotated[str | None, typer.Option()] = None,
    trials: Annotated[str | None, typer.Option()] = None,
    offset: Annotated[str | None, typer.Option()] = None,
    weights: Annotated[str | None, typer.Option()] = None,
    levels: Annotated[list[str] | None, typer.Option(help="COL=a,b,c")] = None,
    order: Annotated[int | None, typer.Option(min=1, max=MAX_ORDER)] = None,
    release_set: Annotated[
        str | None,
        typer.Option(help="anchored, canonical, public (-pairs or -tables), joint"),
    ] = None,
    method: Annotated[str | None, typer.Option()] = None,
    anchor: Annotated[
        Path | None,
        typer.Option(
            help="Public anchor: coefficients by column, such as a result.json."
        ),
    ] = None,
) -> None:
    """
    Draft study.toml from a table.

    Bounds, centres and scales come from the table: replace them by published ones
    before the study is agreed upon.
    """
    if out.exists():
        raise UsageError(
            f"{out}: exists; a new name is required; a study is never overwritten"
        )
    if not out.absolute().parent.is_dir():
        raise UsageError(
            f"{out}: its folder does not exist; a folder that exists is required; make "
            "it first"
        )
    drafted = study_of_table(
        read_table(data),
        formula,
        family,
        link=link,
        site_column=site_column,
        trials=trials,
        offset=offset,
        weights=weights,
        levels=parse_levels(levels or []),
        study=None,
        order=order,
        release_set=release_set,
        method=method,
        anchor=None if anchor is None else read_anchor(anchor),
    ).study
    write_study(drafted, out)
    typer.echo(f"{out}: {drafted.digest}")


@app.command("check")
def check(
    path: Annotated[Path, typer.Argument(help="study.toml")],
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Check a study; count what each set sends, and the rows and cells it needs."""
    study = read_study(path)
    accepted, others = needs_of(study)
    if as_json:
        plain = {"orders": accepted, "around": others}
        typer.echo(json.dumps({"digest": study.digest, **plain}))
        return
    typer.echo(f"digest {study.digest}")
    show_needs(accepted, others)


@app.command("show")
def show(path: Annotated[Path, typer.Argument(help="study.toml")]) -> None:
    """Show what is asked, in words."""
    study = read_study(path)
    typer.echo(f"study    {study.name}")
    typer.echo(f"digest   {study.digest}")
    typer.echo(f"formula  {study.formula}")
    typer.echo(f"family   {study.family} ({study.link}), {study.method}")
    typer.echo(f"sites    {len(study.sites)}: {', '.join(study.sites)}")
    typer.echo(f"release  {', '.join(map(write_offer, study.offers))}")
    if study.clusters:
        names = ", ".join(study.clusters)
        typer.echo(f"clusters {names}: one summary for each, with its label")
    for what, value in _beside(study):
        typer.echo(f"{what:<8} {value}")
    typer.echo("columns")
    for column in study.columns:
        if column.kind == "categorical":
            detail = " < ".join(column.levels)
        elif column.kind == "binary":
            detail = "0 or 1"
        else:
            detail = f"bounds {column.low} to {column.high}"
        unit = f" [{column.unit}]" if column.unit else ""
        typer.echo(f"  {column.name}{unit}: {column.kind}, {detail}")


def _beside(study: Study) -> Iterator[tuple[str, str]]:
    """What else is summed, or asked, than formula and columns say."""
    for what in ("trials", "offset", "weights"):
        text = getattr(study, what)
        if text is not None:
            yield what, str(text)
    if study.anchor:
        yield "anchor", "given in the study; sums are taken at it"
    if study.rounds:
        told = f"up to {study.rounds} likelihoods of {score_size(study)} numbers each"
        yield "rounds", f"{told}, at points that the coordinator chooses"
    if study.held_out:
        yield "held out", f"{study.held_out:.0%} of the rows, of which a likelihood too"
