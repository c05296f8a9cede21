"""Cells of two answers, of any factors: the two that differ by the fewest rows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedglmm_flower.site.row_sets import RowSets

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
# Owners fall into as many groups; a cell's counts in them are compared first.
_GROUPS = 31
_SEED = 20
_DENSE = 20_000_000


@dataclass(frozen=True)
class Apart:
    """
    By how few rows, or units, two sets differ, and how many are required.

    Parameters
    ----------
    count : int
        At least 1.
    needed : int
        More than ``count``.
    """

    count: int
    needed: int

    @property
    def strain(self) -> float:
        """How much there is of what is required."""
        return self.count / self.needed


@dataclass(frozen=True)
class CellSets:
    """
    Sets of rows, with what tells quickly that two of them are far apart.

    Parameters
    ----------
    places : array of shape (rows,)
        Of the answer.
    divided : list of (int, array)
        Of each division into sets, the number of its first one and the set of each
        row, from 0.
    groups : array of shape (sets, 31)
        Rows, or units, of each set in each group of these.
    prints : array of shape (sets,)
        Equal for equal sets, and for others but once in 2**32.
    least : array of shape (sets,)
        Fewest that the sums of each set may tell of by a difference; 0 for a set that
        is not compared.
    """

    places: IntArray
    divided: list[tuple[int, IntArray]]
    groups: IntArray
    prints: FloatArray
    least: IntArray

    def members(self, at: int) -> IntArray:
        """Places of the rows of a set."""
        first, labels = next(x for x in reversed(self.divided) if x[0] <= at)
        found: IntArray = self.places[labels == at - first]
        return found


def cell_sets(
    rows: RowSets, owners: Callable[[IntArray], IntArray], least: int
) -> CellSets:
    """
    All rows, those of each level, and those of each cell that sums are of.

    Parameters
    ----------
    rows : RowSets
        Of an answer.
    owners : callable
        What counts once of the rows at some places: the row itself, or its unit.
    least : int
        Fewest of any set; more where its sums fix the values of more.
    """
    levels = [(k,) for k in range(len(rows.codes))]
    partitions = list(dict.fromkeys([(), *levels, *rows.cells.counted]))
    own = owners(rows.places)
    alone = bool((own == rows.places).all())
    group = own % _GROUPS
    weights = _weights(rows.places)
    divided: list[tuple[int, IntArray]] = []
    groups, prints, needed, total = [], [], [], 0
    for factors in partitions:
        labels = rows.labels(factors)
        size = int(labels.max(initial=-1)) + 1
        divided.append((total, labels))
        total += size
        needed.append(np.full(size, rows.cells.needed(factors, least)))
        prints.append(np.bincount(labels, weights, size))
        at = labels * _GROUPS + group
        if not alone:
            # A unit counts once in each cell.
            at = at[_first(labels * (int(own.max()) + 2) + own + 1)]
        counted = np.bincount(at, minlength=size * _GROUPS)
        groups.append(counted.reshape(size, _GROUPS))
    counts, marks, fewest = (np.concatenate(x) for x in (groups, prints, needed))
    # So small a set is no cell that a gate lets out, but a rare value of a number, and
    # two of these are no copies of one another.
    fewest[counts.sum(axis=1) < least] = 0
    return CellSets(rows.places, divided, counts, marks, fewest)


def _first(keys: IntArray) -> IntArray:
    """Where each key stands once."""
    if int(keys.max(initial=0)) > _DENSE:
        return np.unique(keys, return_index=True)[1].astype(np.int64)
    last = np.full(int(keys.max(initial=-1)) + 1, -1, dtype=np.int64)
    last[keys] = np.arange(len(keys))
    return last[last >= 0]


def closest(
    one: CellSets, two: CellSets, counted: Callable[[IntArray], int]
) -> Apart | None:
    """
    The set here and the one there that differ by fewer than is required, most of all.

    Law: the counts of two sets differ in no group by more than those who are in one of
    the sets alone, so no two sets that are close are passed over.  What is required is
    the smaller demand of the two: both have to tell of those between them.

    Parameters
    ----------
    one, two : CellSets
        Of two answers.
    counted : callable
        How many rows, or units, some places are.

    Returns
    -------
    Apart or None
        None if all sets are equal or far enough apart.
    """
    sizes = two.groups.sum(axis=1)
    order = np.argsort(sizes)
    groups, prints, sizes = two.groups[order], two.prints[order], sizes[order]
    needed, own = two.least[order], one.groups.sum(axis=1)
    lows = np.searchsorted(sizes, own - one.least + 1, side="left")
    highs = np.searchsorted(sizes, own + one.least - 1, side="right")
    found: Apart | None = None
    for i, (low, high) in enumerate(zip(lows, highs, strict=True)):
        far = np.abs(groups[low:high] - one.groups[i]).sum(axis=1)
        least = np.minimum(needed[low:high], one.least[i])
        near = far < least * (1.0 if found is None else found.strain)
        for j in np.flatnonzero(near & (prints[low:high] != one.prints[i])):
            other = two.members(int(order[low + j]))
            apart = np.setxor1d(one.members(i), other, assume_unique=True)
            pair = Apart(counted(apart), int(least[j]))
            if pair.strain < (1.0 if found is None else found.strain):
                found = pair
    return found


def prints_of(labels: IntArray, places: IntArray) -> FloatArray:
    """Of each cell, a number that equal cells of any two answers have in common."""
    found: FloatArray = np.bincount(labels, _weights(places)).astype(np.float64)
    return found


def _weights(places: IntArray) -> FloatArray:
    """A number for each place, the same at any time; sums of a million are exact."""
    size = int(places.max(initial=-1)) + 1
    drawn = np.random.default_rng(_SEED).integers(1, 2**32, size)
    return drawn[places].astype(np.float64)
