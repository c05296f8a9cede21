"""Two answers' sets of rows: in how few rows they differ."""

import numpy as np

from fedglmm_flower.site.cell_sets import cell_sets, closest
from fedglmm_flower.site.row_sets import RowSets


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
    by the sums of these rows.  Sets are all rows, those of each level, and those of
    each cell of several factors that sums are of.

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
    return closest(ours, theirs, rows.counted, least)
