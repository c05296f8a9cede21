"""The disclosure gate: sums pass as the study accepts them, or not at all."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedglmm_flower.errors import DisclosureError
from fedglmm_flower.site.cell_rules import cell_rules, value_rules
from fedglmm_flower.site.dominance import Dominance
from fedglmm_flower.site.expressions import free_expressions
from fedglmm_flower.site.finding import Finding
from fedglmm_flower.site.moments import Moments
from fedglmm_flower.site.nesting import nesting_rules
from fedglmm_flower.site.policy import Policy
from fedglmm_flower.site.public_anchor import is_public
from fedglmm_flower.site.windows import windows_of
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.offers import Offer
from fedglmm_flower.study.release import ANCHORED, Statistic, release_statistics

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cleared:
    """
    Sums that passed the gate, unaltered, at the order that passed.

    Does not leave the site: a privacy mechanism, be it that of no noise, comes after.
    """

    moments: Moments
    release_set: str
    order: int
    statistics: tuple[Statistic, ...]
    values: FloatArray
    findings: tuple[Finding, ...]


def clear(
    model: Model, moments: Moments, policy: Policy, offers: tuple[Offer, ...]
) -> Cleared:
    """
    Pass the sums of the first acceptable release that keeps every rule.

    Single sums are never suppressed: neighbouring ones would restore them.

    Parameters
    ----------
    model : Model
        The question.
    moments : Moments
        Sums of one cluster.
    policy : Policy
        The officer's thresholds.
    offers : tuple of (str, int)
        Sets with their orders that the study accepts, the best first.

    Raises
    ------
    DisclosureError
        If none passes.  The message names counts and is local.
    """
    at = {s: i for i, s in enumerate(moments.statistics)}
    worst: tuple[Finding, ...] = ()
    for name, order in offers:
        statistics = release_statistics(model, name, order)
        if not all(s in at for s in statistics):
            continue  # no anchor exists here
        findings = inspect(model, moments, statistics, policy)
        if all(finding.passed for finding in findings):
            values = moments.values[[at[s] for s in statistics]]
            return Cleared(moments, name, order, statistics, values, findings)
        worst = findings
    failed = "; ".join(f.detail for f in worst if not f.passed)
    failed = failed or "the site has no estimate of its own, which the study demands"
    raise DisclosureError(
        f"disclosure: at the lowest order, {failed}; every rule of the policy is "
        "required; merge levels, leave out a column, or take no part in this study"
    )


def inspect(
    model: Model,
    moments: Moments,
    statistics: tuple[Statistic, ...],
    policy: Policy,
) -> tuple[Finding, ...]:
    """Apply every rule to the statistics that would be sent."""
    if not policy.enabled:
        return (Finding("gate", True, "the disclosure gate is switched off"),)
    n, sent, counted = moments.n_units, len(statistics), moments.counted
    findings = [
        Finding(
            "minimum-rows",
            n >= policy.min_rows,
            f"minimum rows: {n} {counted}, at least {policy.min_rows} required",
            found=n,
            needed=policy.min_rows,
        ),
        rows_per_statistic(n, counted, sent, policy),
    ]
    findings.extend(_expressions(model, policy))
    findings.extend(cell_rules(model, moments, statistics, policy))
    findings.extend(nesting_rules(model, moments, policy))
    findings.extend(value_rules(model, moments, statistics, policy))
    findings.extend(dominance_rules(moments.dominance, policy))
    findings.extend(dominance_rules(moments.measures, policy))
    findings.extend(dominance_rules(moments.by_level, policy))
    findings.extend(spread_rules(moments.measures, policy.min_effective_rows))
    # Inside a level the rule is that of cells; an absent one tells of nobody.
    present = {k: d for k, d in moments.by_level.items() if d.total > 0}
    findings.extend(spread_rules(present, policy.min_cell))
    findings.extend(_leverage(moments, statistics, policy))
    if any(s.role in ANCHORED for s in statistics):
        shares = {f"the {k} at the anchor": d for k, d in moments.at_anchor.items()}
        findings.extend(dominance_rules(shares, policy))
        # Whoever writes the study chooses a public anchor, and none its own estimate.
        public = is_public(statistics)
        needed = policy.min_rows if public else policy.min_effective_rows
        findings.extend(spread_rules(shares, needed))
    return tuple(findings)


def rows_per_statistic(n: int, counted: str, sent: int, policy: Policy) -> Finding:
    """Fewer numbers than rows, or units, by a factor: else they can be solved for."""
    needed = policy.rows_per_statistic * sent
    return Finding(
        "rows-per-statistic",
        n >= needed,
        f"rows per statistic: {n} {counted} for {sent} numbers, at least {needed:g} "
        "required",
        found=n / sent,
        needed=policy.rows_per_statistic,
    )


def spread_rules(shares: Mapping[str, Dominance], needed: float) -> Iterator[Finding]:
    """Weights that are all but zero for most rows are a window on the others."""
    for name, d in shares.items():
        what, level = _apart(name)
        yield Finding(
            "effective-rows",
            d.rows >= needed,
            f"effective rows: {what} is spread over {d.rows:.1f} rows, at least "
            f"{needed:g} required",
            "" if d.rows >= needed else level,
            found=d.rows,
            needed=needed,
        )


def _apart(name: str) -> tuple[str, str]:
    """What a share is of, and the level at fault, which no error message holds."""
    what, inside, level = name.partition(" x [")
    return (f"{what} in a level", level.removesuffix("]")) if inside else (name, "")


def _leverage(
    moments: Moments, statistics: tuple[Statistic, ...], policy: Policy
) -> Iterator[Finding]:
    """What can be combined to show one record by itself."""
    for window in windows_of(statistics):
        # What was not measured may be anything.
        share = moments.leverage.get(window, 1.0)
        yield Finding(
            "leverage",
            share <= policy.max_leverage,
            f"leverage: one record has up to {share:.1%} of a sum of {window.words}, "
            f"at most {policy.max_leverage:.1%} required (cut or transform a column "
            "with extreme values)",
            found=share,
            needed=policy.max_leverage,
            at_most=True,
        )


def _expressions(model: Model, policy: Policy) -> Iterator[Finding]:
    free = ", ".join(free_expressions(model))
    yield Finding(
        "expressions",
        not free or policy.allow_expressions,
        f"expressions: {free or 'none'} beyond columns, their logarithms and powers "
        "(compute the column in the table, or set allow_expressions)",
    )


def dominance_rules(
    shares: Mapping[str, Dominance], policy: Policy
) -> Iterator[Finding]:
    """No record, or unit, makes up most of a sum, nor do two."""
    for name, d in shares.items():
        one = d.largest / d.total if d.total > 0 else 0.0
        two = (d.largest + d.second) / d.total if d.total > 0 else 0.0
        kept = one < policy.dominance_one and two < policy.dominance_two
        what, level = _apart(name)
        yield Finding(
            "dominance",
            kept,
            f"dominance: the largest record of {what} is {one:.1%} and the two largest "
            f"{two:.1%} of its sum, below {policy.dominance_one:.1%} and "
            f"{policy.dominance_two:.1%} required",
            "" if kept else level,
            found=max(one / policy.dominance_one, two / policy.dominance_two),
            needed=1.0,
            at_most=True,
        )
