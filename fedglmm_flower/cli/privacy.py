"""``fedglmm privacy``: what noise will cost, before anybody is asked."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fedglmm_flower.errors import PolicyError, UsageError
from fedglmm_flower.study.whole_file import SHARED, write_whole

app = typer.Typer(
    help="Plan for differential privacy.", no_args_is_help=True, rich_markup_mode=None
)
_WIDTH = 88
_MOST_ROWS = 10**9
_MOST_SHOWN = 9


@app.callback()
def _group() -> None:
    """Plan for differential privacy."""


@app.command("plan")
def plan(
    study: Annotated[Path, typer.Argument(help="study.toml; no row is read.")],
    rows: Annotated[str, typer.Option(help="Rows of each site: 400,900,1200.")],
    epsilon: Annotated[
        str | None, typer.Option(help="Epsilons of one release: 0.5,1,3.")
    ] = None,
    delta: Annotated[float, typer.Option(help="Goes with epsilon.")] = 1e-6,
    relation: Annotated[
        str, typer.Option(help="zero_out, add_remove or replace_one.")
    ] = "zero_out",
    clipping_norm: Annotated[
        float, typer.Option(help="Largest norm of a record.")
    ] = 1.25,
    site_sd: Annotated[
        float, typer.Option(min=0.0, help="Expected sd of the random intercepts.")
    ] = 0.3,
    anchor: Annotated[
        Path | None,
        typer.Option(help="Expected coefficients; the study's anchor by default."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(help="Also write one page that works offline.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of tables.")
    ] = False,
) -> None:
    """Show how noise widens the intervals of a study, from its columns alone."""
    from fedglmm_flower.coordinator.noise_plan import EPSILONS, Plan, plan_of
    from fedglmm_flower.report.plan_page import plan_page
    from fedglmm_flower.site.privacy import Privacy
    from fedglmm_flower.study import read_study
    from fedglmm_flower.study.anchor_file import read_anchor

    epsilons: tuple[float, ...] = EPSILONS
    if epsilon is not None:
        epsilons = tuple(_numbers("--epsilon", epsilon))
    try:
        for one in epsilons:
            chosen: Any = relation
            Privacy("plan", one, delta, 1000.0, chosen, clipping_norm)
    except PolicyError as error:
        raise UsageError(f"privacy plan: {error.detail}") from None
    asked = Plan(
        read_study(study),
        tuple(_count(value) for value in _numbers("--rows", rows)),
        epsilons,
        delta,
        relation,
        clipping_norm,
        site_sd,
        () if anchor is None else tuple(sorted(read_anchor(anchor).items())),
    )
    found = plan_of(asked)
    if html is not None:
        write_whole(html, plan_page(found).encode(), SHARED)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    _show(found)
    if html is not None:
        typer.echo(f"\n{html}")


def _numbers(option: str, text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found:
        raise UsageError(
            f"privacy plan: {option} {text!r}: is no list of numbers; numbers with "
            "commas between them are required; write for example 400,900"
        )
    return found


def _count(value: float) -> int:
    if not (value >= 1 and value == int(value) and value <= _MOST_ROWS):
        raise UsageError(
            f"privacy plan: --rows {value:g}: is no number of rows; whole numbers "
            "from 1 are required; correct it"
        )
    return int(value)


def _show(found: dict[str, Any]) -> None:
    console = Console(width=_WIDTH, highlight=False)
    rows = found["rows"]
    console.print(
        f"{found['study']['formula']}: {len(rows)} sites of {min(rows)} to {max(rows)} "
        f"rows; relation {found['relation']}, delta {found['delta']:g}; no row was read"
    )
    for choice in found["choices"]:
        best = next(s for s in choice["sets"] if s["set"] == choice["best"])
        console.print(
            f"\nepsilon {choice['epsilon']:g}: somebody undecided whether a record is "
            f"there becomes at most {100 * choice['odds']:.0f} % sure; every sum is "
            f"blurred by {choice['noise_in_patients']:.1f} of the largest records"
        )
        table = Table("set", "numbers", "total error", *found["terms"], "light")
        for one in choice["sets"]:
            cells = [f"{term['inflation']:.2f}" for term in one["terms"]]
            mark = " *" if one is best else ""
            light = "useless" if one["useless"] else one["light"]
            table.add_row(
                one["set"] + mark,
                str(one["statistics"]),
                f"{one['mean_total']:.2f}",
                *cells,
                light,
            )
        console.print(table)
    console.print(
        "* least expected error, noise and approximation together, in standard errors "
        "of a fit of all rows; under a term: growth of its standard error. green to "
        f"{found['thresholds']['green']:g}, amber to {found['thresholds']['amber']:g}, "
        "red beyond or where the approximation moves an estimate by half an interval's "
        "standard error"
    )
    console.print("\nLargest growth of a standard error, by rows of every site:")
    epsilons = [choice["epsilon"] for choice in found["choices"]]
    table = Table("rows", *(f"eps {epsilon:g}" for epsilon in epsilons))
    sizes = dict.fromkeys(cell["rows"] for cell in found["grid"])
    for n in sizes:
        shown = [_cell(cell) for cell in found["grid"] if cell["rows"] == n]
        table.add_row(str(n), *shown)
    console.print(table)


def _cell(cell: dict[str, Any]) -> str:
    grown = cell["largest_inflation"]
    size = f">{_MOST_SHOWN}" if grown > _MOST_SHOWN else f"{grown:.2f}"
    return f"{size} {cell['light']}"
