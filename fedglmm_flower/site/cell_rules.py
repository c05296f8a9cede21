"""Rules on counts that a release determines, of factors and of numeric values."""

from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from fedglmm_flower.site.cells import CellCounts
from fedglmm_flower.site.finding import Finding
from fedglmm_flower.site.moments import Moments
from fedglmm_flower.site.policy import Policy
from fedglmm_flower.site.solved_for import (
    rows_at_anchor,
    rows_fixed,
    rows_of_powers,
)
from fedglmm_flower.site.unit_values import UnitValues
from fedglmm_flower.site.values import ValueCounts
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.polynomial import Monomial
from fedglmm_flower.study.release import ANCHORED, Statistic

FloatArray = npt.NDArray[np.float64]
ROLES: Final = ("x", "y")
Subset: TypeAlias = tuple[int, ...]


def cell_rules(
    model: Model,
    moments: Moments,
    statistics: tuple[Statistic, ...],
    policy: Policy,
) -> Iterator[Finding]:
    """
    Counts that the release determines, by inclusion and exclusion.

    Sums of products of indicators give all cells of counts over these factors; sums
    with the response give its events and non-events.
    """
    factor_at = [i for i, is_factor in enumerate(model.factors) if is_factor]
    for role in ROLES:
        demands = demanded_cells(model, statistics, role, policy)
        for subset in sorted(demands, key=lambda s: (len(s), s)):
            least = demands[subset]
            table = moments.cells.table([factor_at.index(i) for i in subset])
            label = " x ".join(model.atoms[i].name for i in subset) or "all rows"
            cells = [_cell(model, subset, codes) for codes in table.codes]
            told = _told(table, moments)
            rows = told.pop(moments.counted)
            if role == "x":
                yield _smallest("cells", label, moments.counted, rows, cells, least)
                continue
            for what, counts in told.items():
                yield _smallest("response-cells", label, what, counts, cells, least)
            yield from _uniform(table, cells, policy)


def _cell(model: Model, subset: tuple[int, ...], codes: npt.NDArray[np.int64]) -> str:
    levels = [model.atoms[i].levels[c] for i, c in zip(subset, codes, strict=True)]
    names = [model.atoms[i].name for i in subset]
    pairs = zip(names, levels, strict=True)
    return ", ".join(f"{name} = {level}" for name, level in pairs) or "all rows"


def _uniform(table: CellCounts, cells: list[str], policy: Policy) -> Iterator[Finding]:
    """Who is known to be in a cell is known to have the response."""
    refused = policy.one_outcome == "refuse"
    label = "" if refused else "WARNING "
    # Of counts that are no trials only their absence is known from a sum.
    events = table.event_rows if table.events is None else table.events
    others = table.rows if table.others is None else table.others
    if events is None:
        return
    for cell, yes, no in zip(cells, events, others, strict=True):
        if yes == 0 or no == 0:
            all_or_none = "no events" if yes == 0 else "events alone"
            yield Finding(
                "group-disclosure",
                not refused,
                f"{label}group disclosure: {all_or_none} in a cell; whoever knows a "
                "patient of it knows the outcome",
                cell,
            )


def value_rules(
    model: Model,
    moments: Moments,
    statistics: tuple[Statistic, ...],
    policy: Policy,
) -> Iterator[Finding]:
    """
    Values of numeric columns: few values are levels, and few exceptions are patients.

    Power sums determine the few records that differ from all others, see
    :mod:`~fedglmm_flower.site.solved_for`, and so do the gamma functions of a count at
    p shapes up to p of them.  Together these tell how many rows have each count,
    however many counts there are; tails of single rows are ordinary, so that the
    officer is warned of them.
    """
    powers = [
        e
        for s in statistics
        for e, factor in zip(s.monomial, model.factors, strict=True)
        if not factor
    ]
    least = max(policy.min_cell, rows_of_powers(max(powers, default=1)) + 1)
    shapes = sum(s.role == "shape" for s in statistics)
    told = (model.response.name, f"response {model.response.name}")
    for name, found in moments.value_counts.items():
        needed = max(least, shapes + 1) if shapes and name in told else least
        differ = found.differing(moments.n_units)
        yield Finding(
            "values",
            differ == 0 or differ >= needed,
            f"values: {differ:g} {moments.counted} differ from the most frequent value "
            f"of {name}, at least {needed} required (leave it out)",
            found=differ or None,
            needed=needed,
        )
        few = found.few()
        if few is None:
            if shapes and name in told:
                yield from _frequencies(name, found, moments.counted, policy.min_cell)
            continue
        values, table = few
        cells = [f"{name} = {value:g}" for value in values]
        for what, counts in _told(table, moments).items():
            yield _smallest("values", name, what, counts, cells, policy.min_cell)


