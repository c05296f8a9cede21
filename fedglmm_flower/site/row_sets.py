"""Which rows a release sums, in all and cell by cell, and what it sums of each."""

import base64
import binascii
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fedglmm_flower.site.column_marks import Marks
from fedglmm_flower.site.row_places import Codes, RowPlaces
from fedglmm_flower.site.summed_cells import Factors, SummedCells
from fedglmm_flower.site.units import distinct
from fedglmm_flower.site.values import FEW_VALUES

IntArray = npt.NDArray[np.int64]
_DENSE = 65_536
_FORMAT = "fedglmm rows 2"


@dataclass(frozen=True)
class RowSets:
    """
    Rows of a table by their places in it, with their levels and marks of their columns.

    Says of each row what it is in, so it is kept where only the site reads it.

    Parameters
    ----------
    places : array of shape (rows,)
        Ascending.
    codes : tuple of arrays of shape (rows,)
        Level in each factor.
    cells : SummedCells
        Factors of which cells are summed, not levels alone.
    marks : mapping
        Of each column that is summed, see
        :class:`~fedglmm_flower.site.column_marks.Marker`.
    units : array or None
        Unit of each row of the table of today, which is not stored; None where every
        row is one.
    """

    places: IntArray
    codes: tuple[Codes, ...] = ()
    cells: SummedCells = field(default_factory=SummedCells)
    marks: Mapping[str, Marks] = field(default_factory=dict)
    units: IntArray | None = None

    def labels(self, factors: Factors) -> IntArray:
        """
        Number of the cell of each row, from 0.

        Examples
        --------
        >>> codes = tuple(np.array(c, dtype=np.int32) for c in ([2, 2, 5], [0, 1, 1]))
        >>> rows = RowSets(np.arange(3), codes)
        >>> rows.labels((0,)).tolist(), rows.labels((0, 1)).tolist()
        ([0, 0, 1], [0, 1, 2])
        """
        found = np.zeros(len(self.places), dtype=np.int64)
        for factor in factors:
            levels = 1 + int(self.codes[factor].max(initial=-1))
            found = _numbered(found * levels + self.codes[factor])
        return found

    def owners(self, places: IntArray) -> IntArray:
        """
        What counts once: the unit of a row, or its place.

        Rows that are no longer there may all have been one unit's, -1.
        """
        if self.units is None:
            return places
        there = places < len(self.units)
        found = np.full(len(places), -1, dtype=np.int64)
        found[there] = self.units[places[there]]
        return found

    def counted(self, places: IntArray) -> int:
        """Units of which some rows are, or rows."""
        return len(places) if self.units is None else distinct(self.owners(places))

    def as_many(self, other: "RowSets") -> bool:
        """
        Whether these are as many sets of as many rows as the others.

        Of one table they then are the same, in whatever order its rows stand.
        """
        return _sizes(self) == _sizes(other)

    def text(self) -> str:
        """A line of ASCII; the units are no part of it."""
        plain = {
            "format": _FORMAT,
            "places": _packed(np.diff(self.places, prepend=0).astype("<i8")),
            "codes": [_packed(codes.astype("<i4")) for codes in self.codes],
            "counted": list(self.cells.counted.items()),
            "summed": self.cells.summed,
            "copied": self.cells.copied,
            "marks": {c: _packed(m.astype("<u2")) for c, m in self.marks.items()},
        }
        return json.dumps(plain, separators=(",", ":"))

    @classmethod
    def of_text(cls, text: str) -> "RowSets":
        """
        Read what :meth:`text` wrote.

        Raises
        ------
        ValueError
            If it was altered.
        """
        try:
            plain = json.loads(text)
            known = plain["format"] == _FORMAT
            found = cls(
                places=np.cumsum(_unpacked(plain["places"], "<i8", np.int64)),
                codes=tuple(_unpacked(x, "<i4", np.int32) for x in plain["codes"]),
                cells=SummedCells(
                    {_factors(cell): int(fixed) for cell, fixed in plain["counted"]},
                    tuple(map(_factors, plain["summed"])),
                    int(plain["copied"]),
                ),
                marks={
                    str(name): _unpacked(x, "<u2", np.uint16)
                    for name, x in plain["marks"].items()
                },
            )
        except (KeyError, TypeError, AttributeError, json.JSONDecodeError):
            raise ValueError("no sets of rows") from None
        except (binascii.Error, zlib.error, ValueError):
            raise ValueError("sets of rows that were altered") from None
        lengths = {len(found.places), *map(len, found.codes)}
        lengths.update(map(len, found.marks.values()))
        factors = {k for s in (*found.cells.counted, *found.cells.summed) for k in s}
        if not known or len(lengths) > 1 or factors - set(range(len(found.codes))):
            raise ValueError("sets of rows that were altered")
        return found


