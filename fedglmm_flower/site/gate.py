"""The disclosure gate: sums pass whole, at a lower order, or not at all."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedglmm_flower.errors import DisclosureError
from fedglmm_flower.site.cell_rules import cell_rules, nesting_rules, value_rules
from fedglmm_flower.site.expressions import free_expressions
from fedglmm_flower.site.finding import Finding
from fedglmm_flower.site.moments import Moments
from fedglmm_flower.site.policy import Policy
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.release import Statistic, effective_order

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Cleared:
    """
    Sums that passed the gate, unaltered, at the order that passed.

    Does not leave the site: a privacy mechanism, be it that of no noise, comes after.
    """

    moments: Moments
    order: int
    statistics: tuple[Statistic, ...]
    values: FloatArray
    findings: tuple[Finding, ...]


def clear(model: Model, moments: Moments, policy: Policy) -> Cleared:
    """
    Pass the sums at the highest order that keeps every rule.

    Single sums are never suppressed: neighbouring ones would restore them.

    Parameters
    ----------
    model : Model
        The question.
    moments : Moments
        Sums of one cluster.
    policy : Policy
        The officer's thresholds.

    Raises
    ------
    DisclosureError
        If no order passes.  The message names counts and is local.
    """
    highest = effective_order(model, moments.order)
    lowest = highest if model.family == "gaussian" else 1
    worst: tuple[Finding, ...] = ()
    for order in range(highest, lowest - 1, -1):
        chosen = np.array([s.degree <= order for s in moments.statistics])
        statistics = tuple(
            s for s, c in zip(moments.statistics, chosen, strict=True) if c
        )
        findings = inspect(model, moments, statistics, policy)
        if all(finding.passed for finding in findings):
            values = moments.values[chosen]
            return Cleared(moments, order, statistics, values, findings)
        worst = findings
    failed = "; ".join(f.detail for f in worst if not f.passed)
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
    n, sent = moments.n_rows, len(statistics)
    needed = policy.rows_per_statistic * sent
    findings = [
        Finding(
            "minimum-rows",
            n >= policy.min_rows,
            f"minimum rows: {n} rows, at least {policy.min_rows} required",
        ),
        Finding(
            "rows-per-statistic",
            n >= needed,
            f"rows per statistic: {n} rows for {sent} numbers, at least {needed:g} "
            "required",
        ),
    ]
    findings.extend(_expressions(model, policy))
    findings.extend(cell_rules(model, moments, statistics, policy))
    findings.extend(nesting_rules(model, moments, policy))
    findings.extend(value_rules(model, moments, statistics, policy))
    findings.extend(_dominance(moments, policy))
    return tuple(findings)


def _expressions(model: Model, policy: Policy) -> Iterator[Finding]:
    free = ", ".join(free_expressions(model))
    yield Finding(
        "expressions",
        not free or policy.allow_expressions,
        f"expressions: {free or 'none'} beyond columns, their logarithms and powers "
        "(compute the column in the table, or set allow_expressions)",
    )


def _dominance(moments: Moments, policy: Policy) -> Iterator[Finding]:
    for name, d in moments.dominance.items():
        one = d.largest / d.total if d.total > 0 else 0.0
        two = (d.largest + d.second) / d.total if d.total > 0 else 0.0
        yield Finding(
            "dominance",
            one < policy.dominance_one and two < policy.dominance_two,
            f"dominance: the largest record of {name} is {one:.1%} and the two largest "
            f"{two:.1%} of its sum, below {policy.dominance_one:.1%} and "
            f"{policy.dominance_two:.1%} required",
        )
