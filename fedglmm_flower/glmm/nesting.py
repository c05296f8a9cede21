"""Clusters inside clusters: the order in which random effects are eliminated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedglmm_flower.errors import FitError
from fedglmm_flower.glmm.rows import FloatArray, IntArray


@dataclass(frozen=True)
class Stage:
    """
    One grouping factor of a chain.

    Attributes
    ----------
    group : str
    levels : tuple of str
        Names of its clusters, in the chain's order.
    columns : slice
        Where its random effects stand among the Q effects of a chain.
    parent : array of shape (G,)
        For each cluster, the cluster of the stage above; zeros at the top.
    starts : array
        First cluster of each cluster of the stage above, for ``np.add.reduceat``.
    """

    group: str
    levels: tuple[str, ...]
    columns: slice
    parent: IntArray
    starts: IntArray


@dataclass(frozen=True)
class Chain:
    """
    Nested grouping factors, outermost first.

    Every row belongs to one innermost cluster, and through it to one cluster of each
    stage; the random effects of those clusters together are the row's Q effects.

    Attributes
    ----------
    stages : tuple of Stage
    order : array of shape (n,)
        Permutation that brings the rows of a cluster together.
    starts : array of shape (G,)
        First sorted row of each innermost cluster.
    cluster : array of shape (n,)
        Innermost cluster of each sorted row.
    ancestors : tuple of arrays of shape (G,)
        For each stage, the cluster that each innermost cluster lies in.
    """

    stages: tuple[Stage, ...]
    order: IntArray
    starts: IntArray
    cluster: IntArray
    ancestors: tuple[IntArray, ...]

    @property
    def selection(self) -> IntArray | slice:
        """What brings rows into `order`, at no cost where they stand so already."""
        return slice(None) if (np.diff(self.order) > 0).all() else self.order

    @property
    def width(self) -> int:
        """Number of random effects that reach one row."""
        return self.stages[-1].columns.stop if self.stages else 0

    def expand(self, effects: Sequence[FloatArray]) -> FloatArray:
        """Effects of each stage's clusters, side by side for innermost clusters."""
        return np.concatenate(
            [e[a] for e, a in zip(effects, self.ancestors, strict=True)], axis=1
        )

    def top(self, values: FloatArray) -> FloatArray:
        """Sum values of innermost clusters over the outermost ones."""
        outer = self.ancestors[0]
        if len(self.stages) == 1:
            return values
        size = len(self.stages[0].levels)
        return np.asarray(np.bincount(outer, values, size), dtype=np.float64)


def build_chain(
    groups: Sequence[tuple[str, IntArray, tuple[str, ...], int]],
    *,
    least: int = 2,
) -> Chain:
    """
    Order grouping factors from outermost to innermost.

    Parameters
    ----------
    groups : sequence of (name, index, levels, number of effects)
        Distinct grouping factors, with the cluster of each row.
    least : int
        Fewest clusters of a factor; one where the rows are a part of those of a fit.

    Raises
    ------
    FitError
        If two factors are crossed, or a factor has a single cluster.
    """
    present = [np.unique(index) for _, index, _, _ in groups]
    for (name, _, _, _), codes in zip(groups, present, strict=True):
        if len(codes) < least:
            raise FitError(
                f"random effects by {name!r}: all rows belong to one cluster; "
                "a random effect needs at least two; drop the random term"
            )
    sequence = sorted(range(len(groups)), key=lambda g: len(present[g]))
    order = np.lexsort([groups[g][1] for g in reversed(sequence)])
    stages: list[Stage] = []
    firsts: list[IntArray] = []
    codes_above: IntArray = np.zeros(len(order), dtype=np.intp)
    column = 0
    for g in sequence:
        name, index, levels, width = groups[g]
        code = index[order]
        change = (code[1:] != code[:-1]) | (codes_above[1:] != codes_above[:-1])
        first = np.flatnonzero(np.r_[True, change])
        if len(first) != len(present[g]):
            other = stages[-1].group
            raise FitError(
                f"random effects by {name!r} and {other!r} are crossed: a cluster of "
                "one meets several clusters of the other; clusters must be nested; "
                "for crossed effects pool the data and use lme4 or MixedModels.jl"
            )
        parent = codes_above[first]
        starts = np.flatnonzero(np.r_[True, parent[1:] != parent[:-1]])
        stages.append(
            Stage(
                name,
                tuple(levels[c] for c in code[first]),
                slice(column, column + width),
                parent,
                starts,
            )
        )
        column += width
        counts = np.diff(np.r_[first, len(order)])
        codes_above = np.repeat(np.arange(len(first)), counts)
        firsts.append(first)
    inner = firsts[-1]
    ancestors = tuple(
        np.searchsorted(first, inner, side="right") - 1 for first in firsts
    )
    return Chain(tuple(stages), order, inner, codes_above, ancestors)
