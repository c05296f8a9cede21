"""Pseudo-data: weighted rows whose moments are the released ones.

Factor cells are exact, and only continuous atoms are moved (design, section 4).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from fedglmm_flower.coordinator.anchored import AnchoredMoments
from fedglmm_flower.coordinator.factor_cells import FactorCells, factor_cells
from fedglmm_flower.coordinator.starts import Starts
from fedglmm_flower.coordinator.targets import Targets
from fedglmm_flower.coordinator.tilting import tilt
from fedglmm_flower.coordinator.transport import (
    Box,
    HermiteMoments,
    Limits,
    hermite_transform,
    transport,
)
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.polynomial import Monomial

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MIN_ROWS = 64
MAX_ROWS = 4000
# Measured on GUSTO-I and CHOP: rows in proportion to those of the site reproduce the
# extremes of a sample of its size.  With fewer, tails are too short and slopes too
# steep; with many more it is the other way round.
ROWS_PER_ROW = 1.5
LEAST_IN_CELL = 60
# Residual from which an anchored move is tried again in two stages.
STUCK = 1e-2
_VARIES = 1e-9
# The weights take up the rest.
_WITH_ANCHOR: Final[Limits] = {"tolerance": 1e-6, "max_iterations": 60}


@dataclass(frozen=True)
class PseudoRows:
    """
    Pseudo-data of one cluster, in terms of atoms.

    Parameters
    ----------
    values : array of shape (rows, atoms)
        As :class:`~fedglmm_flower.glmm.evaluate.AtomRows` holds them.
    weights : array of shape (rows,)
        Masses; their sum is that of the released measure.
    residual : float
        Largest difference of a normalised moment: in units of its standard deviation
        under a Gaussian.
    exact : bool
        Whether the released moments leave nothing open.
    """

    values: FloatArray
    weights: FloatArray
    residual: float
    exact: bool


def planned_rows(targets: Targets) -> int:
    """Number of pseudo-rows of a cluster, but for rounding within its cells."""
    return int(np.clip(ROWS_PER_ROW * targets.n_rows, MIN_ROWS, MAX_ROWS))


def generate(
    model: Model, targets: Targets, starts: Starts, block: int = 0
) -> PseudoRows:
    """
    Smooth pseudo-data for one cluster.

    Parameters
    ----------
    model : Model
        The question.
    targets : Targets
        Released moments.
    starts : Starts
        Quasi-random normal scores for all clusters.
    block : int
        Which of its blocks to start from.

    Returns
    -------
    PseudoRows
        The moments of the rows are the targets, up to ``residual``.

    Raises
    ------
    FitError
        If the factors have too many combinations.
    """
    factor_at = [i for i, is_factor in enumerate(model.factors) if is_factor]
    levels = [len(model.atoms[i].levels) for i in factor_at]
    cells = factor_cells(targets.moments, levels, factor_at)
    continuous = [i for i, is_factor in enumerate(model.factors) if not is_factor]
    means, sds = _spread(targets.moments, continuous, len(model.atoms))
    moving = [k for k, sd in enumerate(sds) if sd > _VARIES]
    if not moving:
        fixed = _rows_of_cells(model, cells, means, targets, exact=cells.determined)
        return fixed if fixed.exact else _corrected(fixed, targets)
    index, weights = _divide(cells, planned_rows(targets))
    problem = _Problem(
        model,
        targets.moments,
        cells,
        [continuous[k] for k in moving],
        means[moving],
        sds[moving],
    )
    start = problem.start(index, starts, block)
    at = [continuous[k] for k in moving]

    def place(points: FloatArray) -> FloatArray:
        values = np.zeros((len(index), len(model.atoms)))
        values[:, continuous] = means
        values[:, at] = means[moving] + sds[moving] * points
        values[:, factor_at] = cells.codes[index]
        return values

    moments, goal = problem.functions(index, weights)
    functions: HermiteMoments | AnchoredMoments = moments
    anchored = targets.anchored
    if anchored is not None:
        functions = AnchoredMoments(moments, anchored, place, at, sds[moving], start)
        goal = np.concatenate([goal, anchored.means])
    box = problem.box()
    limits = {} if anchored is None else _WITH_ANCHOR
    moved = transport(start, functions, goal, box, **limits)
    if anchored is not None and moved.residual > STUCK:
        # Far from a Gaussian all at once is too much: the moments first.
        known = goal[: len(goal) - len(anchored.means)]
        first = transport(start, moments, known, box, **limits)
        again = transport(first.points, functions, goal, box, **limits)
        moved = min(moved, again, key=lambda one: one.residual)
    rows = PseudoRows(
        place(moved.points),
        weights * targets.total,
        max(moved.residual, cells.missed),
        exact=False,
    )
    return _corrected(rows, targets)


def _corrected(rows: PseudoRows, targets: Targets) -> PseudoRows:
    """What is known at the anchor, met by the weights where little is missing."""
    anchored = targets.anchored
    if anchored is None:
        return rows
    means = anchored.means
    functions = anchored.expansion.values(rows.values)[: len(means)]
    share = rows.weights / targets.total
    # One scale for all: an amount may be of any unit.
    size = np.maximum(np.sqrt(functions**2 @ share), 1e-300)
    tilted = tilt(share, functions / size[:, None], means / size)
    if not tilted.mild:
        return rows
    return replace(rows, weights=tilted.weights * targets.total)


class _Problem:
    """Moments of one cluster in standardised coordinates."""

    def __init__(
        self,
        model: Model,
        moments: Mapping[Monomial, float],
        cells: FactorCells,
        moving: list[int],
        means: FloatArray,
        sds: FloatArray,
    ) -> None:
        self.model, self.cells, self.moving = model, cells, moving
        self.means, self.sds = means, sds
        factors = model.factors
        fixed = [i for i, f in enumerate(factors) if not f and i not in set(moving)]
        kept = [m for m in moments if not any(m[i] for i in fixed)]
        self.exponents = np.array([[m[i] for i in moving] for m in kept])
        parts = [
            tuple(e if f else 0 for e, f in zip(m, factors, strict=True)) for m in kept
        ]
        self.parts = list(dict.fromkeys(parts))
        at = {part: i for i, part in enumerate(self.parts)}
        self.group = np.array([at[part] for part in parts])
        raw = np.array([moments[m] for m in kept])
        self.hermite = (
            hermite_transform(self.exponents, list(self.group), means, sds) @ raw
        )

    def box(self) -> Box:
        """Declared bounds in standardised coordinates."""
        lower = np.full(len(self.moving), -np.inf)
        upper = np.full(len(self.moving), np.inf)
        for k, at in enumerate(self.moving):
            column = self.model.columns.get(self.model.atoms[at].name)
            if column is None:
                continue
            if column.low is not None:
                low = (column.low - column.center) / column.scale
                lower[k] = (low - self.means[k]) / self.sds[k]
            if column.high is not None:
                high = (column.high - column.center) / column.scale
                upper[k] = (high - self.means[k]) / self.sds[k]
        return Box(lower, upper)

    def _indicators(self) -> FloatArray:
        """Indicator parts on the cells, shape (parts, cells)."""
        factor_at = [i for i, f in enumerate(self.model.factors) if f]
        out = np.ones((len(self.parts), len(self.cells.codes)))
        for i, part in enumerate(self.parts):
            for j, at in enumerate(factor_at):
                if part[at]:
                    out[i] *= self.cells.codes[:, j] == part[at]
        return out

    def functions(
        self, index: IntArray, weights: FloatArray
    ) -> tuple[HermiteMoments, FloatArray]:
        """Functions that can be moved, and their targets."""
        masks = self._indicators()
        mass = np.bincount(index, weights, masks.shape[1])
        free = self.exponents.any(axis=1) & (masks[self.group] @ mass > 1e-12)
        functions = HermiteMoments(
            self.exponents[free], masks[self.group[free]], index, weights
        )
        return functions, self.hermite[free]

    def start(self, index: IntArray, starts: Starts, block: int) -> FloatArray:
        """Quasi-random Gaussian with matched covariance and additive cell means."""
        d, rows = len(self.moving), len(index)
        second = self._second()
        single = [i for i, p in enumerate(self.parts) if sum(map(bool, p)) <= 1]
        design = self._indicators()[single].T
        p = self.cells.probabilities
        inner = design.T @ (design * p[:, None])
        cross = np.zeros((len(single), d))
        for i, part in enumerate(single):
            for k in range(d):
                cross[i, k] = self._moment(part, {k: 1})
        slopes = np.linalg.lstsq(inner, cross, rcond=1e-10)[0]
        explained = slopes.T @ inner @ slopes
        values, vectors = np.linalg.eigh(second - explained)
        root = vectors * np.sqrt(np.maximum(values, 1e-6))
        normal = starts.scores(rows, d, block)
        start: FloatArray = (design @ slopes)[index] + normal @ root.T
        return start

    def _second(self) -> FloatArray:
        d = len(self.moving)
        out = np.eye(d)
        for a in range(d):
            for b in range(a):
                out[a, b] = out[b, a] = self._moment(0, {a: 1, b: 1})
        return out

    def _moment(self, part: int, degrees: Mapping[int, int]) -> float:
        """A Hermite moment; zero where it is not released."""
        exponents = [degrees.get(k, 0) for k in range(len(self.moving))]
        empty = next(i for i, p in enumerate(self.parts) if not any(p))
        wanted = empty if part == 0 and not any(self.parts[0]) else part
        hit = (self.exponents == exponents).all(axis=1) & (self.group == wanted)
        return float(self.hermite[hit][0]) if hit.any() else 0.0


def _spread(
    moments: Mapping[Monomial, float], continuous: list[int], atoms: int
) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of each continuous atom; one where unknown."""
    means, sds = np.zeros(len(continuous)), np.ones(len(continuous))
    for k, at in enumerate(continuous):
        first = tuple(1 if i == at else 0 for i in range(atoms))
        second = tuple(2 if i == at else 0 for i in range(atoms))
        means[k] = moments.get(first, 0.0)
        if second in moments:
            variance = moments[second] - means[k] ** 2
            rounding = 1e-13 * (1 + means[k] ** 2)
            sds[k] = np.sqrt(variance) if variance > rounding else 0.0
    return means, sds


def _divide(cells: FactorCells, count: int) -> tuple[IntArray, FloatArray]:
    """Rows of every cell, and their masses, which sum to one."""
    # A rare cell of few rows is not smooth: on GUSTO-I this moved a coefficient.
    least = int(np.clip(count // (2 * len(cells.probabilities)), 1, LEAST_IN_CELL))
    rows = np.maximum(np.ceil(cells.probabilities * count).astype(np.int64), least)
    index = np.repeat(np.arange(len(rows)), rows)
    return index, (cells.probabilities / rows)[index]


def _rows_of_cells(
    model: Model,
    cells: FactorCells,
    means: FloatArray,
    targets: Targets,
    *,
    exact: bool,
) -> PseudoRows:
    values = np.zeros((len(cells.codes), len(model.atoms)))
    factor = continuous = 0
    for at, is_factor in enumerate(model.factors):
        if is_factor:
            values[:, at] = cells.codes[:, factor]
            factor += 1
        else:
            values[:, at] = means[continuous]
            continuous += 1
    weights = cells.probabilities * targets.total
    return PseudoRows(values, weights, cells.missed, exact)
