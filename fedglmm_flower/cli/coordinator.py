"""``fedglmm coordinator``: what is made of sealed releases."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fedglmm_flower.cli.compare import compare
from fedglmm_flower.cli.export import export
from fedglmm_flower.cli.progress import shown_progress
from fedglmm_flower.cli.run_options import (
    AsResultJson,
    Bootstrap,
    FinishedRun,
    Keys,
    Method,
    Quorum,
    RunsSeed,
)
from fedglmm_flower.cli.simulate import NOT_CONVERGED
from fedglmm_flower.coordinator import Result
from fedglmm_flower.errors import UsageError
from fedglmm_flower.flower.refit import free_folder
from fedglmm_flower.flower.refit import refit as run_refit
from fedglmm_flower.flower.resume import combine_files, resume
from fedglmm_flower.flower.run_folder import Terms
from fedglmm_flower.flower.site_files import FIRST_RUN
from fedglmm_flower.report import summary_text

app = typer.Typer(
    help="Fit sealed releases, and other models of a run.", no_args_is_help=True
)
app.command("compare")(compare)
app.command("export")(export)


@app.callback()
def _group() -> None:
    """Fit sealed releases, and other models of a run."""


@app.command("refit")
def refit(
    run: FinishedRun,
    formula: Annotated[str, typer.Argument(help="A model of released columns.")],
    family: Annotated[str | None, typer.Option(help="The run's by default.")] = None,
    link: Annotated[str | None, typer.Option(help="The run's by default.")] = None,
    method: Method = None,
    out: Annotated[
        Path | None, typer.Option(help="New folder; RUN/refit-1, -2, ... by default.")
    ] = None,
    keys: Keys = None,
    quorum: Quorum = None,
    seed: RunsSeed = None,
    bootstrap: Bootstrap = 0,
    as_json: AsResultJson = False,
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
    return _tell(result, target, as_json=as_json)


@app.command("combine")
def combine(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Folder of a run, or sealed files or a folder of them."),
    ],
    study: Annotated[Path | None, typer.Option(help="study.toml; for files.")] = None,
    keys: Keys = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results; for files.")
    ] = None,
    run: Annotated[
        str | None, typer.Option(help="Label that the sites were given; for files.")
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="reml, ml, laplace or aghq:K; for files.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed; for files.")] = None,
    quorum: Quorum = None,
    manifest: Annotated[
        Path | None, typer.Option(help="The study's signed manifest; for files.")
    ] = None,
    as_json: AsResultJson = False,
) -> int:
    """
    Fit sealed releases: those of a run that broke off, or files without any server.

    A run that broke off before, during or after its fit: combine RUN.
    Files: combine *.sealed --study study.toml --keys keys --out RUN.
    """
    saved = len(paths) == 1 and (paths[0] / "run.json").exists()
    given = {
        "--study": study, "--out": out, "--run": run, "--method": method,
        "--seed": seed, "--manifest": manifest,
    }  # fmt: skip
    if saved:
        wrong = [option for option, value in given.items() if value is not None]
        if wrong:
            raise UsageError(
                f"coordinator combine: {wrong[0]} and the folder of a run, {paths[0]}; "
                "a run is fitted as it was begun; leave the option out, or give the "
                "files in its folder 'sealed' instead"
            )
        with shown_progress() as tell:
            done = resume(paths[0], keys=keys, quorum=quorum, tell=tell)
        target = paths[0]
    elif study is None or keys is None or out is None:
        raise UsageError(
            f"coordinator combine: {paths[0]} is no folder of a run, and --study, "
            "--keys or --out is missing; all three are required for sealed files; add "
            "them, or correct the path"
        )
    else:
        with shown_progress() as tell:
            done = combine_files(
                paths,
                study=study,
                keys=keys,
                out=out,
                run=run or FIRST_RUN,
                terms=Terms(quorum=quorum, method=method, seed=seed),
                manifest=manifest,
                tell=tell,
            )
        target = out
    for path, why in done.rejected.items():
        typer.echo(f"fedglmm: {path}: not used: {why.code}: {why.public}", err=True)
    if not as_json:
        if done.results:
            typer.echo(f"for each site: {done.results[0].parent}", err=True)
        else:
            typer.echo("too few sites to send the estimates to any", err=True)
    return _tell(done.result, target, as_json=as_json)


def _tell(result: Result, folder: Path, *, as_json: bool) -> int:
    if as_json:
        typer.echo(json.dumps(result.to_dict(), ensure_ascii=False))
    else:
        typer.echo(summary_text(result.values), nl=False)
        typer.echo(f"\n{folder / 'result.json'}")
    return 0 if result.converged else NOT_CONVERGED
