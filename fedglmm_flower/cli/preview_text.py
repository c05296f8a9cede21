"""A preview as JSON and for people: rules as a table, numbers in words."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from fedglmm_flower.cli.preview import Part, Preview
from fedglmm_flower.site import SiteConfig
from fedglmm_flower.site.policy import Policy
from fedglmm_flower.site.rule_table import rule_table
from fedglmm_flower.study import Study

WIDTH = 118


def preview_plain(
    shown: Preview, asked: Study, here: SiteConfig, version: str
) -> dict[str, Any]:
    """Plain JSON values."""
    head = {
        "site": here.site,
        "study": asked.digest,
        "approved": asked.digest in here.approved,
        "policy": version,
        "release_set": None if shown.refused else shown.offer[0],
        "order": None if shown.refused else shown.offer[1],
        "n_rows": shown.n_rows,
        "n_missing": shown.n_missing,
        "outside": _outside(shown),
        "further": None if shown.further is None else asdict(shown.further),
    }
    if not asked.clusters:
        (part,) = shown.parts
        return {**head, "n_units": part.units, **part.plain(here.policy)}
    return {
        **head,
        "small_clusters": shown.small,
        "clusters": [
            {
                "cluster": list(part.path),
                "n_rows": part.n_rows,
                "n_units": part.units,
                **part.plain(here.policy),
            }
            for part in shown.parts
        ],
    }


def print_preview(
    shown: Preview, asked: Study, here: SiteConfig, version: str, console: Console
) -> None:
    """What would leave and what every rule says of it."""
    say = _sayer(console)
    would = "nothing to" if shown.refused else "to"
    approved = "yes" if asked.digest in here.approved else "no, so nothing is sent"
    say(f"site {here.site}: would send {would} study {asked.digest[:16]}...")
    say(f"  approved here: {approved}")
    say(f"  policy: {version}")
    say(f"  rows {shown.n_rows}, dropped for missing values {shown.n_missing}")
    name, order = shown.offer
    if shown.refused:
        say(f"  no set passes; rules of {name}, order {order}")
        say(f"  outside only this is told: {_outside(shown)}\n")
    else:
        asked_first = f"{asked.release_set}, order {asked.order}"
        say(f"  {name} set, order {order} ({asked_first} asked)\n")
    if shown.small is not None:
        told = shown.small["n_rows"]
        rows = "too few rows to be counted" if told is None else f"{told} rows"
        done = shown.small["treatment"].replace("_", " ")
        say(f"  {shown.small['clusters']} clusters are {done}, {rows}\n")
    if shown.further is not None:
        later = shown.further
        say(
            f"  afterwards: up to {later.rounds} likelihoods of {later.numbers} "
            "numbers each, at points that the coordinator chooses; the gate judges "
            "them then; "
            f"by values_per_number {later.allowed} of them are answered; "
            f"{later.answered} were asked so far\n"
        )
        if later.allowed:
            say(
                "  WARNING many of them may tell how many rows have each whole number "
                "of a column, such as an age, in each level, also where it is one row\n"
            )
    for part in shown.parts:
        if asked.clusters:
            kept = "" if part.lines else ", does not leave by its name"
            say(f"  cluster {':'.join(part.path)}: {part.n_rows} rows{kept}")
        _print_part(part, here.policy, console)
        if asked.clusters:
            say("")


def _print_part(part: Part, policy: Policy, console: Console) -> None:
    """Rules of a cluster, what is refused or warned of, and its numbers."""
    say = _sayer(console)
    if part.units is not None:
        say(f"  {part.units} units ({policy.unit}), which the rules count")
    _print_rules(part, policy, console)
    for finding in part.findings:
        if not finding.passed or "WARNING" in finding.detail:
            seen = finding.detail + (f": {finding.cell}" if finding.cell else "")
            say(f"  {'pass' if finding.passed else 'FAIL'}  {seen}")
    if part.lines:
        say(f"\n  {len(part.lines)} numbers:")
    for what, value in part.lines:
        say(f"  {value:>24.10g}  {what}")


def _print_rules(part: Part, policy: Policy, console: Console) -> None:
    if not policy.enabled:
        _sayer(console)("  the disclosure gate is switched off: no rule is applied")
        return
    table = Table("rule", "judged", "required", "worst found here", "outcome",
                  box=box.SIMPLE)  # fmt: skip
    for line in rule_table(part.findings, policy):
        style = "bold red" if line.failed else ""
        words = (line.rule, line.what, line.required, line.worst, line.outcome)
        table.add_row(*words, style=style)
    console.print(table)


def _outside(shown: Preview) -> str | None:
    """All that a coordinator is told of a refusal."""
    refused = shown.refused
    return None if refused is None else f"{refused.code}: {refused.public}"


def _sayer(console: Console) -> Callable[[str], None]:
    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    return say