def row_sets(
    clusters: Iterable[Sequence[RowPlaces]],
    cells: SummedCells,
    units: IntArray | None = None,
) -> RowSets:
    """
    All rows that are summed, with their levels and marks.

    Parameters
    ----------
    clusters : iterable of sequences of RowPlaces
        Those whose rows have sums in common.
    cells : SummedCells
        Of each cluster.
    units : array or None
        See :class:`RowSets`.

    Raises
    ------
    ValueError
        If there are no clusters.
    """
    groups = [list(group) for group in clusters]
    found = [one for group in groups for one in group]
    places = np.concatenate([p for one in found for p in one.places])
    order = np.argsort(places)
    table = np.concatenate([c for one in found for c in one.codes])
    codes = [np.ascontiguousarray(column) for column in table[order].T]
    if len(groups) > 1:
        cells = cells.by_cluster(len(codes))
        sizes = [sum(len(p) for one in group for p in one.places) for group in groups]
        codes.append(np.repeat(np.arange(len(groups), dtype=np.int32), sizes)[order])
    batches = [batch for one in found for batch in one.marks]
    marks = {
        name: np.concatenate([batch[name] for batch in batches])[order]
        for name in batches[0]
    }
    codes += _of_few_values(marks.values(), codes)
    return RowSets(places[order], tuple(codes), cells, marks, units)


def _of_few_values(
    columns: Iterable[Marks], known: Sequence[Codes]
) -> Iterator[npt.NDArray[np.int32]]:
    """Levels of numbers of few values: another study may call them a factor."""
    for marks in columns:
        levels = levels_of_few(marks)
        if levels is None:
            continue
        if not any(_divides_alike(levels, codes) for codes in known):
            yield levels


def levels_of_few(marks: Marks) -> npt.NDArray[np.int32] | None:
    """
    Values of a column as levels; None of one value, or of more than a factor has.

    Examples
    --------
    >>> levels_of_few(np.array([7, 900, 7], dtype=np.uint16)).tolist()
    [0, 1, 0]
    """
    present = np.flatnonzero(np.bincount(marks))
    if not 1 < len(present) <= FEW_VALUES:
        return None
    return np.searchsorted(present, marks).astype(np.int32)


def _divides_alike(one: Codes, two: Codes) -> bool:
    """Whether two columns of levels are the same but for the levels' names."""
    pairs = one.astype(np.int64) * (1 + int(two.max(initial=0))) + two
    return len(np.unique(pairs)) == len(np.unique(one)) == len(np.unique(two))


def _numbered(keys: IntArray) -> IntArray:
    """Equal keys by equal numbers from 0, in their order."""
    if int(keys.max(initial=0)) > _DENSE + 4 * len(keys):
        return np.unique(keys, return_inverse=True)[1].astype(np.int64)
    # Counting is quicker than sorting.
    return (np.cumsum(np.bincount(keys) > 0) - 1)[keys].astype(np.int64)


def _sizes(rows: RowSets) -> list[int]:
    each = [np.unique(c, return_counts=True)[1].tolist() for c in rows.codes]
    return [len(rows.places), *sorted(size for sizes in each for size in sizes)]


def _packed(values: npt.NDArray[Any]) -> str:
    return base64.b64encode(zlib.compress(values.tobytes())).decode("ascii")


def _unpacked(text: str, stored: str, wanted: type[np.generic]) -> Any:
    content = zlib.decompress(base64.b64decode(text, validate=True))
    return np.frombuffer(content, dtype=stored).astype(wanted)


def _factors(plain: list[int]) -> Factors:
    return tuple(int(k) for k in plain)
