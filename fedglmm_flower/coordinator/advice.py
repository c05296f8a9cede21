"""Warnings of an approximate fit, with advice that can be followed."""

from collections.abc import Mapping
from math import ceil
from typing import Any

from fedglmm_flower.coordinator.fitting import Fitted
from fedglmm_flower.coordinator.opening import Opened
from fedglmm_flower.coordinator.unreached import UNMATCHED
from fedglmm_flower.errors import StudyError
from fedglmm_flower.site.policy import Policy
from fedglmm_flower.study.offers import can_anchor
from fedglmm_flower.study.release import MAX_ORDER
from fedglmm_flower.study.study import Study

# Names that one sentence holds.
MOST_NAMES = 5
# Residual from which a missed moment is worth a word.
_WORTH_A_WORD = 1e-3


def missed_warnings(study: Study, fitted: Fitted) -> list[str]:
    """Which sites' sums the pseudo-data miss, and what may help."""
    if fitted.residual <= _WORTH_A_WORD:
        return []
    sites: dict[str, float] = {}
    for block, residual in fitted.residuals.items():
        sites[block[0]] = max(sites.get(block[0], 0.0), residual)
    least = min(UNMATCHED, fitted.residual)
    worst = sorted((s for s in sites if sites[s] >= least), key=lambda s: -sites[s])
    found = [
        f"the pseudo-data of {named(worst)} miss a released sum by up to "
        f"{fitted.residual:.2g} standard deviations: usual where a site has fewer rows "
        "than numbers to match, or a column with heavy tails"
        + _of_columns(study, "take its logarithm")
    ]
    if fitted.reduced:
        found.append(
            f"the moments of {named(fitted.reduced)} are out of reach (a few patients "
            "far from all others): what is known at the anchor is used of them, and "
            "first moments; ask there for a cell that is wrong, or fit without to see "
            "what hangs on it"
        )
    return found


def _of_columns(study: Study, first: str) -> str:
    """What can be done about a continuous column, if there is one."""
    model = study.model
    columns = [model.columns.get(atom.name) for atom in model.atoms]
    names = [c.name for c in columns if c is not None and c.kind == "continuous"]
    if not names:
        return ""
    open_ones = [
        c.name
        for c in columns
        if c is not None and c.name in names and None in (c.low, c.high)
    ]
    if not open_ones:
        return f" ({first})"
    return f" ({first}, or declare the bounds of {named(open_ones)})"


def better_set(study: Study, opened: Mapping[str, Opened]) -> str:
    """
    What could be asked next time for a more accurate fit.

    Parameters
    ----------
    study : Study
        What was asked.
    opened : mapping
        Sites that are used.
    """
    name, order = study.offers[0]
    sent = {(o.released.release_set, o.released.order) for o in opened.values()}
    if sent != {(name, order)}:
        return (
            "some sites' disclosure policy let out less than was asked, and a higher "
            "order would not change that: fewer columns or levels would"
        )
    if name == "canonical" and can_anchor(study.model):
        return "the anchored set tells more with as many numbers"
    if order == MAX_ORDER:
        return "no higher order exists: fewer columns leave fewer products to miss"
    try:
        count = len(study.statistics(order + 1, name))
    except StudyError:
        return "a higher order has too many numbers: leave out columns or levels"
    rows = max(Policy.min_rows, ceil(Policy.rows_per_statistic * count))
    able = sum(all(t.n_rows >= rows for t in o.targets) for o in opened.values())
    if not able:
        return (
            f"order {order + 1} has {count} numbers, which the default disclosure "
            f"policy lets out of no site here, as it asks for {rows} rows: fewer "
            "columns or levels need fewer"
        )
    return (
        f"ask for order {order + 1}: {count} numbers, which the default disclosure "
        f"policy lets out from {rows} rows on, and {able} of {len(opened)} sites have"
    )


def large_warnings(
    study: Study,
    opened: Mapping[str, Opened],
    fixed: list[dict[str, Any]],
    fitted: Fitted,
) -> list[str]:
    """Estimates that the approximation may move by a tenth of a standard error."""
    error = None if fitted.accuracy is None else fitted.accuracy.error
    if error is None:
        return []
    large = [
        row["name"]
        for row, size in zip(fixed, error, strict=True)
        if row["se"] and size > 0.1 * row["se"]
    ]
    if not large:
        return []
    text = (
        "the approximation may move these estimates by more than 0.1 standard "
        f"errors: {', '.join(large)}; see approx_error; {better_set(study, opened)}"
    )
    return [text]


def named(names: list[str] | tuple[str, ...]) -> str:
    """
    Names in a sentence, cut after a few.

    Examples
    --------
    >>> named(["a", "b", "c", "d", "e", "f", "g"])
    "'a', 'b', 'c', 'd', 'e' and 2 more"
    """
    shown = ", ".join(repr(name) for name in names[:MOST_NAMES])
    more = len(names) - MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
