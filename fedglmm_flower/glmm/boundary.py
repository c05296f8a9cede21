"""Zero variances and perfect correlations, found and set exactly."""

from collections.abc import Callable

import numpy as np

from fedglmm_flower.glmm.covariance import Covariance
from fedglmm_flower.glmm.optimise import (
    Hessian,
    Maximum,
    Objective,
    information,
    maximise,
)
from fedglmm_flower.glmm.rows import BoolArray, FloatArray

_SUSPECT = 0.05  # singular values of Lambda below this share, or size, are examined
_SAME = 1e-7  # log-likelihood that may be lost by setting a direction to zero

Curvature = Callable[[FloatArray], FloatArray]


def on_boundary(
    objective: Objective,
    covariance: Covariance,
    place: slice,
    found: Maximum,
    free: BoolArray,
    *,
    curvature: Curvature,
    limit: FloatArray,
    hessian: Hessian | None = None,
) -> tuple[Maximum, BoolArray]:
    """
    Replace a maximum with nearly singular covariance by the exactly singular one.

    Parameters
    ----------
    objective : callable
        In all parameters.
    covariance : Covariance
    place : slice
        Where theta stands among the parameters.
    found : Maximum
    free : boolean array
        Parameters that are free so far.
    curvature, limit, hessian
        Of all parameters, for the optimiser.

    Returns
    -------
    Maximum
        In the free parameters; `Maximum.point` holds them all.
    free : boolean array
        Parameters that are not held at zero.
    """
    best = found
    for term in range(len(covariance.columns)):
        while True:
            candidate = _smaller(covariance, place, term, best.point, free)
            if candidate is None:
                break
            start, fewer = candidate
            reduced = restricted(objective, start, fewer, curvature, limit, hessian)
            if reduced.value < best.value - _SAME or _can_grow(
                objective, reduced.point, free & ~fewer
            ):
                break
            best, free = reduced, fewer
    return best, free


def _smaller(
    covariance: Covariance,
    place: slice,
    term: int,
    point: FloatArray,
    free: BoolArray,
) -> tuple[FloatArray, BoolArray] | None:
    """A start with one direction of a term's covariance less, if it is small."""
    theta = point[place]
    c = covariance.columns[term]
    mine = np.flatnonzero(covariance.terms == term)
    Lambda = covariance.matrix(theta)[c, c]
    active = free[place]
    ranks = np.unique(covariance.cols[mine][active[mine]])
    if not len(ranks):
        return None
    correlated = len(mine) > Lambda.shape[0]
    fewer = free.copy()
    new = Lambda.copy()
    if correlated:
        left, s, _ = np.linalg.svd(Lambda)
        rank = len(ranks)
        if s[rank - 1] > _SUSPECT * max(1.0, s[0]):
            return None
        kept = left[:, : rank - 1] * s[: rank - 1]
        # Rotate to the lower triangular form: Lambda Q of the kept directions.
        new = np.zeros_like(Lambda)
        if rank > 1:
            new[:, : rank - 1] = np.asarray(np.linalg.qr(kept.T, mode="r")).T
        dropped = mine[covariance.cols[mine] >= c.start + rank - 1]
    else:
        sizes = np.abs(np.diag(Lambda))[ranks - c.start]
        j = int(ranks[np.argmin(sizes)])
        if sizes.min() > _SUSPECT:
            return None
        new[j - c.start, j - c.start] = 0.0
        dropped = mine[covariance.cols[mine] == j]
    full = covariance.matrix(theta)
    full[c, c] = new
    start = point.copy()
    start[place] = covariance.gather(full)
    offset = place.start or 0
    fewer[offset + dropped] = False
    return start, fewer


def restricted(
    objective: Objective,
    start: FloatArray,
    free: BoolArray,
    curvature: Curvature,
    limit: FloatArray,
    hessian: Hessian | None = None,
) -> Maximum:
    """Maximise over the free parameters, the others held where `start` has them."""

    def inner(x: FloatArray) -> tuple[float, FloatArray]:
        point = start.copy()
        point[free] = x
        value, gradient = objective(point)
        return value, gradient[free]

    def inner_hessian(x: FloatArray) -> FloatArray:
        point = start.copy()
        point[free] = x
        return (curvature if hessian is None else hessian)(point)[np.ix_(free, free)]

    reduced = maximise(
        inner,
        start[free],
        curvature(start)[np.ix_(free, free)],
        limit[free],
        None if hessian is None else inner_hessian,
    )
    point = start.copy()
    point[free] = reduced.point
    return Maximum(
        point,
        reduced.value,
        reduced.gradient,
        reduced.information,
        reduced.distance,
        reduced.definite,
    )


def _can_grow(objective: Objective, point: FloatArray, held: BoolArray) -> bool:
    """Whether some direction held at zero would raise the likelihood."""
    which = np.flatnonzero(held)

    def inner(x: FloatArray) -> tuple[float, FloatArray]:
        moved = point.copy()
        moved[which] = x
        value, gradient = objective(moved)
        return value, gradient[which]

    B = information(inner, np.zeros(len(which)), np.full(len(which), 1.0))
    return bool(np.linalg.eigvalsh(B)[0] < 0)
