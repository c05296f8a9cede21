"""Which cells of factors a release determines: their counts, and sums inside them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import TypeAlias

from fedglmm_flower.site.binary_response import response_is_event
from fedglmm_flower.site.solved_for import rows_fixed
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.polynomial import Monomial
from fedglmm_flower.study.release import Statistic

# Factors by their number, ascending; none of them means all rows.
Factors: TypeAlias = tuple[int, ...]
# Measures that count rows, where a row has one event or none.
_COUNTS = ("rows", "events", "others")


@dataclass(frozen=True)
class SummedCells:
    """
    Sets of factors whose cells sums are of.

    Parameters
    ----------
    counted : mapping
        Factors whose joint cells are counted, and of how many rows the sums in a cell
        would fix every value.
    summed : tuple of tuple of int
        Of these, such that numbers are summed in each cell.
    copied : int
        Rows whose every value the sums with a column would fix beside those with its
        copy.
    """

    counted: Mapping[Factors, int] = field(default_factory=dict)
    summed: tuple[Factors, ...] = ((),)
    copied: int = 0

    def needed(self, factors: Factors, least: int) -> int:
        """Fewest rows by which a cell of some factors may differ from another one."""
        return max(least, self.counted.get(factors, 0) + 1)

    def by_cluster(self, factor: int) -> "SummedCells":
        """
        The same where each cluster has sums of its own.

        Inside a cluster single levels are looked at, of which there are enough.
        """
        more = {(*s, factor): fixed for s, fixed in self.counted.items() if len(s) <= 1}
        each = ((*s, factor) for s in self.summed if len(s) <= 1)
        counted = {(factor,): 0, **self.counted, **more}
        return SummedCells(counted, (*self.summed, *each), self.copied)


def summed_cells(model: Model, statistics: Iterable[Statistic]) -> SummedCells:
    """
    Of a release: inclusion and exclusion gives all cells of the factors of a product.

    Factors are numbered as among the model's; an event comes last.
    """
    factors = [i for i, factor in enumerate(model.factors) if factor]
    event = (len(factors),) if response_is_event(model) else ()
    parts: dict[Factors, set[Monomial]] = {}
    summed: set[Factors] = {()}
    products: set[Monomial] = set()
    for s in statistics:
        inside = tuple(k for k, i in enumerate(factors) if s.monomial[i])
        pairs = zip(s.monomial, model.factors, strict=True)
        number = tuple(0 if factor else e for e, factor in pairs)
        weighed = model.weights is not None or s.measure not in _COUNTS
        of_events = event if s.role == "y" or s.measure in _COUNTS[1:] else ()
        cells = {(*part, *of_events) for part in _parts(inside)}
        for cell in cells:
            parts.setdefault(cell, set())
        response = int(s.role == "y")
        products.add((*s.monomial, response))
        if any(number) or (response and not of_events):
            parts[*inside, *of_events].add((*number, response))
        if any(number) or weighed:
            summed |= cells
        elif s.role != "x" and not of_events:
            summed |= _parts(inside)
    counted = {cell: rows_fixed(found) for cell, found in parts.items()}
    return SummedCells(counted, _sorted(summed), _copied(products))


def _copied(products: set[Monomial]) -> int:
    with_column = (sum(map(bool, column)) for column in zip(*products, strict=True))
    columns = sum(any(column) for column in zip(*products, strict=True))
    return max(with_column) // (columns + 1) if columns else 0


def _parts(factors: Factors) -> set[Factors]:
    return {c for size in range(len(factors) + 1) for c in combinations(factors, size)}


def _sorted(sets: Iterable[Factors]) -> tuple[Factors, ...]:
    return tuple(sorted(set(sets), key=lambda s: (len(s), s)))
