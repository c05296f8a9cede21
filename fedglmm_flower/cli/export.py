"""``fedglmm coordinator export``: a run for other programs."""

from pathlib import Path
from typing import Annotated

import typer

from fedglmm_flower.cli.progress import shown_progress
from fedglmm_flower.cli.run_options import FinishedRun, Keys, Quorum, RunsSeed
from fedglmm_flower.cli.simulate import NOT_CONVERGED
from fedglmm_flower.errors import UsageError
from fedglmm_flower.study.whole_file import SHARED, write_whole


def export(
    run: FinishedRun,
    formula: Annotated[
        str | None,
        typer.Argument(help="A model of released columns; the run's by default."),
    ] = None,
    to: Annotated[str, typer.Option(help="r.")] = "r",
    out: Annotated[
        Path | None, typer.Option(help="New folder; RUN/r by default.")
    ] = None,
    keys: Keys = None,
    quorum: Quorum = None,
    seed: RunsSeed = None,
) -> int:
    """Write the pseudo-data of a run and an R script that refits them."""
    from fedglmm_flower.coordinator import submodel
    from fedglmm_flower.flower.refit import reopened
    from fedglmm_flower.report.r_script import SCRIPT, TABLE, export_for_r

    if to != "r":
        raise UsageError(f"export: found --to {to}; r is required; write --to r")
    folder = run / "r" if out is None else out
    if folder.exists():
        raise UsageError(
            f"{folder}: exists; a new folder is required; remove it or name another "
            "with --out"
        )
    with shown_progress() as tell:
        again = reopened(run, keys=keys, quorum=quorum, seed=seed, tell=tell)
        released = again.released
        part = submodel(released, released.formula if formula is None else formula)
        fitted = again.fit(part, judged=False).model
    found = export_for_r(fitted)
    write_whole(folder / TABLE, found.table.encode(), SHARED)
    write_whole(folder / SCRIPT, found.script.encode(), SHARED)
    typer.echo(str(folder / SCRIPT))
    return 0 if fitted.converged else NOT_CONVERGED
