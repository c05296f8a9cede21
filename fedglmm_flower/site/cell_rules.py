"""Rules on counts that a release determines, of factors and of numeric values."""

from collections.abc import Iterator
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt

from fedglmm_flower.site.cells import CellCounts
from fedglmm_flower.site.finding import Finding
from fedglmm_flower.site.moments import Moments
from fedglmm_flower.site.policy import Policy
from fedglmm_flower.site.values import FEW_VALUES, MAX_TRACKED
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.release import Statistic

FloatArray = npt.NDArray[np.float64]
ROLES: Final = ("x", "y")


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
            if role == "x":
                yield _smallest("cells", label, "rows", table.rows, cells, least)
                continue
            for what, counts in table.named.items():
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
    if table.events is None or table.others is None:
        return
    for cell, yes, no in zip(cells, table.events, table.others, strict=True):
        if yes == 0 or no == 0:
            all_or_none = "no events" if yes == 0 else "events alone"
            yield Finding(
                "group-disclosure",
                not refused,
                f"{label}group disclosure: {all_or_none} in a cell; whoever knows a "
                "patient of it knows the outcome",
                cell,
            )


def nesting_rules(model: Model, moments: Moments, policy: Policy) -> Iterator[Finding]:
    """
    Differences of one-way margins where levels of two factors nest or exclude.

    Whoever knows that a level implies another subtracts their counts, at any order.
    """
    factor_at = [i for i, is_factor in enumerate(model.factors) if is_factor]
    for i, j in combinations(range(len(factor_at)), 2):
        one, other = model.atoms[factor_at[i]], model.atoms[factor_at[j]]
        smallest = np.inf
        where = what = ""
        table = moments.cells.table([i, j])
        for name, counts in {"rows": table.rows, **table.named}.items():
            grid = np.zeros((len(one.levels), len(other.levels)))
            grid[table.codes[:, 0], table.codes[:, 1]] = counts
            if name == "rows":
                empty = grid == 0
                present = [empty.all(axis=1), empty.all(axis=0)]
            first, second, total = grid.sum(axis=1), grid.sum(axis=0), grid.sum()
            differences = np.where(
                # Levels that exclude each other: what is left of the whole.
                empty & ~present[0][:, None] & ~present[1][None, :],
                total - first[:, None] - second[None, :],
                np.inf,
            )
            inner = (~empty).sum(axis=1, keepdims=True) == 1
            outer = (~empty).sum(axis=0, keepdims=True) == 1
            nested = ~empty & (inner | outer)
            differences = np.where(
                nested, np.abs(second[None, :] - first[:, None]), differences
            )
            positive = np.where(differences > 0, differences, np.inf)
            if positive.min() < smallest:
                a, b = np.unravel_index(int(positive.argmin()), positive.shape)
                smallest, what = float(positive.min()), name
                where = (
                    f"{one.name} = {one.levels[int(a)]} against "
                    f"{other.name} = {other.levels[int(b)]}"
                )
        seen = "no" if smallest == np.inf else f"{smallest:g} {what} as"
        yield Finding(
            "nesting",
            smallest >= policy.min_cell,
            f"nesting: {seen} difference of {one.name} and {other.name}, at least "
            f"{policy.min_cell} required (leave one out)",
            where if smallest < policy.min_cell else "",
        )


def value_rules(
    model: Model,
    moments: Moments,
    statistics: tuple[Statistic, ...],
    policy: Policy,
) -> Iterator[Finding]:
    """
    Values of numeric columns: few values are levels, and few exceptions are patients.

    Power sums of up to p determine up to p records that differ from all others, and
    so do the gamma functions of a count at p shapes.
    """
    powers = [
        e
        for s in statistics
        for e, factor in zip(s.monomial, model.factors, strict=True)
        if not factor
    ]
    least = max(policy.min_cell, max(powers, default=1) + 1)
    shapes = sum(s.role == "shape" for s in statistics)
    told = (model.response.name, f"response {model.response.name}")
    for name, found in moments.value_counts.items():
        needed = max(least, shapes + 1) if shapes and name in told else least
        if found.values is None or found.counts is None:
            differ = float(MAX_TRACKED)
        else:
            differ = moments.n_rows - float(found.counts.rows.max())
        yield Finding(
            "values",
            differ == 0 or differ >= needed,
            f"values: {differ:g} rows differ from the most frequent value of {name}, "
            f"at least {needed} required (leave it out)",
        )
        if found.values is None or found.counts is None:
            continue
        if not 1 < len(found.values) <= FEW_VALUES:
            continue
        cells = [f"{name} = {value:g}" for value in found.values]
        for what, counts in {"rows": found.counts.rows, **found.counts.named}.items():
            yield _smallest("values", name, what, counts, cells, policy.min_cell)


def demanded_cells(
    model: Model, statistics: tuple[Statistic, ...], role: str, policy: Policy
) -> dict[tuple[int, ...], int]:
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
        a cell of theirs may have: ``min_cell``, and more than ``s / d`` where a cell
        has ``s`` sums of ``d`` columns, since fewer rows have no more values than these
        sums fix.
    """
    inside: dict[tuple[int, ...], set[tuple[int, ...]]] = {(): set()}
    for s in statistics:
        if s.role != role:
            continue
        pairs = list(zip(s.monomial, model.factors, strict=True))
        at = tuple(i for i, (e, factor) in enumerate(pairs) if factor and e)
        part = tuple(0 if factor else e for e, factor in pairs)
        if at not in inside:
            for size in range(len(at) + 1):
                for subset in combinations(at, size):
                    inside.setdefault(subset, set())
        if any(part):
            inside[at].add(part)
    demands = {}
    for subset, parts in inside.items():
        columns = sum(any(column) for column in zip(*parts, strict=True))
        open_from = len(parts) // columns + 1 if columns else 1
        whole = role == "x" and not subset  # the rows of a site have their own rules
        demands[subset] = policy.min_cell if whole else max(policy.min_cell, open_from)
    return demands


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
    )
