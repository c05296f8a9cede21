"""``fedglmm simulate``."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from fedglmm_flower.cli.progress import shown_progress
from fedglmm_flower.cli.run_options import AsResultJson, Bootstrap, Method, Quorum
from fedglmm_flower.errors import PolicyError, UsageError
from fedglmm_flower.flower.simulate import simulate as run_simulation
from fedglmm_flower.report import summary_text
from fedglmm_flower.site import Privacy, read_policy
from fedglmm_flower.study.products import SETS

NOT_CONVERGED = 4


def simulate(
    data: Annotated[Path, typer.Argument(help="CSV or Parquet, with sites.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    formula: Annotated[
        str | None, typer.Option(help="lme4 syntax: 'y ~ x + (1 | hospital)'.")
    ] = None,
    family: Annotated[
        str | None, typer.Option(help="gaussian, binomial, poisson, gamma, nbinom2")
    ] = None,
    link: Annotated[str | None, typer.Option(help="Canonical by default.")] = None,
    site_column: Annotated[
        str | None,
        typer.Option(
            help="Column that names the site; the formula's group if left out."
        ),
    ] = None,
    trials: Annotated[
        str | None, typer.Option(help="Column of trials; the response counts events.")
    ] = None,
    offset: Annotated[str | None, typer.Option(help="Column or expression.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="Column that multiplies each log-likelihood.")
    ] = None,
    levels: Annotated[
        list[str] | None,
        typer.Option(help="COL=a,b,c: levels of a factor, the reference first."),
    ] = None,
    study: Annotated[
        Path | None, typer.Option(help="A study.toml instead of formula and family.")
    ] = None,
    order: Annotated[
        int | None, typer.Option(min=1, max=6, help="Highest order K of the moments.")
    ] = None,
    release_set: Annotated[
        str | None,
        typer.Option(
            help="anchored, canonical, public (each also with -pairs or -tables), "
            "joint; the best by default."
        ),
    ] = None,
    method: Method = None,
    anchor: Annotated[
        str | None,
        typer.Option(help="local, or a file of coefficients such as a result.json."),
    ] = None,
    rounds: Annotated[
        str,
        typer.Option(help="1, refine:R, iterative, or with a penalty iterative:bic."),
    ] = "1",
    policy: Annotated[
        Path | None, typer.Option(help="site.toml whose [disclosure] all sites apply.")
    ] = None,
    no_disclosure: Annotated[
        bool, typer.Option("--no-disclosure", help="Switch the disclosure gate off.")
    ] = False,
    unit: Annotated[
        str | None,
        typer.Option(help="Column of patients, whom rules and noise count, not rows."),
    ] = None,
    quorum: Quorum = None,
    epsilon: Annotated[
        float | None, typer.Option(help="Noise at every site: loss of one release.")
    ] = None,
    delta: Annotated[
        float | None, typer.Option(help="Goes with epsilon; 1e-6 by default.")
    ] = None,
    relation: Annotated[
        str | None,
        typer.Option(help="zero_out (default), add_remove or replace_one."),
    ] = None,
    clipping_norm: Annotated[
        float | None, typer.Option(help="Largest norm of a record; 1.25 by default.")
    ] = None,
    bootstrap: Bootstrap = 0,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed; derived from the study by default.")
    ] = None,
    compare_pooled: Annotated[
        bool, typer.Option("--compare-pooled", help="Also fit the pooled table.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier run in the folder.")
    ] = False,
    as_json: AsResultJson = False,
) -> int:
    """Divide a table by site and run the whole federation on this machine."""
    _only_what_there_is(release_set)
    privacy = _privacy(epsilon, delta, relation, clipping_norm)
    with shown_progress() as tell:
        result = run_simulation(
            data,
            formula,
            family,
            link=link,
            site_column=site_column,
            trials=trials,
            offset=offset,
            weights=weights,
            levels=parse_levels(levels or []),
            study=study,
            order=order,
            release_set=release_set,
            anchor=anchor,
            method=method,
            rounds=rounds,
            policy=None if policy is None else read_policy(policy),
            disclosure=not no_disclosure,
            unit=unit,
            privacy=privacy,
            bootstrap=bootstrap,
            quorum=quorum,
            seed=seed,
            compare_pooled=compare_pooled,
            out=out,
            overwrite=overwrite,
            tell=tell,
        )
    if study is None:
        typer.echo(
            "fedglmm: levels, bounds, centres and scales were taken from the table; a "
            "consortium declares them in study.toml",
            err=True,
        )
    if as_json:
        typer.echo(json.dumps(result.to_dict(), ensure_ascii=False))
    else:
        typer.echo(summary_text(result.values), nl=False)
        typer.echo(f"\n{out / 'result.json'}")
    return 0 if result.converged else NOT_CONVERGED


def _privacy(
    epsilon: float | None,
    delta: float | None,
    relation: str | None,
    clipping_norm: float | None,
) -> Privacy | None:
    """Noise as the options ask for it, with a budget of one release."""
    given = {"delta": delta, "relation": relation, "clipping_norm": clipping_norm}
    asked: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    if epsilon is None:
        if asked:
            name = next(iter(asked)).replace("_", "-")
            raise UsageError(
                f"simulate: --{name} without --epsilon; noise is asked for by an "
                "epsilon; add --epsilon, or leave the option out"
            )
        return None
    rest = {"delta": 1e-6, **asked}
    try:
        # Prices are rounded up and budgets down: one release needs a little more.
        return Privacy("simulation", epsilon, budget_epsilon=1.01 * epsilon, **rest)
    except PolicyError as error:
        raise UsageError(f"simulate: {error.detail}") from None


def _only_what_there_is(release_set: str | None) -> None:
    """Refuse what is designed and not built, rather than leave it out unsaid."""
    asked = [
        (
            "--release-set",
            release_set,
            f"the sets {', '.join(SETS)}",
            release_set in (None, *SETS),
        ),
    ]
    for option, value, has, fits in asked:
        if not fits:
            raise UsageError(
                f"simulate: {option} {value}; this version has {has}; leave the option "
                "out"
            )


def parse_levels(options: list[str]) -> dict[str, list[str]]:
    """
    Levels of ``COL=a,b,c`` options.

    Examples
    --------
    >>> parse_levels(["stage=I,II", "sex=f,m"])
    {'stage': ['I', 'II'], 'sex': ['f', 'm']}
    """
    found: dict[str, list[str]] = {}
    for option in options:
        name, equals, text = option.partition("=")
        if not equals or not name or not text:
            raise UsageError(
                f"--levels {option!r}: has not the form COL=a,b,c; a column and its "
                "levels are required; write for example --levels stage=I,II,III"
            )
        if name in found:
            raise UsageError(
                f"--levels {option!r}: the column {name!r} is given twice; once is "
                "required; remove one"
            )
        found[name] = text.split(",")
    return found
