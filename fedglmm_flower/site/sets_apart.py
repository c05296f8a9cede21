"""Two answers' sets of rows: in how few rows they differ."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import numpy.typing as npt

from fedglmm_flower.site.cell_sets import cell_sets, closest
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


def smallest_difference(rows: RowSets, before: RowSets, least: int) -> int | None:
    """
    Fewest rows below ``least``, but not none, that a set here and one there differ by.

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
        Differences of as many are not looked for.

    Examples
    --------
    >>> a, b = (RowSets(np.array(at)) for at in ([0, 1, 2], [0, 2, 3]))
    >>> smallest_difference(a, b, 5), smallest_difference(a, a, 5)
    (2, None)
    """
    ours, theirs = (cell_sets(one, rows.owners) for one in (rows, before))
    pairs = closest(ours, theirs, rows.counted, least)
    found = [] if pairs is None else [pairs]
    size = 1 + max(int(one.places.max(initial=-1)) for one in (rows, before))
    for one, two in product(_factors(rows, size), [*_factors(before, size)]):
        for merged, single in ((one, two), (two, one)):
            found += _unmerged(merged, single, rows, least)
    return min(found, default=None)


def _factors(rows: RowSets, size: int) -> Iterator[IntArray]:
    """Level of each place of a table from 1, 0 where it is in no sum."""
    for factors in [(), *((k,) for k in range(len(rows.codes)))]:
        levels = np.zeros(size, dtype=np.int64)
        levels[rows.places] = rows.labels(factors) + 1
        yield levels


def _unmerged(
    merged: IntArray, single: IntArray, rows: RowSets, least: int
) -> Iterator[int]:
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
    enough = _enough(rows, least, len(single))
    for level in np.flatnonzero((apart > 0) & (apart < enough)):
        mine = single == level + 1
        count = rows.counted(np.flatnonzero(chosen[merged, level] != mine))
        if count < least:
            yield count


def _enough(rows: RowSets, least: int, size: int) -> int:
    """So many rows are of ``least`` units, whoever they are of."""
    if rows.units is None:
        return least
    named = rows.units[rows.units >= 0]
    # Rows that name no unit, or are no longer there, may all have been one unit's.
    unknown = max(size, len(rows.units)) - len(named)
    return least * int(np.bincount(named, minlength=1).max()) + unknown
