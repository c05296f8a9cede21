"""How much one unit stands out in the span of functions, with all of its rows."""

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from fedglmm_flower.site.leverage import FloatArray, whitenings

IntArray = npt.NDArray[np.int64]
Parts: TypeAlias = Callable[[], Iterable[tuple[FloatArray, IntArray]]]
# Units whose products are held at once, and how often others follow.
_AT_ONCE: Final = 32
_TURNS: Final = 8


def largest_unit_leverage(parts: Parts) -> float:
    """
    The largest share of one unit in ``sum_i g(i)^2``, over all combinations ``g``.

    Law: of units of one row each it is the largest leverage of a row.  The share is the
    largest eigenvalue of what the unit adds to the identity, in an orthonormal basis;
    the sum of its rows' leverages is no less, so that units are looked at from the
    largest sum down until none can be larger.  Beyond ``_AT_ONCE * _TURNS`` units that
    sum itself is taken, which errs on the side of the unit.

    Parameters
    ----------
    parts : callable
        Gives arrays of shape (functions, rows) with the unit of each row, anew at each
        call.

    Examples
    --------
    >>> part = np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 5.0, 5.0]])
    >>> round(largest_unit_leverage(lambda: [(part, np.array([0, 1, 2, 2]))]), 12)
    1.0
    """

    def functions() -> Iterable[FloatArray]:
        return (part for part, _ in parts())

    def whitened() -> Iterable[tuple[FloatArray, IntArray]]:
        pairs = zip(whitenings(functions), parts(), strict=True)
        return ((one, units) for one, (_, units) in pairs)

    ids: IntArray = np.zeros(0, dtype=np.int64)
    sums = np.zeros(0)
    for one, units in whitened():
        every = np.concatenate([ids, units])
        each = np.concatenate([sums, np.einsum("ij,ij->j", one, one)])
        ids, at = np.unique(every, return_inverse=True)
        sums = np.bincount(at, each, len(ids)).astype(np.float64)
    order = np.argsort(-sums)
    best = 0.0
    for start in range(0, len(ids), _AT_ONCE):
        if sums[order[start]] <= best:
            return best
        if start == _AT_ONCE * _TURNS:
            return min(1.0, float(sums[order[start]]))
        chosen = ids[order[start : start + _AT_ONCE]]
        best = max(best, _largest(whitened, chosen))
    return best


def _largest(
    whitened: Callable[[], Iterable[tuple[FloatArray, IntArray]]], chosen: IntArray
) -> float:
    """The largest share among a few units."""
    held: dict[int, FloatArray] = {}
    for one, units in whitened():
        for unit in np.intersect1d(chosen, units):
            own = one[:, units == unit]
            held[int(unit)] = held.get(int(unit), 0.0) + own @ own.T
    largest = (float(np.linalg.eigvalsh(square)[-1]) for square in held.values())
    return min(1.0, max(largest, default=0.0))
