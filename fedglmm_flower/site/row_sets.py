"""Which rows a release sums: all of them, and those of each level."""

import base64
import binascii
import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fedglmm_flower.glmm.evaluate import AtomRows
from fedglmm_flower.site.units import distinct
from fedglmm_flower.study.model import Model

IntArray = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint8]
_HEAD = "fedglmm rows 1"


@dataclass(frozen=True)
class RowSets:
    """
    Sets of rows of a table, by their place in it.

    Parameters
    ----------
    sets : tuple of arrays of bytes
        One bit a row; of different lengths where a table grew.
    units : integer array or None
        Unit of each row of the table of today, which is not stored; None where every
        row is one.
    """

    sets: tuple[Bits, ...]
    units: IntArray | None = None

    def smallest_difference(self, other: "RowSets") -> int | None:
        """
        Fewest rows, but not none, that a set here and one there do not share.

        Where rows have units, fewest units with such rows.  Sums over two such sets
        differ by the sums of these rows.

        Examples
        --------
        >>> a, b = (RowSets((np.packbits(x),)) for x in ([1, 1, 1, 0], [1, 0, 1, 1]))
        >>> a.smallest_difference(b), a.smallest_difference(a)
        (2, None)
        """
        found = [
            count
            for one in self.sets
            for two in other.sets
            if (count := _apart(one, two, self.units))
        ]
        return min(found, default=None)

    def whole_difference(self, other: "RowSets") -> int | None:
        """
        Rows, or units, of which only one of the two has any; None for none.

        The first set is that of all rows, whose sums are the most.

        Examples
        --------
        >>> a, b = (RowSets((np.packbits(x),)) for x in ([1, 1, 1, 0], [1, 0, 1, 1]))
        >>> a.whole_difference(b)
        2
        """
        return _apart(self.sets[0], other.sets[0], self.units) or None

    def as_many(self, other: "RowSets") -> bool:
        """
        Whether these are as many sets of as many rows as the others.

        Of one table they then are the same, in whatever order its rows stand.
        """
        ours, theirs = (
            sorted(int(np.bitwise_count(one).sum(dtype=np.int64)) for one in rows.sets)
            for rows in (self, other)
        )
        return ours == theirs

    def text(self) -> str:
        """Lines of ASCII."""
        packed = (base64.b64encode(zlib.compress(one.tobytes())) for one in self.sets)
        return "\n".join([_HEAD, *(line.decode("ascii") for line in packed)])

    @classmethod
    def of_text(cls, text: str) -> "RowSets":
        """
        Read what :meth:`text` wrote.

        Raises
        ------
        ValueError
            If it was altered.
        """
        head, *lines = text.split("\n")
        if head != _HEAD or not lines:
            raise ValueError("no sets of rows")
        try:
            packed = [
                zlib.decompress(base64.b64decode(x, validate=True)) for x in lines
            ]
        except (binascii.Error, zlib.error):
            raise ValueError("sets of rows that were altered") from None
        return cls(tuple(np.frombuffer(one, dtype=np.uint8) for one in packed))


@dataclass
class RowPlaces:
    """
    Places and levels of the rows of a cluster, while they are read.

    Parameters
    ----------
    factors : list of int
        Which atoms are factors.
    """

    factors: list[int]
    places: list[IntArray] = field(default_factory=list)
    codes: list[npt.NDArray[np.int32]] = field(default_factory=list)
    owners: list[IntArray] = field(default_factory=list)

    @classmethod
    def of(cls, model: Model) -> "RowPlaces":
        """None yet."""
        return cls([i for i, factor in enumerate(model.factors) if factor])

    def add(self, places: IntArray, rows: AtomRows) -> None:
        """Add rows of a batch."""
        self.places.append(places)
        self.codes.append(rows.values[:, self.factors].astype(np.int32))
        if rows.units is not None:
            self.owners = [np.unique(np.concatenate([*self.owners, rows.units]))]

    def units(self) -> int | None:
        """Distinct units of the rows so far; None where every row is one."""
        return len(self.owners[0]) if self.owners else None


def row_sets(clusters: Iterable[RowPlaces], units: IntArray | None = None) -> RowSets:
    """
    All rows of some clusters, and those of each level of each factor.

    Raises
    ------
    ValueError
        If there are no clusters.
    """
    found = list(clusters)
    places = np.concatenate([p for one in found for p in one.places])
    codes = np.concatenate([c for one in found for c in one.codes])
    sets = [_bits(places)]
    for column in codes.T:
        sets += [_bits(places[column == code]) for code in np.unique(column)]
    return RowSets(tuple(sets), units)


def _bits(places: Collection[int] | IntArray) -> Bits:
    at = np.asarray(places, dtype=np.int64)
    mask = np.zeros(int(at.max(initial=-1)) + 1, dtype=np.bool_)
    mask[at] = True
    return np.packbits(mask)


def _apart(one: Bits, two: Bits, units: IntArray | None) -> int:
    both = min(len(one), len(two))
    if units is not None:
        size = max(len(one), len(two))
        differ = np.zeros(size, dtype=np.uint8)
        differ[: len(one)] = one
        differ[: len(two)] ^= two
        at = np.flatnonzero(np.unpackbits(differ))
        # Rows that are no longer there may all have been one unit's.
        gone = -np.ones(int((at >= len(units)).any()), dtype=np.int64)
        return distinct(np.append(units[at[at < len(units)]], gone))
    apart = int(np.bitwise_count(one[:both] ^ two[:both]).sum(dtype=np.int64))
    rest = one[both:] if len(one) > both else two[both:]
    return apart + int(np.bitwise_count(rest).sum(dtype=np.int64))
