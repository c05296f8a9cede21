"""Which cells of factors a release determines: their counts, and sums inside them."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

from fedglmm_flower.site.binary_response import response_is_event
from fedglmm_flower.study.model import Model
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
    counted : tuple of tuple of int
        Factors whose joint cells are counted.
    summed : tuple of tuple of int
        Of these, such that numbers are summed in each cell.
    """

    counted: tuple[Factors, ...] = ()
    summed: tuple[Factors, ...] = ((),)

    def by_cluster(self, factor: int) -> "SummedCells":
        """
        The same where each cluster has sums of its own.

        Inside a cluster single levels are looked at, of which there are enough.
        """

        def more(sets: tuple[Factors, ...]) -> tuple[Factors, ...]:
            each = ((*s, factor) for s in sets if len(s) <= 1)
            return _sorted([*sets, *each])

        return SummedCells((*more(self.counted), (factor,)), more(self.summed))


def summed_cells(model: Model, statistics: Iterable[Statistic]) -> SummedCells:
    """
    Of a release: inclusion and exclusion gives all cells of the factors of a product.

    Factors are numbered as among the model's; an event comes last.
    """
    factors = [i for i, factor in enumerate(model.factors) if factor]
    event = (len(factors),) if response_is_event(model) else ()
    counted: set[Factors] = set()
    summed: set[Factors] = {()}
    for s in statistics:
        inside = tuple(k for k, i in enumerate(factors) if s.monomial[i])
        pairs = zip(s.monomial, model.factors, strict=True)
        number = any(e for e, factor in pairs if not factor)
        weighed = model.weights is not None or s.measure not in _COUNTS
        of_events = event if s.role == "y" or s.measure in _COUNTS[1:] else ()
        found = {(*part, *of_events) for part in _parts(inside)}
        counted |= found
        if number or weighed:
            summed |= found
        elif s.role != "x" and not of_events:
            summed |= _parts(inside)
    return SummedCells(_sorted(counted - {()}), _sorted(summed))


def _parts(factors: Factors) -> set[Factors]:
    return {c for size in range(len(factors) + 1) for c in combinations(factors, size)}


def _sorted(sets: Iterable[Factors]) -> tuple[Factors, ...]:
    return tuple(sorted(set(sets), key=lambda s: (len(s), s)))