def _frequencies(
    name: str, found: ValueCounts | UnitValues, counted: str, least: int
) -> Iterator[Finding]:
    """Warn of counts that few have, of whom a negative binomial release tells."""
    told = f"WARNING values: the release tells how many rows have each {name}"
    cut = "(cut the largest counts, or accept it)"
    if isinstance(found, UnitValues) or found.values is None or found.counts is None:
        few = f"it is not known here which {name} fewer than {least} {counted} have"
        yield Finding("values", True, f"{told}; {few} {cut}")
        return
    rows = found.counts.rows
    rare = int(((rows > 0) & (rows < least)).sum())
    if rare:
        few = f"{rare} of its values fewer than {least} {counted} have"
        largest = f"largest {name} = {found.values[-1]:g}: {rows[-1]:g} {counted}"
        yield Finding("values", True, f"{told}, and {few} {cut}", largest)


def demanded_cells(
    model: Model, statistics: tuple[Statistic, ...], role: str, policy: Policy
) -> dict[Subset, int]:
    """
    Sets of factors whose joint counts are determined, each with its smallest cell.

    Parameters
    ----------
    model : Model
        The question.
    statistics : tuple of Statistic
        What would be sent.
    role : {"x", "y"}
        Counts of rows, or of the response.
    policy : Policy
        The officer's thresholds.

    Returns
    -------
    dict
        Factors, by their place among the atoms, with the fewest rows or responses that
        a cell of theirs may have: ``min_cell``, and more than the sums in a cell can be
        solved for.
    """
    inside: dict[Subset, set[Monomial]] = {(): set()}
    weighed: dict[Subset, Counter[tuple[str | int, ...]]] = {}
    for s in statistics:
        if not _tells(s, role):
            continue
        pairs = list(zip(s.monomial, model.factors, strict=True))
        at = tuple(i for i, (e, factor) in enumerate(pairs) if factor and e)
        part = tuple(0 if factor else e for e, factor in pairs)
        for size in range(len(at) + 1):
            for subset in combinations(at, size):
                inside.setdefault(subset, set())
        if s.role in ANCHORED:
            # By inclusion and exclusion such a sum is told of every cell too.
            weighed.setdefault(at, Counter())[
                s.measure, *(s.monomial[i] for i in at)
            ] += 1
        elif any(part):
            inside[at].add(part)
    numbers = model.factors.count(False)
    demands = {}
    for subset, parts in inside.items():
        most = max(weighed.get(subset, Counter()).values(), default=0)
        open_from = max(rows_fixed(parts), rows_at_anchor(most, numbers)) + 1
        whole = role == "x" and not subset  # the rows of a site have their own rules
        demands[subset] = policy.min_cell if whole else max(policy.min_cell, open_from)
    return demands


def _tells(s: Statistic, role: str) -> bool:
    """Whether a sum is of the rows, or of the response, of some cells."""
    if s.role not in ANCHORED:
        return s.role == role
    return role == "x" or s.measure in ("events", "others")


def rows_fixed_by(statistics: tuple[Statistic, ...]) -> int:
    """
    Rows of whom a release of these rows alone would fix every value.

    Two answers differ by the sums of the rows that only one of them has.
    """
    return rows_fixed({s.monomial for s in statistics if any(s.monomial)})


def _told(table: CellCounts, moments: Moments) -> dict[str, FloatArray]:
    """Counts by their name for people: of rows, or of units."""
    if not moments.has_units:
        return {moments.counted: table.rows, **table.named}
    told = {moments.counted: table.rows}
    for name, counts in table.named.items():
        # Of units, those with events are those of rows with events.
        told[f"{moments.counted} with {name.removeprefix('rows with ')}"] = counts
    return told


def _smallest(
    rule: str,
    label: str,
    what: str,
    counts: FloatArray,
    cells: list[str],
    least: int,
) -> Finding:
    positive = np.where(counts > 0, counts, np.inf)
    at = int(positive.argmin())
    smallest = None if np.isinf(positive[at]) else float(positive[at])
    passed = smallest is None or smallest >= least
    seen = "no" if smallest is None else f"{smallest:g}"
    return Finding(
        rule,
        passed,
        f"smallest cell: {seen} {what} in a cell of {label}, at least "
        f"{least} required (merge its levels)",
        "" if passed else cells[at],
        found=smallest,
        needed=least,
    )
