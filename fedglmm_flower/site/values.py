"""Counts of a numeric column's values: facts for the gate, which never leave a site."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fedglmm_flower.site.cells import CellCounts, count_cells

FloatArray = npt.NDArray[np.float64]
MAX_TRACKED = 10_000
FEW_VALUES = 10


@dataclass(frozen=True)
class ValueCounts:
    """
    Rows and responses at each value, while there are at most ``MAX_TRACKED``.

    Parameters
    ----------
    values : array or None
        Distinct values; None where there are more than are tracked.
    counts : CellCounts or None
        Counts at each, in the order of the values.
    """

    values: FloatArray | None
    counts: CellCounts | None

    def differing(self, n: int) -> float:
        """How many of the n rows differ from the most frequent value."""
        if self.counts is None:
            return float(MAX_TRACKED)
        return n - float(self.counts.rows.max())

    def few(self) -> tuple[FloatArray, CellCounts] | None:
        """Values and their counts, where there are few."""
        if self.values is None or self.counts is None:
            return None
        if not 1 < len(self.values) <= FEW_VALUES:
            return None
        return self.values, self.counts


def count_values(
    known: ValueCounts | None, column: FloatArray, rows: CellCounts
) -> ValueCounts:
    """
    Add a batch: its column, and the counts of each of its rows.

    Memory is bounded: what has too many values is no longer tracked, and then at
    least as many records differ from the most frequent value.
    """
    values = column
    counts = replace(rows, codes=np.zeros((len(column), 1), dtype=np.int64))
    if known is not None:
        if known.values is None or known.counts is None:
            return known
        at = np.searchsorted(known.values, column)
        at = np.minimum(at, len(known.values) - 1)
        if (known.values[at] == column).all():
            codes = np.append(np.arange(len(known.values)), at).reshape(-1, 1)
            both = known.counts.joined(counts)
            merged = count_cells(codes, both.rows, *both.responses)
            return ValueCounts(known.values, merged)
        values = np.concatenate([known.values, column])
        counts = known.counts.joined(counts)
    # Both zeros are one value.
    distinct, codes = np.unique(values + 0.0, return_inverse=True)
    if len(distinct) > MAX_TRACKED:
        return ValueCounts(None, None)
    at = codes.reshape(-1, 1).astype(np.int64)
    return ValueCounts(distinct, count_cells(at, counts.rows, *counts.responses))
