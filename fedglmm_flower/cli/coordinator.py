"""``fedglmm coordinator``: what is made of sealed releases."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fedglmm_flower.cli.progress import shown_progress
from fedglmm_flower.cli.simulate import NOT_CONVERGED
from fedglmm_flower.flower.refit import free_folder
from fedglmm_flower.flower.refit import refit as run_refit
from fedglmm_flower.report import summary_text

app = typer.Typer(help="Fit other models of a saved run.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Fit other models of a saved run."""


@app.command("refit")
def refit(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    formula: Annotated[str, typer.Argument(help="A model of released columns.")],
    family: Annotated[str | None, typer.Option(help="The run's by default.")] = None,
    link: Annotated[str | None, typer.Option(help="The run's by default.")] = None,
    method: Annotated[
        str | None, typer.Option(help="reml, ml, laplace or aghq:K.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="New folder; RUN/refit-1, -2, ... by default.")
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(help="Folder of keys; RUN/keys by default.")
    ] = None,
    quorum: Annotated[
        int | None, typer.Option(min=1, help="Fewest sites to fit from.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed; the run's by default.")
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Draws of the bootstrap under noise, as 200.")
    ] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print result.json instead of a summary.")
    ] = False,
) -> int:
    """Fit another model to the saved releases of a run, with no new round."""
    target = free_folder(run) if out is None else out
    with shown_progress() as tell:
        result = run_refit(
            run,
            formula,
            family,
            link=link,
            method=method,
            keys=keys,
            quorum=quorum,
            seed=seed,
            bootstrap=bootstrap,
            out=target,
            tell=tell,
        )
    if as_json:
        typer.echo(json.dumps(result.to_dict(), ensure_ascii=False))
    else:
        typer.echo(summary_text(result.values), nl=False)
        typer.echo(f"\n{target / 'result.json'}")
    return 0 if result.converged else NOT_CONVERGED
