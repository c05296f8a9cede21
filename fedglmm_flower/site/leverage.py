"""How much one record stands out in the span of functions, in two passes."""

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.linalg import qr, solve_triangular

FloatArray = npt.NDArray[np.float64]
Parts = Callable[[], Iterable[FloatArray]]
# Functions that differ less than this from combinations of others are these.
_RANK: Final = 1e-11


def leverages(parts: Parts) -> Iterable[FloatArray]:
    """
    Leverage of each record in the span of some functions, part by part.

    Law: the largest share that the record has in ``sum_i g(i)^2``, over all ``g`` that
    are combinations of the functions.  At 1 there is one that vanishes on all records
    but this one.  Memory is bounded by a part and the square of the functions.

    Parameters
    ----------
    parts : callable
        Gives arrays of shape (functions, records), anew at each of two calls.

    Examples
    --------
    >>> part = np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 5.0, 5.0]])
    >>> [np.round(found, 12).tolist() for found in leverages(lambda: [part])]
    [[0.5, 0.5, 0.5, 0.5]]
    """
    for whitened in whitenings(parts):
        yield np.minimum(1.0, np.einsum("ij,ij->j", whitened, whitened))


def whitenings(parts: Parts) -> Iterable[FloatArray]:
    """
    The functions in an orthonormal basis of their span, part by part.

    The squares of a record add up to its leverage; what overflows cannot be told from a
    record that stands alone, and is a single one there.
    """
    triangle: FloatArray | None = None
    for part in parts():
        rows = part.T if triangle is None else np.vstack([triangle, part.T])
        triangle = np.asarray(np.linalg.qr(rows, mode="r"))
    if triangle is None:
        return
    finite = bool(np.isfinite(triangle).all())
    used, root = _basis(triangle) if finite else ([], triangle)
    for part in parts():
        if not finite:
            yield np.ones((1, part.shape[1]))
            continue
        yield np.asarray(solve_triangular(root, part[used], trans="T"))


def largest_leverage(parts: Parts) -> float:
    """
    The largest leverage of a record; 0 without records.

    Examples
    --------
    >>> part = np.array([[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 5.0]])
    >>> round(largest_leverage(lambda: [part]), 12)
    1.0
    """
    return max((float(one.max(initial=0.0)) for one in leverages(parts)), default=0.0)


def _basis(triangle: FloatArray) -> tuple[list[int], FloatArray]:
    """Functions that span all of them, and a root of their products' sums."""
    sizes = np.linalg.norm(triangle, axis=0)
    root, order = qr(
        triangle / np.where(sizes > 0, sizes, 1.0), mode="r", pivoting=True
    )
    strength = np.abs(np.diag(root))
    rank = int((strength > _RANK * strength.max(initial=0.0)).sum())
    kept = order[:rank]
    return kept.tolist(), root[:rank, :rank] * sizes[kept]
