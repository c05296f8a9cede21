"""Ways from sums to rows that lost, for the record."""

import numpy as np
from scipy.optimize import nnls

from benchmarks.release_sets.cases import Case
from benchmarks.release_sets.fitting import Shift, met, shift_of
from fedglmm_flower.coordinator import pseudodata
from fedglmm_flower.coordinator.pooling import PseudoSite
from fedglmm_flower.coordinator.pseudodata import (
    PseudoRows,
    generate,
    planned_rows,
)
from fedglmm_flower.coordinator.responses import responses_of
from fedglmm_flower.coordinator.starts import Starts
from fedglmm_flower.coordinator.targets import Targets
from fedglmm_flower.coordinator.tilting import tilt
from fedglmm_flower.glmm.cumulant import FloatArray
from fedglmm_flower.glmm.evaluate import evaluate_monomials

PRINCIPLES = (
    "moved and tilted",
    "moved only",
    "maximum entropy on fixed points",
    "non-negative least squares on fixed points",
)


def by_principle(case: Case, order: int, principle: str) -> tuple[Shift, int]:
    """
    Shift of an anchored release by a principle, and sites whose sums were missed.

    Fixed points are those of a smooth start that meets the second moments.
    """
    found = case.targets("anchored", order)
    starts = Starts.for_rows(1, max(planned_rows(t) for t in found.values()))
    draws, missed = {}, 0
    kept = pseudodata._corrected  # noqa: SLF001 - what is switched off
    if principle == "moved only":
        pseudodata._corrected = _as_moved  # noqa: SLF001
    try:
        for block, (site, wanted) in enumerate(found.items()):
            targets, _ = met(case, wanted, starts, block)
            if principle.startswith("moved"):
                rows, off = generate(case.model, targets, starts, block), 0.0
            else:
                smooth = targets.lower(case.degrees, min(order, 2))
                smooth = _without_anchor(smooth)
                start = generate(case.model, smooth, starts, block)
                rows, off = _weighted(case, start, targets, principle)
            missed += off > 1e-3
            responses, _ = responses_of(case.model, rows, targets)
            draws[site] = [PseudoSite(rows, responses, rows.residual)]
    finally:
        pseudodata._corrected = kept  # noqa: SLF001
    return shift_of(case, found, draws), missed


def _without_anchor(targets: Targets) -> Targets:
    values = {**vars(targets), "anchored": None}
    return Targets(**values)


def _weighted(
    case: Case, start: PseudoRows, targets: Targets, principle: str
) -> tuple[PseudoRows, float]:
    """New weights of fixed points, and the largest sum that they miss."""
    factors = case.model.factors
    monomials = [m for m in targets.moments if any(m)]
    f = evaluate_monomials(start.values, monomials, factors)
    goal = np.array([targets.moments[m] for m in monomials])
    if targets.anchored is not None:
        known = targets.anchored.means
        at_anchor = targets.anchored.expansion.values(start.values)[: len(known)]
        f, goal = np.vstack([f, at_anchor]), np.append(goal, known)
    before = start.weights / targets.total
    if principle.startswith("maximum"):
        tilted = tilt(before, f, goal)
        weights, off = tilted.weights, tilted.residual
    else:
        weights, off = _vertex(f, goal)
    rows = PseudoRows(start.values, weights * targets.total, off, exact=False)
    return _positive(rows), off


def _vertex(f: FloatArray, goal: FloatArray) -> tuple[FloatArray, float]:
    size = np.maximum(np.sqrt((f**2).mean(axis=1)), 1e-12)
    A = np.vstack([f / size[:, None], np.ones(f.shape[1])])
    b = np.append(goal / size, 1.0)
    weights, _ = nnls(A, b, maxiter=20 * A.shape[1])
    return weights, float(np.abs(A @ weights - b).max())


def _positive(rows: PseudoRows) -> PseudoRows:
    """Rows that carry mass: the engine takes no others."""
    kept = rows.weights > 1e-12 * rows.weights.sum()
    return PseudoRows(rows.values[kept], rows.weights[kept], rows.residual, exact=False)


def _as_moved(rows: PseudoRows, targets: Targets) -> PseudoRows:  # noqa: ARG001
    """No correction by the weights; ``targets`` is what one would need."""
    return rows
