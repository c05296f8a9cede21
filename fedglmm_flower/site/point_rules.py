"""The gate at a point: whoever chooses it chooses whose weight is large there."""

from collections.abc import Iterator

import numpy as np

from fedglmm_flower.glmm.rows import BoolArray, FloatArray
from fedglmm_flower.glmm.score import RowShares
from fedglmm_flower.site.dominance import Contributions
from fedglmm_flower.site.finding import Finding
from fedglmm_flower.site.gate import dominance_rules, rows_per_statistic, spread_rules
from fedglmm_flower.site.leverage import largest_leverage
from fedglmm_flower.site.moments import Moments
from fedglmm_flower.site.policy import Policy
from fedglmm_flower.site.unit_leverage import largest_unit_leverage
from fedglmm_flower.site.units import IntArray

_NEAR = 1e-9  # of 0 and 1: rounding of a change of coordinates


def point_findings(
    shares: RowShares,
    moments: Moments,
    units: IntArray | None,
    numbers: int,
    policy: Policy,
) -> tuple[Finding, ...]:
    """
    Rules for a score at a point that somebody else has chosen.

    A score is a sum over rows under weights that follow from the point.  Coefficients
    far out leave weight to a few rows, of the whole site or inside a level alone, so
    that the sum is theirs.  Every rule is therefore asked under the weights at the
    point: of the site, of each level and its complement, and of every combination of
    columns.  Where rows have units, a record is all rows of one.

    Parameters
    ----------
    shares : RowShares
        Weights of the rows at the point.
    moments : Moments
        Of the same rows, which were counted there.
    units : integer array or None
        The unit of each row.
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
    findings = [rows_per_statistic(moments.n_units, moments.counted, numbers, policy)]
    # Misfits are as few as a level's events, which the rule for cells lets out.
    whole = ((shares.information, policy.min_rows), (shares.score, policy.min_cell))
    names = ("the information", "the score")
    every = np.ones(len(shares.score), dtype=np.bool_)
    for name, (weight, least) in zip(names, whole, strict=True):
        parts = [(f"{name} at the point", every, least)]
        parts += [
            (f"{name} at the point {label}", inside, policy.min_cell)
            for label, inside in _levels(shares.columns)
        ]
        for label, inside, fewest in parts:
            told = Contributions()
            told.add({label: weight[inside]}, None if units is None else units[inside])
            findings.extend(dominance_rules(told.found(), policy))
            findings.extend(spread_rules(told.found(), fewest))
        findings += [
            _leverage(name, columns, weight, units, policy)
            for columns in (shares.columns, shares.within)
        ]
    return tuple(findings)


def _levels(columns: FloatArray) -> Iterator[tuple[str, BoolArray]]:
    """Rows with and without each 0/1 column, where there are any."""
    for j, column in enumerate(columns.T):
        one = np.abs(column - 1.0) < _NEAR
        if (one | (np.abs(column) < _NEAR)).all() and one.any() and not one.all():
            yield f"where 0/1 column {j} is 1", one
            yield f"where 0/1 column {j} is 0", ~one


def _leverage(
    name: str,
    columns: FloatArray,
    weight: FloatArray,
    units: IntArray | None,
    policy: Policy,
) -> Finding:
    roots = (columns * np.sqrt(weight)[:, None]).T
    if units is None:
        share = largest_leverage(lambda: [roots])
    else:
        share = largest_unit_leverage(lambda: [(roots, units)])
    return Finding(
        "leverage",
        share <= policy.max_leverage,
        f"leverage: at the point one record has up to {share:.1%} of a sum of squares "
        f"of the columns in {name}, at most {policy.max_leverage:.1%} required",
        found=share,
        needed=policy.max_leverage,
        at_most=True,
    )
