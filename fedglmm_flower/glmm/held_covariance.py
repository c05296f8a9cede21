"""Covariances with one standard deviation or correlation held at a value."""

from dataclasses import dataclass, replace

import numpy as np

from fedglmm_flower.glmm.covariance import Covariance
from fedglmm_flower.glmm.rows import FloatArray, IntArray


@dataclass(frozen=True)
class Held:
    """
    Theta as a function of what is still free: ``theta = base + J x``.

    A term whose parameter is held has b = L u with L lower triangular in an order of
    effects that puts those concerned first.  Then the first row is the first effect's
    sd, and the first two rows hold the correlation of two effects, so that holding
    either leaves L affine in the rest, with no constraint on it.  Theta has all q * q
    entries of such a term's Lambda, for R L is not triangular.

    Attributes
    ----------
    covariance : Covariance
        The layout of this theta.
    base : array of shape (t,)
    J : array of shape (t, f)
    start : array of shape (f,)
        The free values at the fit.
    scale : array of shape (f,)
        Sizes at which they reach the linear predictor alike.
    positive : array of int
        Free values that must stay positive: the two sds of a correlation that is
        held, whose signs would turn it around.
    """

    covariance: Covariance
    base: FloatArray
    J: FloatArray
    start: FloatArray
    scale: FloatArray
    positive: IntArray

    def allows(self, x: FloatArray) -> bool:
        """Whether free values are inside their range."""
        return bool((x[self.positive] > 0).all())


@dataclass(frozen=True)
class Parameter:
    """A standard deviation (one effect) or a correlation (two) of a term."""

    term: int
    effects: tuple[int, ...]


def hold(
    covariance: Covariance, theta: FloatArray, parameter: Parameter, value: float
) -> Held:
    """
    Hold one parameter.

    Parameters
    ----------
    covariance : Covariance
    theta : array
        In its layout: the fit.
    parameter : Parameter
    value : float
        Of the sd (in units of theta, on the scale of the effect), or the correlation.
    """
    t = parameter.term
    mine = covariance.terms == t
    place = covariance.columns[t]
    q = place.stop - place.start
    R = covariance.factors[t]
    if int(mine.sum()) == q:  # uncorrelated: theta itself is the scaled sd
        at = int(np.flatnonzero(mine)[parameter.effects[0]])
        free = np.arange(covariance.size) != at
        base = np.where(free, 0.0, value * R[parameter.effects * 2])
        J = np.eye(covariance.size)[:, free]
        ones = np.ones(int(free.sum()))
        return Held(covariance, base, J, theta[free], ones, np.zeros(0, dtype=np.intp))
    order = [*parameter.effects, *(j for j in range(q) if j not in parameter.effects)]
    L0, moves, start, scale = _triangle(
        _rotated(covariance.unwhiten(t, covariance.matrix(theta)[place, place])[order]),
        np.abs(np.diag(R))[order],
        value,
        correlation=len(parameter.effects) == 2,
    )
    layout = _full(covariance, t)
    others = np.flatnonzero(layout.terms != t)
    entries = np.flatnonzero(layout.terms == t)
    rows, cols = layout.rows[entries] - place.start, layout.cols[entries] - place.start

    def carried(L: FloatArray) -> FloatArray:
        B = np.empty_like(L)
        B[order] = L
        return np.asarray((R @ B)[rows, cols], dtype=np.float64)

    base = np.zeros(layout.size)
    base[entries] = carried(L0)
    J = np.zeros((layout.size, len(others) + len(start)))
    J[others, np.arange(len(others))] = 1.0
    for k, move in enumerate(moves):
        J[entries, len(others) + k] = carried(move)
    return Held(
        layout,
        base,
        J,
        np.concatenate([theta[~mine], start]),
        np.concatenate([np.ones(len(others)), scale]),
        len(others) + np.arange(2 if len(parameter.effects) == 2 else 0),
    )


def _full(covariance: Covariance, term: int) -> Covariance:
    """The same layout, with every entry of one term's block."""
    keep = covariance.terms != term
    place = covariance.columns[term]
    span: IntArray = np.arange(place.start, place.stop, dtype=np.intp)
    cols, rows = (grid.ravel() for grid in np.meshgrid(span, span, indexing="ij"))
    return replace(
        covariance,
        rows=np.concatenate([covariance.rows[keep], rows]),
        cols=np.concatenate([covariance.cols[keep], cols]),
        terms=np.concatenate(
            [covariance.terms[keep], np.full(len(rows), term, dtype=np.intp)]
        ),
    )


def _rotated(half: FloatArray) -> FloatArray:
    """Lower triangular, of the same products of rows; diagonal not negative."""
    L = np.asarray(np.linalg.qr(half.T, mode="r")).T
    return np.asarray(L * np.where(np.diag(L) < 0, -1.0, 1.0), dtype=np.float64)


def _triangle(
    L: FloatArray, size: FloatArray, value: float, *, correlation: bool
) -> tuple[FloatArray, list[FloatArray], FloatArray, FloatArray]:
    """L as ``L0 + sum x_k M_k``: L0, the M, x at the fit, and its scales."""
    q = len(L)
    L0 = np.zeros((q, q))
    moves: list[FloatArray] = []
    start: list[float] = []
    scale: list[float] = []

    def free(move: FloatArray, at: float, row: int) -> None:
        moves.append(move)
        start.append(at)
        scale.append(1.0 / size[row])

    first = 1
    if correlation:
        for row, entries in ((0, [1.0]), (1, [value, np.sqrt(1.0 - value**2)])):
            move = np.zeros((q, q))
            move[row, : len(entries)] = entries
            free(move, float(np.linalg.norm(L[row])), row)
        first = 2
    else:
        L0[0, 0] = value
    for row in range(first, q):
        for col in range(row + 1):
            move = np.zeros((q, q))
            move[row, col] = 1.0
            free(move, float(L[row, col]), row)
    return L0, moves, np.array(start), np.array(scale)


def lifted(start: FloatArray, scale: FloatArray, small: float = 0.05) -> FloatArray:
    """A start whose zeros are moved: where one parameter is held, zero may move."""
    return np.where(start == 0.0, small * scale, start)
