"""Two answers' sets of rows: in how few rows they differ."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fedglmm_flower.site.cell_sets import cell_sets, closest
from fedglmm_flower.site.row_sets import RowSets

IntArray = npt.NDArray[np.int64]
_Bits = npt.NDArray[np.uint8]


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
    Fewest rows, but not none, that a set here and one there do not share.

    Where rows have units, fewest units with such rows.  Sums over two such sets differ
    by the sums of these rows.  Sets are all rows, those of each level, and the cells
    of several factors that sums are of.

    Parameters
    ----------
    rows : RowSets
        That would be summed.
    before : RowSets
        Of an earlier answer.
    least : int
        Between cells, differences of as many are not looked for.

    Examples
    --------
    >>> a, b = (RowSets(np.array(at)) for at in ([0, 1, 2], [0, 2, 3]))
    >>> smallest_difference(a, b, 5), smallest_difference(a, a, 5)
    (2, None)
    """
    size = 1 + max(int(one.places.max(initial=-1)) for one in (rows, before))
    theirs = list(_levels(before, size))
    found = [
        rows.counted(np.flatnonzero(np.unpackbits(one ^ two)))
        for one in _levels(rows, size)
        for two in theirs
        if (one != two).any()
    ]
    ours, known = (cell_sets(one, rows.owners) for one in (rows, before))
    inside = closest(ours, known, rows.counted, least)
    return min([*found, *([] if inside is None else [inside])], default=None)


def _levels(rows: RowSets, size: int) -> Iterator[_Bits]:
    """All rows, and those of each level, one bit a place."""
    for factors in [(), *((k,) for k in range(len(rows.codes)))]:
        labels = rows.labels(factors)
        for level in range(int(labels.max(initial=-1)) + 1):
            mask = np.zeros(size, dtype=np.bool_)
            mask[rows.places[labels == level]] = True
            yield np.packbits(mask)
