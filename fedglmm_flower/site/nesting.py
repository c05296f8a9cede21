"""The rule on differences of margins, where levels of two factors nest or exclude."""

from collections.abc import Iterator
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt

from fedglmm_flower.site.cells import CellCounts
from fedglmm_flower.site.finding import Finding
from fedglmm_flower.site.moments import Moments
from fedglmm_flower.site.policy import Policy
from fedglmm_flower.study.model import Model

FloatArray = npt.NDArray[np.float64]
# Cells of units that are held at once.
_HELD: Final = 4_000_000


def nesting_rules(model: Model, moments: Moments, policy: Policy) -> Iterator[Finding]:
    """
    Differences of one-way margins where levels of two factors nest or exclude.

    Whoever knows that a level implies another subtracts their counts, at any order.
    """
    factor_at = [i for i, is_factor in enumerate(model.factors) if is_factor]
    for i, j in combinations(range(len(factor_at)), 2):
        one, other = model.atoms[factor_at[i]], model.atoms[factor_at[j]]
        shape = (len(one.levels), len(other.levels))
        smallest = np.inf
        where = what = ""
        empty = next(_grids(moments.cells.table([i, j]), "rows", shape))[0] == 0
        present = [~empty.all(axis=1), ~empty.all(axis=0)]
        # Levels that exclude each other: what is left of the whole.
        apart = empty & present[0][:, None] & present[1][None, :]
        inner = (~empty).sum(axis=1, keepdims=True) == 1
        outer = (~empty).sum(axis=0, keepdims=True) == 1
        nested = ~empty & (inner | outer)
        for name in ("rows", *moments.cells.named):
            neither, either = _differences(moments.cells, name, (i, j), shape)
            differences = np.where(apart, neither, np.where(nested, either, np.inf))
            positive = np.where(differences > 0, differences, np.inf)
            if positive.min() < smallest:
                a, b = np.unravel_index(int(positive.argmin()), positive.shape)
                smallest = float(positive.min())
                what = moments.counted if name == "rows" else name
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
            found=None if smallest == np.inf else smallest,
            needed=policy.min_cell,
        )


def _differences(
    cells: CellCounts, name: str, pair: tuple[int, int], shape: tuple[int, int]
) -> tuple[FloatArray, FloatArray]:
    """
    What has neither of two levels, and what has one without the other.

    Rows, or units with such rows: these do not subtract, and are counted one by one.
    """
    table = cells.pairs(pair) if cells.by_unit else cells.table(pair)
    neither, either = np.zeros(shape), np.zeros(shape)
    for grids in _grids(table, name, shape):
        first = grids.sum(axis=2, keepdims=True)
        second = grids.sum(axis=1, keepdims=True)
        total = first.sum(axis=1, keepdims=True)
        outside, one = total - first - second + grids, first + second - 2 * grids
        neither += ((outside > 0) if cells.by_unit else outside).sum(axis=0)
        either += ((one > 0) if cells.by_unit else one).sum(axis=0)
    return neither, either


def _grids(
    table: CellCounts, name: str, shape: tuple[int, int]
) -> Iterator[FloatArray]:
    """Counts as arrays of shape (units, levels, levels), a part of the units each."""
    counts = table.rows if name == "rows" else table.named[name]
    codes, unit = table.codes[:, :2], np.zeros(len(counts), dtype=np.int64)
    if table.by_unit:
        unit = np.unique(table.codes[:, 2], return_inverse=True)[1].ravel()
    held = max(1, _HELD // (shape[0] * shape[1]))
    for start in range(0, int(unit.max(initial=0)) + 1, held):
        part = (unit >= start) & (unit < start + held)
        size = min(held, int(unit.max(initial=0)) + 1 - start)
        grids = np.zeros((size, *shape))
        grids[unit[part] - start, codes[part, 0], codes[part, 1]] = counts[part]
        yield grids
