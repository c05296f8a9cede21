"""The disclosure gate: sums pass whole, at a lower order, or not at all."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from fedglmm_flower.errors import DisclosureError
from fedglmm_flower.site.moments import Moments
from fedglmm_flower.site.policy import Policy
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.release import Statistic, effective_order

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Finding:
    """
    What one rule saw; local, for the officer.

    Parameters
    ----------
    rule : str
        Name of the rule.
    passed : bool
        Whether the rule is kept.
    detail : str
        What was found and what is required.
    """

    rule: str
    passed: bool
    detail: str


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
    findings.extend(_cells(model, moments, statistics, policy))
    findings.extend(_dominance(moments, policy))
    return tuple(findings)


def _cells(
    model: Model,
    moments: Moments,
    statistics: tuple[Statistic, ...],
    policy: Policy,
) -> Iterator[Finding]:
    """
    Counts that the release determines, by inclusion and exclusion.

    Sums of products of indicators, for every subset of factors that the release
    crosses, give the whole table of counts over these factors; sums with the response
    give its events and non-events.
    """
    factor_at = [i for i, is_factor in enumerate(model.factors) if is_factor]
    names = [model.atoms[i].name for i in factor_at]
    for subset in sorted(_crossed(model, statistics, "x"), key=lambda s: (len(s), s)):
        table = moments.cells.table([factor_at.index(i) for i in subset])
        label = " x ".join(names[factor_at.index(i)] for i in subset) or "all rows"
        yield _smallest("cells", label, "rows", table.rows, policy)
    if moments.cells.events is None or moments.cells.others is None:
        return
    for subset in sorted(_crossed(model, statistics, "y"), key=lambda s: (len(s), s)):
        table = moments.cells.table([factor_at.index(i) for i in subset])
        label = " x ".join(names[factor_at.index(i)] for i in subset) or "all rows"
        for what, counts in (("events", table.events), ("others", table.others)):
            if counts is not None:
                yield _smallest("response-cells", label, what, counts, policy)


def _crossed(
    model: Model, statistics: tuple[Statistic, ...], role: str
) -> set[tuple[int, ...]]:
    """Sets of factors whose joint counts are determined, with all their subsets."""
    found: set[tuple[int, ...]] = {()}
    for s in statistics:
        if s.role != role:
            continue
        continuous = any(
            e for e, f in zip(s.monomial, model.factors, strict=True) if not f
        )
        if not continuous:
            at = tuple(i for i, e in enumerate(s.monomial) if e)
            for size in range(len(at) + 1):
                found.update(combinations(at, size))
    return found


def _smallest(
    rule: str, label: str, what: str, counts: FloatArray, policy: Policy
) -> Finding:
    positive = counts[counts > 0]
    smallest = float(positive.min()) if len(positive) else None
    passed = smallest is None or smallest >= policy.min_cell
    seen = "no" if smallest is None else f"{smallest:g}"
    return Finding(
        rule,
        passed,
        f"smallest cell: {seen} {what} in a cell of {label}, at least "
        f"{policy.min_cell} required (merge its levels)",
    )


def _dominance(moments: Moments, policy: Policy) -> Iterator[Finding]:
    for name, d in moments.dominance.items():
        one = d.largest / d.total if d.total > 0 else 0.0
        two = (d.largest + d.second) / d.total if d.total > 0 else 0.0
        yield Finding(
            "dominance",
            one < policy.dominance_one and two < policy.dominance_two,
            f"dominance: the largest record of {name} is {one:.0%} and the two largest "
            f"{two:.0%} of its sum, below {policy.dominance_one:.0%} and "
            f"{policy.dominance_two:.0%} required",
        )
