"""Two answers' sets of rows: in how few rows they differ."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from fedglmm_flower.site.cell_sets import Apart, cell_sets, closest
from fedglmm_flower.site.row_sets import RowSets

IntArray = npt.NDArray[np.int64]


def whole_difference(rows: RowSets, before: RowSets) -> int | None:
    """
    Rows, or units, of which only one of two answers has any; None for none.

    Examples
    --------
    >>> a, b = (RowSets(np.array(at)) for at in ([0, 1, 2], [0, 2, 3]))
    >>> whole_difference(a, b)
    2
    """
    apart = np.setxor1d(rows.places, before.places, assume_unique=True)
    return rows.counted(apart) or None


def smallest_difference(rows: RowSets, before: RowSets, least: int) -> Apart | None:
    """
    By how few rows, but not none, a set here and one there differ; None for enough.

    Where rows have units, fewest units with such rows.  Sums over two such sets differ
    by the sums of these rows.  Sets are all rows, those of each level, of several
    levels of one factor together, and of each cell of factors that sums are of.

    Parameters
    ----------
    rows : RowSets
        That would be summed.
    before : RowSets
        Of an earlier answer.
    least : int
        Fewest that are enough; more where sums would fix the values of more.

    Examples
    --------
    >>> a, b = (RowSets(np.arange(at, at + 10)) for at in (0, 2))
    >>> smallest_difference(a, b, 5), smallest_difference(a, a, 5)
    (Apart(count=4, needed=5), None)
    """
    ours, theirs = (cell_sets(one, rows.owners, least) for one in (rows, before))
    found = [closest(ours, theirs, rows.counted)]
    size = 1 + max(int(one.places.max(initial=-1)) for one in (rows, before))
    for one, two in product(
        _factors(rows, size, least), [*_factors(before, size, least)]
    ):
        for merged, single in ((one, two), (two, one)):
            needed = min(merged.needed, single.needed)
            found += _unmerged(merged.levels, single.levels, rows, needed)
    return min(filter(None, found), key=lambda pair: pair.strain, default=None)


@dataclass(frozen=True)
class _Factor:
    """Level of each place of a table from 1, 0 where it is in no sum."""

    levels: IntArray
    needed: int


def _factors(rows: RowSets, size: int, least: int) -> Iterator[_Factor]:
    """One level of all rows, and those of each factor."""
    for factors in [(), *((k,) for k in range(len(rows.codes)))]:
        levels = np.zeros(size, dtype=np.int64)
        levels[rows.places] = rows.labels(factors) + 1
        yield _Factor(levels, rows.cells.needed(factors, least))


def _unmerged(
    merged: IntArray, single: IntArray, rows: RowSets, needed: int
) -> Iterator[Apart]:
    """
    Rows, or units, between a level of one factor and levels of another together.

    Of all unions of levels the closest has those of which most rows are in the level.
    """
    size = int(single.max(initial=0)) + 1
    cells = size * (int(merged.max(initial=0)) + 1)
    joint = np.bincount(merged * size + single, minlength=cells).reshape(-1, size)
    inside = joint[:, 1:]
    outside = joint.sum(axis=1, keepdims=True) - inside
    chosen = inside > outside
    chosen[0] = False  # rows of no sum are in no level
    apart = np.where(chosen, outside, inside).sum(axis=0)
    enough = _enough(rows, needed, len(single))
    for level in np.flatnonzero(chosen.any(axis=0) & (apart > 0) & (apart < enough)):
        mine = single == level + 1
        if rows.counted(np.flatnonzero(mine)) < needed:
            continue  # a rare value of a number
        count = rows.counted(np.flatnonzero(chosen[merged, level] != mine))
        if count < needed:
            yield Apart(count, needed)


def _enough(rows: RowSets, least: int, size: int) -> int:
    """So many rows are of ``least`` units, whoever they are of."""
    if rows.units is None:
        return least
    named = rows.units[rows.units >= 0]
    # Rows that name no unit, or are no longer there, may all have been one unit's.
    unknown = max(size, len(rows.units)) - len(named)
    return least * int(np.bincount(named, minlength=1).max()) + unknown
