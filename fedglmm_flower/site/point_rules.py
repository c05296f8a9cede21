"""The gate at a point: whoever chooses it chooses whose weight is large there."""

from collections.abc import Iterator

import numpy as np

from fedglmm_flower.glmm.rows import FloatArray
from fedglmm_flower.glmm.score import RowShares
from fedglmm_flower.site.dominance import Dominance, update_dominance
from fedglmm_flower.site.finding import Finding
from fedglmm_flower.site.leverage import largest_leverage
from fedglmm_flower.site.policy import Policy

_NEAR = 1e-9  # of 0 and 1: rounding of a change of coordinates


def point_findings(
    shares: RowShares, numbers: int, policy: Policy
) -> tuple[Finding, ...]:
    """
    Rules for a score at a point that somebody else has chosen.

    A score is a sum over rows under weights that follow from the point.  Coefficients
    far out leave weight to a few rows, of the whole site or inside a level alone, so
    that the sum is theirs.  Every rule is therefore asked under the weights at the
    point: of the site, of each level and its complement, and of every combination of
    columns.

    Parameters
    ----------
    shares : RowShares
        Weights of the rows at the point.
    numbers : int
        That would leave.
    policy : Policy
        The officer's thresholds.

    Returns
    -------
    tuple of Finding
        Empty without a gate.  They stay at the site.
    """
    if not policy.enabled:
        return ()
    n, needed = len(shares.score), policy.rows_per_statistic * numbers
    findings = [
        Finding(
            "rows-per-statistic",
            n >= needed,
            f"rows per statistic: {n} rows for {numbers} numbers, at least {needed:g} "
            "required",
        )
    ]
    # Misfits are as few as a level's events, which the rule for cells lets out.
    whole = ((shares.information, policy.min_rows), (shares.score, policy.min_cell))
    names = ("the information", "the score")
    for name, (weight, least) in zip(names, whole, strict=True):
        findings.extend(_spread(name, weight, least, policy))
        for label, inside in _levels(shares.columns):
            part = weight[inside]
            findings.extend(_spread(f"{name} {label}", part, policy.min_cell, policy))
        findings += [
            _leverage(name, columns, weight, policy)
            for columns in (shares.columns, shares.within)
        ]
    return tuple(findings)


def _levels(columns: FloatArray) -> Iterator[tuple[str, FloatArray]]:
    """Rows with and without each 0/1 column, where there are any."""
    for j, column in enumerate(columns.T):
        one = np.abs(column - 1.0) < _NEAR
        if (one | (np.abs(column) < _NEAR)).all() and one.any() and not one.all():
            yield f"where 0/1 column {j} is 1", one
            yield f"where 0/1 column {j} is 0", ~one


def _spread(
    name: str, weight: FloatArray, least: float, policy: Policy
) -> Iterator[Finding]:
    parts: dict[str, Dominance] = {}
    update_dominance(parts, {name: weight.copy()})
    d = parts[name]
    one = d.largest / d.total if d.total > 0 else 0.0
    two = (d.largest + d.second) / d.total if d.total > 0 else 0.0
    yield Finding(
        "dominance",
        one < policy.dominance_one and two < policy.dominance_two,
        f"dominance: the largest record of {name} at the point is {one:.1%} and the "
        f"two largest {two:.1%}, below {policy.dominance_one:.1%} and "
        f"{policy.dominance_two:.1%} required",
    )
    yield Finding(
        "effective-rows",
        d.rows >= least,
        f"effective rows: {name} at the point is spread over {d.rows:.1f} rows, at "
        f"least {least:g} required",
    )


def _leverage(
    name: str, columns: FloatArray, weight: FloatArray, policy: Policy
) -> Finding:
    roots = (columns * np.sqrt(weight)[:, None]).T
    share = largest_leverage(lambda: [roots])
    return Finding(
        "leverage",
        share <= policy.max_leverage,
        f"leverage: at the point one record has up to {share:.1%} of a sum of squares "
        f"of the columns in {name}, at most {policy.max_leverage:.1%} required",
    )
