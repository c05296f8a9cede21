"""Two columns that differ in few rows: the difference of their sums is theirs."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import numpy.typing as npt

from fedglmm_flower.site.cell_sets import Apart, prints_of
from fedglmm_flower.site.column_marks import Marks, is_copy
from fedglmm_flower.site.row_sets import RowSets

IntArray = npt.NDArray[np.int64]
_FIRST = 50


@dataclass(frozen=True)
class ColumnsApart(Apart):
    """
    In how few rows, or units, two columns differ, and how many are required.

    Parameters
    ----------
    here, there : str
        Names of the columns, in the answer that is asked and in the earlier one.
    """

    here: str
    there: str


def columns_apart(rows: RowSets, before: RowSets, least: int) -> ColumnsApart | None:
    """
    The two columns of two answers that differ in the fewest rows, below ``least``.

    Place by place over rows that both sum, in all and, of columns that are equal in
    most of what they tell, in each level and cell in which both answers sum numbers.
    Unlike copies, any two columns of small numbers are equal in some rows of a cell.

    Not seen: a copy in another unit, which differs in all rows.

    Parameters
    ----------
    rows : RowSets
        That would be summed.
    before : RowSets
        Of an earlier answer.
    least : int
        Fewest that are enough; more where sums would fix the values of more.
    """
    _, here, there = np.intersect1d(
        rows.places, before.places, assume_unique=True, return_indices=True
    )
    pairs = (
        (name, other, ours[here], theirs[there])
        for (name, ours), (other, theirs) in product(
            rows.marks.items(), before.marks.items()
        )
    )
    return _closest(pairs, _Common(rows, here, before, there), least)


def own_columns_apart(rows: RowSets, least: int) -> ColumnsApart | None:
    """
    The same of two columns of one answer, of which the difference is told too.

    Parameters
    ----------
    rows : RowSets
        That would be summed.
    least : int
        Fewest that are enough; more where sums would fix the values of more.
    """
    every = np.arange(len(rows.places))
    pairs = (
        (name, other, ours, theirs)
        for (name, ours), (other, theirs) in combinations(rows.marks.items(), 2)
    )
    return _closest(pairs, _Common(rows, every, rows, every), least)


class _Common:
    """Rows of two answers, and the cells that both have."""

    def __init__(
        self, rows: RowSets, here: IntArray, before: RowSets, there: IntArray
    ) -> None:
        self.rows, self.here = rows, here
        self.before, self.there = before, there
        self.owners = rows.owners(rows.places[here])
        self._cells: list[tuple[IntArray, npt.NDArray[np.bool_]]] | None = None

    @property
    def cells(self) -> list[tuple[IntArray, npt.NDArray[np.bool_]]]:
        """Cell of each row by each set of factors, and which of them are in both."""
        if self._cells is None:
            places = self.rows.places[self.here]
            # Empty cells have the number 0 in both, and nobody is in them.
            known = [
                prints_of(self.before.labels(factors)[self.there], places)
                for factors in self.before.cells.summed
            ]
            both = np.concatenate(known)
            self._cells = []
            for factors in self.rows.cells.summed:
                labels = self.rows.labels(factors)[self.here]
                self._cells.append((labels, np.isin(prints_of(labels, places), both)))
        return self._cells

    def fewest(self, one: Marks, two: Marks, least: int) -> Apart:
        """Owners, but not none, of rows that differ in all or in a cell."""
        at = np.flatnonzero(one != two)
        owners = self.owners[at]
        fixed = min(self.rows.cells.copied, self.before.cells.copied)
        needed = max(least, fixed + 1)
        # Of most columns the first few rows tell enough.
        count = len(np.unique(owners[: _FIRST * needed]))
        if count < needed:
            count = len(np.unique(owners))
        found = [Apart(count, needed)]
        if is_copy(one, two):
            for labels, shared in self.cells:
                pairs = np.unique(np.stack([labels[at], owners]), axis=1)
                cells = np.bincount(pairs[0], minlength=len(shared))[shared]
                found += [Apart(n, least) for n in cells[cells > 0].tolist()]
        return min(found, key=lambda apart: apart.strain)


def _closest(
    pairs: Iterator[tuple[str, str, Marks, Marks]], common: _Common, least: int
) -> ColumnsApart | None:
    found = []
    for here, there, one, two in pairs:
        if (one != two).any():
            apart = common.fewest(one, two, least)
            found.append(ColumnsApart(apart.count, apart.needed, here, there))
    close = (apart for apart in found if apart.strain < 1)
    return min(close, key=lambda apart: apart.strain, default=None)
