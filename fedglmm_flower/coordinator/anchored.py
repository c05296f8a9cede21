"""Moments and the sums at an anchor, as functions of the pseudo-rows."""

from collections.abc import Callable

import numpy as np

from fedglmm_flower.coordinator.targets import Anchored
from fedglmm_flower.coordinator.transport import FloatArray, HermiteMoments

Place = Callable[[FloatArray], FloatArray]


class AnchoredMoments:
    """
    The functions of :class:`HermiteMoments` and those of an expansion together.

    Dense where the moments alone are handled cell by cell: what happens at the anchor
    is no product of a polynomial and an indicator.

    Parameters
    ----------
    moments : HermiteMoments
        Moment functions.
    anchored : Anchored
        What is known at the anchor.
    place : callable
        Atoms of standardised points.
    moving : list of int
        Atoms that move.
    sds : array of shape (d,)
        Atoms per unit of a standardised coordinate.
    start : array of shape (rows, d)
        Where functions are measured to bring them to one scale.
    """

    def __init__(
        self,
        moments: HermiteMoments,
        anchored: Anchored,
        place: Place,
        moving: list[int],
        sds: FloatArray,
        start: FloatArray,
    ) -> None:
        self.moments, self.anchored, self.place = moments, anchored, place
        self.moving, self.sds = moving, sds
        self.known = len(anchored.means)
        self.weights = moments.weights
        sizes = anchored.expansion.values(place(start))[: self.known] ** 2
        spread = np.sqrt(sizes @ self.weights)
        self.scale = np.concatenate([moments.scale, 1.0 / np.maximum(spread, 1e-12)])
        self.indicators = moments.masks[:, moments.cell]

    def values(self, points: FloatArray) -> FloatArray:
        """Means of all functions."""
        at_anchor = self.anchored.expansion.values(self.place(points))[: self.known]
        scaled = (at_anchor @ self.weights) * self.scale[-self.known :]
        return np.concatenate([self.moments.values(points), scaled])

    def slopes(self, points: FloatArray) -> FloatArray:
        """Gradients of all functions, shape (functions, d, rows)."""
        moments, (rows, d) = self.moments, points.shape
        polynomials = moments.slopes(points)
        out = np.zeros((len(self.scale), d, rows))
        for k, e in enumerate(moments.exponents.T):
            used = np.flatnonzero(e)
            out[used, k] = polynomials[moments.which[used], k] * self.indicators[used]
        expansion = self.anchored.expansion
        more = expansion.slopes(self.place(points), self.moving)[: self.known]
        sizes = self.sds * self.scale[-self.known :, None]
        np.multiply(more, sizes[:, :, None], out=out[-self.known :])
        return out

    def gram(self, slopes: FloatArray) -> FloatArray:
        """Mass-weighted products of the functions' gradients."""
        root = np.sqrt(self.weights)
        out = np.zeros((len(slopes), len(slopes)))
        at_anchor = np.ones(self.known, dtype=np.bool_)
        for k, e in enumerate(self.moments.exponents.T):
            # A moment is flat along an atom that it does not contain.
            used = np.flatnonzero(np.append(e > 0, at_anchor))
            weighted = slopes[used, k] * root
            out[np.ix_(used, used)] += weighted @ weighted.T
        return out

    def combine(self, alpha: FloatArray, slopes: FloatArray) -> FloatArray:
        """Gradient of ``sum_j alpha_j f_j`` at every row, shape (rows, d)."""
        flat = alpha @ slopes.reshape(len(slopes), -1)
        total: FloatArray = flat.reshape(slopes.shape[1:]).T
        return total
