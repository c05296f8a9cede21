"""``fedglmm coordinator compare``: models of one release beside each other."""

import json
from typing import Annotated, Literal

import typer

from fedglmm_flower.cli.progress import shown_progress
from fedglmm_flower.cli.run_options import FinishedRun, Keys, Quorum, RunsSeed
from fedglmm_flower.cli.simulate import NOT_CONVERGED
from fedglmm_flower.errors import UsageError


def compare(
    run: FinishedRun,
    formulas: Annotated[
        list[str] | None,
        typer.Argument(help="Models of released columns; for --select the largest."),
    ] = None,
    select: Annotated[
        str | None, typer.Option(help="forward or backward, by AIC.")
    ] = None,
    keys: Keys = None,
    quorum: Quorum = None,
    seed: RunsSeed = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of a table.")
    ] = False,
) -> int:
    """Compare or select models of a run by likelihood, with no new round."""
    from fedglmm_flower.coordinator.compare import compare_models
    from fedglmm_flower.coordinator.select import select as select_models
    from fedglmm_flower.flower.refit import reopened
    from fedglmm_flower.report import comparison

    asked = formulas or []
    if select is not None and select not in ("forward", "backward"):
        raise UsageError(
            f"compare: found --select {select}; forward or backward is required; "
            "choose one"
        )
    if select is not None and len(asked) > 1:
        raise UsageError(
            f"compare: found {len(asked)} formulas with --select; at most one is "
            "required, the largest model; leave the others out"
        )
    with shown_progress() as tell:
        again = reopened(run, keys=keys, quorum=quorum, seed=seed, tell=tell)
        if select is None:
            models = compare_models(again, asked)
            values = comparison.compared_values(models)
            text = comparison.comparison_text(models)
            converged = all(one.fitted.converged for one in models)
        else:
            scope = asked[0] if asked else None
            way: Literal["forward", "backward"] = (
                "forward" if select == "forward" else "backward"
            )
            steps = select_models(again, scope, way)
            values = comparison.selection_values(steps)
            text = comparison.selection_text(steps)
            converged = steps[-1].model.fitted.converged
    typer.echo(json.dumps(values, ensure_ascii=False) if as_json else text.rstrip())
    return 0 if converged else NOT_CONVERGED
