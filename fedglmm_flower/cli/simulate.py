"""``fedglmm simulate``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from fedglmm_flower.cli.progress import shown_progress
from fedglmm_flower.errors import UsageError
from fedglmm_flower.flower.simulate import simulate as run_simulation
from fedglmm_flower.report import summary_text
from fedglmm_flower.site import read_policy
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
    method: Annotated[
        str | None, typer.Option(help="reml, ml, laplace or aghq:K.")
    ] = None,
    anchor: Annotated[
        str | None,
        typer.Option(help="local, or a file of coefficients such as a result.json."),
    ] = None,
    rounds: Annotated[str, typer.Option(help="1.")] = "1",
    policy: Annotated[
        Path | None, typer.Option(help="site.toml whose [disclosure] all sites apply.")
    ] = None,
    no_disclosure: Annotated[
        bool, typer.Option("--no-disclosure", help="Switch the disclosure gate off.")
    ] = False,
    quorum: Annotated[
        int | None, typer.Option(min=1, help="Fewest sites to fit from.")
    ] = None,
    epsilon: Annotated[str | None, typer.Option(hidden=True)] = None,
    delta: Annotated[str | None, typer.Option(hidden=True)] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed; derived from the study by default.")
    ] = None,
    compare_pooled: Annotated[
        bool, typer.Option("--compare-pooled", help="Also fit the pooled table.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print result.json instead of a summary.")
    ] = False,
) -> int:
    """Divide a table by site and run the whole federation on this machine."""
    _only_what_there_is(release_set, rounds, epsilon, delta)
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
            policy=None if policy is None else read_policy(policy),
            disclosure=not no_disclosure,
            quorum=quorum,
            seed=seed,
            compare_pooled=compare_pooled,
            out=out,
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


def _only_what_there_is(
    release_set: str | None,
    rounds: str,
    epsilon: str | None,
    delta: str | None,
) -> None:
    """Refuse what is designed and not built, rather than leave it out unsaid."""
    asked = [
        ("--rounds", rounds, "one round", rounds == "1"),
        (
            "--release-set",
            release_set,
            f"the sets {', '.join(SETS)}",
            release_set in (None, *SETS),
        ),
        ("--epsilon", epsilon, "no noise", epsilon is None),
        ("--delta", delta, "no noise", delta is None),
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
