"""Values of a numeric column where rows have units: who differs, and who has which."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fedglmm_flower.site.cells import CellCounts, count_cells
from fedglmm_flower.site.values import FEW_VALUES, FloatArray

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class UnitValues:
    """
    Range of each unit's values, and units at each value while there are few.

    Parameters
    ----------
    ids : integer array
        Units, sorted.
    low, high : arrays
        Smallest and largest value of each.
    values : array or None
        Distinct values; None where they are more than a few.
    counts : CellCounts or None
        Rows by value and unit.
    """

    ids: IntArray
    low: FloatArray
    high: FloatArray
    values: FloatArray | None
    counts: CellCounts | None

    def differing(self, n: int) -> float:
        """How many of the n units do not have the most frequent value in every row."""
        constant = self.low[self.low == self.high]
        if not len(constant):
            return float(n)
        return float(n - np.unique(constant, return_counts=True)[1].max())

    def few(self) -> tuple[FloatArray, CellCounts] | None:
        """Values and their units, where there are few."""
        if self.values is None or self.counts is None or len(self.values) < 2:
            return None
        return self.values, self.counts.table([0])


def count_unit_values(
    known: UnitValues | None, column: FloatArray, units: IntArray, rows: CellCounts
) -> UnitValues:
    """
    Add a batch: its column, whose its rows are, and the counts of each row.

    Memory is that of the units.
    """
    column = column + 0.0  # both zeros are one value
    ids, at = np.unique(units, return_inverse=True)
    low, high = np.full(len(ids), np.inf), np.full(len(ids), -np.inf)
    np.minimum.at(low, at, column)
    np.maximum.at(high, at, column)
    distinct = np.unique(column)
    values: FloatArray | None = None
    counts: CellCounts | None = None
    tracked = known is None or known.values is not None
    if tracked and len(distinct) <= FEW_VALUES:
        values = distinct
        counts = _at_values(np.searchsorted(distinct, column), units, rows)
    if known is None:
        return UnitValues(ids, low, high, values, counts)
    every = np.concatenate([known.ids, ids])
    ids, at = np.unique(every, return_inverse=True)
    lows, highs = np.full(len(ids), np.inf), np.full(len(ids), -np.inf)
    np.minimum.at(lows, at, np.concatenate([known.low, low]))
    np.maximum.at(highs, at, np.concatenate([known.high, high]))
    if counts is None or values is None or known.counts is None or known.values is None:
        return UnitValues(ids, lows, highs, None, None)
    both = np.union1d(known.values, values)
    if len(both) > FEW_VALUES:
        return UnitValues(ids, lows, highs, None, None)
    parts = [
        _at_values(np.searchsorted(both, v)[c.codes[:, 0]], c.codes[:, 1], c)
        for v, c in ((known.values, known.counts), (values, counts))
    ]
    joined = parts[0].joined(parts[1])
    counts = _at_values(joined.codes[:, 0], joined.codes[:, 1], joined)
    return UnitValues(ids, lows, highs, both, counts)


def _at_values(at: IntArray, units: IntArray, rows: CellCounts) -> CellCounts:
    codes = np.column_stack([at, units]).astype(np.int64)
    return replace(count_cells(codes, rows.rows, *rows.responses), by_unit=True)
