"""Numbers of few values beside levels of the same answer: a copy that was corrected."""

from itertools import product

import numpy as np

from fedglmm_flower.site.columns_apart import ColumnsApart
from fedglmm_flower.site.row_sets import RowSets, levels_of_few


def own_levels_apart(rows: RowSets, least: int) -> ColumnsApart | None:
    """
    A value of a number and a level, or another value, that few rows tell apart.

    Rules for levels take a column at its word: one of noughts and ones that is declared
    as a number has none.

    Parameters
    ----------
    rows : RowSets
        That would be summed.
    least : int
        Fewest rows that two sets may differ by, if they differ.

    Returns
    -------
    ColumnsApart or None
        The closest two; None if all are equal or far enough apart.
    """
    numbers = {
        name: levels
        for name, marks in rows.marks.items()
        if (levels := levels_of_few(marks)) is not None
    }
    others = [("a factor", codes) for codes in rows.codes] + list(numbers.items())
    close = []
    for (name, one), (other, two) in product(numbers.items(), others):
        if other == name:
            continue
        for i, j in product(np.unique(one), np.unique(two)):
            # Two rare values have few rows each and are no copies of one another.
            shared = np.flatnonzero((one == i) & (two == j))
            if rows.counted(rows.places[shared]) < least:
                continue
            apart = np.flatnonzero((one == i) != (two == j))
            count = rows.counted(rows.places[apart])
            if 0 < count < least:
                close.append(ColumnsApart(count, least, name, other))
    return min(close, key=lambda pair: pair.strain, default=None)
