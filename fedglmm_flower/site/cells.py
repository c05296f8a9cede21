"""Counts of observed factor cells: facts for the gate, which never leave a site."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
_DENSE = 65_536


@dataclass(frozen=True)
class CellCounts:
    """
    How many rows, events and non-events each observed combination of levels has.

    Parameters
    ----------
    codes : array of shape (cells, factors)
        Level codes of the observed combinations.
    rows : array of shape (cells,)
        Rows of each.
    events, others : arrays of shape (cells,) or None
        Events and non-events; None where the response is no count of events.
    event_rows, other_rows : arrays of shape (cells,) or None
        Rows with an event, and rows with a non-event.
    by_unit : bool
        Whether the last column of the codes is whose the rows are.  Then tables count
        distinct units: those with rows in a cell, with events in it, and so on.
    """

    codes: IntArray
    rows: FloatArray
    events: FloatArray | None = None
    others: FloatArray | None = None
    event_rows: FloatArray | None = None
    other_rows: FloatArray | None = None
    by_unit: bool = field(default=False, kw_only=True)

    @property
    def responses(self) -> tuple[FloatArray | None, ...]:
        """What is counted besides rows."""
        return (self.events, self.others, self.event_rows, self.other_rows)

    @property
    def named(self) -> dict[str, FloatArray]:
        """Counts of the response by their name for people."""
        names = ("events", "non-events", "rows with events", "rows with non-events")
        pairs = zip(names, self.responses, strict=True)
        return {name: counts for name, counts in pairs if counts is not None}

    def table(self, factors: Sequence[int]) -> "CellCounts":
        """Marginal counts over some of the factors, of rows or of units."""
        if not self.by_unit:
            return count_cells(self.codes[:, list(factors)], self.rows, *self.responses)
        each = self.pairs(factors)
        some = [None if x is None else (x > 0).astype(float) for x in each.responses]
        return count_cells(each.codes[:, :-1], np.ones(len(each.rows)), *some)

    def pairs(self, factors: Sequence[int]) -> "CellCounts":
        """Rows of each unit in each cell of some of the factors."""
        codes = self.codes[:, [*factors, self.codes.shape[1] - 1]]
        return replace(count_cells(codes, self.rows, *self.responses), by_unit=True)

    def joined(self, other: "CellCounts") -> "CellCounts":
        """Both lists of cells, one after the other."""

        def join(x: FloatArray | None, y: FloatArray | None) -> FloatArray | None:
            return None if x is None or y is None else np.concatenate([x, y])

        pairs = zip(self.responses, other.responses, strict=True)
        return CellCounts(
            np.concatenate([self.codes, other.codes]),
            np.concatenate([self.rows, other.rows]),
            *(join(x, y) for x, y in pairs),
            by_unit=self.by_unit,
        )


def count_cells(
    codes: IntArray, rows: FloatArray, *responses: FloatArray | None
) -> CellCounts:
    """
    Add up rows of equal codes.

    Examples
    --------
    >>> c = count_cells(np.array([[0], [1], [0]]), np.ones(3), None, None)
    >>> c.codes.ravel().tolist(), c.rows.tolist()
    ([0, 1], [2.0, 1.0])
    """
    unique, index = _distinct(codes)
    size = len(unique)

    def total(values: FloatArray | None) -> FloatArray | None:
        return None if values is None else _add_up(index, values, size)

    counted = _add_up(index, rows, size)
    return CellCounts(unique, counted, *map(total, responses))


def _distinct(codes: IntArray) -> tuple[IntArray, IntArray]:
    """Distinct rows in their order, and which of them each row is."""
    n, factors = codes.shape
    if factors == 0:
        return np.zeros((1, 0), dtype=np.int64), np.zeros(n, dtype=np.int64)
    radix = [int(m) + 1 for m in codes.max(axis=0, initial=0)]
    if math.prod(radix) > max(n, _DENSE):
        unique, inverse = np.unique(codes, axis=0, return_inverse=True)
        return unique, inverse.ravel()
    # One number for each combination: counting is quicker than sorting.
    key = codes[:, 0].copy()
    for j in range(1, factors):
        key *= radix[j]
        key += codes[:, j]
    seen = np.bincount(key, minlength=1) > 0
    unique = np.stack(np.unravel_index(np.flatnonzero(seen), radix), axis=1)
    return unique.astype(np.int64), (np.cumsum(seen) - 1)[key]


def _add_up(index: IntArray, values: FloatArray, size: int) -> FloatArray:
    # bincount of no values at all gives integers
    return np.bincount(index, values, size).astype(np.float64)


def merge_cells(a: CellCounts, b: CellCounts) -> CellCounts:
    """Counts of two disjoint sets of rows."""
    both = a.joined(b)
    found = count_cells(both.codes, both.rows, *both.responses)
    return replace(found, by_unit=both.by_unit)
