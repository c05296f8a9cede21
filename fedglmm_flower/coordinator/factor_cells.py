"""Probabilities of factor cells from the moments of indicators.

Where the released products of indicators cross all factors, the cells follow by
inclusion and exclusion.  Where they do not, the distribution of largest entropy with
the released margins is taken: iterative proportional fitting from the uniform one
(Deming & Stephan 1940), which adds no interaction beyond the released ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import numpy.typing as npt

from fedglmm_flower.errors import FitError
from fedglmm_flower.study.polynomial import Monomial

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MAX_CELLS = 65_536
_SWEEPS = 500
_TOLERANCE = 1e-13
_MET = 1e-12


@dataclass(frozen=True)
class FactorCells:
    """
    Cells with positive probability.

    Parameters
    ----------
    codes : array of shape (cells, factors)
        Level codes.
    probabilities : array of shape (cells,)
        Sum to one.
    determined : bool
        Whether the moments determine every cell.
    missed : float
        Largest difference of a released margin; 0 where every one is met.
    """

    codes: IntArray
    probabilities: FloatArray
    determined: bool
    missed: float = 0.0


def factor_cells(
    moments: Mapping[Monomial, float], levels: Sequence[int], factor_at: Sequence[int]
) -> FactorCells:
    """
    Cells of the factors.

    Parameters
    ----------
    moments : mapping
        Monomial to mean; those with continuous atoms are ignored.
    levels : sequence of int
        Number of levels of each factor atom.
    factor_at : sequence of int
        Position of each factor atom in a monomial.

    Raises
    ------
    FitError
        If the factors have more than ``MAX_CELLS`` combinations.
    """
    if not levels:
        return FactorCells(np.zeros((1, 0), dtype=np.int64), np.ones(1), True)
    count = int(np.prod(levels, dtype=np.float64))
    if count > MAX_CELLS:
        raise FitError(
            f"pseudo-data: the factors have {count} combinations of levels; at most "
            f"{MAX_CELLS} are supported; merge levels or leave out factors"
        )
    pure = _pure(moments, factor_at)
    subsets = {tuple(i for i, e in enumerate(m) if e) for m in pure}
    codes = np.array(list(product(*map(range, levels))), dtype=np.int64)
    maximal = [s for s in subsets if not any(set(s) < set(other) for other in subsets)]
    probabilities = np.full(count, 1.0 / count)
    margins = [_Margin(s, pure, levels, codes) for s in maximal]
    worst = 0.0
    for _ in range(_SWEEPS):
        worst = 0.0
        for margin in margins:
            worst = max(worst, margin.fit(probabilities))
        if worst < _TOLERANCE:
            break
    kept = probabilities > _TOLERANCE
    kept_probabilities = probabilities[kept] / probabilities[kept].sum()
    determined = tuple(range(len(levels))) in subsets
    # Few rows leave cells at the edge of what is possible, which sweeps only near.
    missed = worst if worst > _MET else 0.0
    return FactorCells(codes[kept], kept_probabilities, determined, missed)


class _Margin:
    """A released table over some of the factors."""

    def __init__(
        self,
        subset: tuple[int, ...],
        pure: Mapping[Monomial, float],
        levels: Sequence[int],
        codes: IntArray,
    ) -> None:
        sizes = [levels[i] for i in subset]
        self.size = int(np.prod(sizes)) if sizes else 1
        self.index = np.zeros(len(codes), dtype=np.int64)
        for i, size in zip(subset, sizes, strict=True):
            self.index = self.index * size + codes[:, i]
        self.target = _table(subset, pure, levels).ravel()

    def fit(self, probabilities: FloatArray) -> float:
        """Scale to the margin in place; return by how much it was missed."""
        current = np.bincount(self.index, probabilities, self.size)
        missed = float(np.abs(current - self.target).max())
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(current > 0, self.target / current, 0.0)
        probabilities *= ratio[self.index]
        return missed


def _pure(
    moments: Mapping[Monomial, float], factor_at: Sequence[int]
) -> dict[Monomial, float]:
    """Moments of products of indicators, by the exponents of the factors alone."""
    chosen = set(factor_at)
    return {
        tuple(m[i] for i in factor_at): value
        for m, value in moments.items()
        if all(not e or i in chosen for i, e in enumerate(m))
    }


def _table(
    subset: tuple[int, ...], pure: Mapping[Monomial, float], levels: Sequence[int]
) -> FloatArray:
    """
    Joint probabilities over some factors, by inclusion and exclusion.

    A cell at the reference of some factors is the sum over subsets of these factors,
    with alternating signs, of the moments with any level there.
    """
    table = np.zeros([levels[i] for i in subset])
    for cell in product(*(range(levels[i]) for i in subset)):
        reference = [k for k, level in enumerate(cell) if level == 0]
        value = 0.0
        for size in range(len(reference) + 1):
            for chosen in combinations(reference, size):
                ranges = [range(1, levels[subset[k]]) for k in chosen]
                for filled in product(*ranges):
                    exponents = [0] * len(levels)
                    for k, level in enumerate(cell):
                        exponents[subset[k]] = level
                    for k, level in zip(chosen, filled, strict=True):
                        exponents[subset[k]] = level
                    value += (-1) ** size * pure.get(tuple(exponents), 0.0)
        table[cell] = value
    # Rounding leaves -1e-17 where a cell is empty.
    clipped: FloatArray = np.where(table < 1e-12, 0.0, table)
    return clipped
