"""Records as whole numbers whose norm is at most the declared bound, exactly.

The sensitivity of a release rests on :func:`guarded` alone.  It is given whatever
floating-point arithmetic made of a record, and returns integers whose squares, summed
as integers, are at most ``R**2``; no rounding, overflow or undefined value before it
can break that.
"""

from math import floor
from typing import Final

import numpy as np
import numpy.typing as npt

from fedglmm_flower.site.privacy import MAX_COORDINATES, MAX_NORM

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BITS: Final = 20
STEP: Final = 2.0**-BITS
_SMALL_STEPS: Final = 4


def radius(norm: float) -> int:
    """
    The clipping norm in steps, rounded down.

    Examples
    --------
    >>> radius(1.5)
    1572864
    """
    return floor(norm * 2**BITS)


def guarded(features: FloatArray, norm: float) -> IntArray:
    """
    Each record scaled down to the norm where it is longer, in steps of ``2**-20``.

    Law: for every input, also NaN, infinite and subnormal ones, the sum of squares of
    each row of the result is at most ``radius(norm)**2``, in exact arithmetic; and a
    row of the result depends on the same row of the input alone.

    Parameters
    ----------
    features : array of shape (records, coordinates)
        Weighted statistics; a record that is not finite counts as empty.
    norm : float
        At most ``MAX_NORM``.

    Returns
    -------
    integer array of the same shape
    """
    most = radius(norm)
    if not 0 < norm <= MAX_NORM or features.shape[1] > MAX_COORDINATES:
        raise ValueError("norm or number of coordinates out of range")
    finite = np.asarray(np.isfinite(features).all(axis=1))[:, None]
    clean = np.where(finite, features, 0.0)
    # Column by column and element by element: what an entry becomes must not depend on
    # where its record stands, as the last bit of numpy's sums along an axis may.
    largest = np.zeros(len(clean))
    total = np.zeros(len(clean))
    for column in clean.T:
        largest = np.maximum(largest, np.abs(column))
    with np.errstate(all="ignore"):
        for column in clean.T:
            # Relative to the largest: squares of huge ones would overflow.
            part = np.where(largest > 0, column / largest, 0.0)
            total += part * part
        shrink = norm / np.sqrt(total) / largest
        shrink = np.where(shrink < 1.0, shrink, 1.0)[:, None]
        steps = np.nan_to_num(clean * shrink * 2.0**BITS, nan=0.0)
    whole = np.trunc(np.clip(steps, -most, most)).astype(np.int64)
    # From here on integers only.
    np.clip(whole, -most, most, out=whole)
    for again in range(2 * BITS):
        long = (whole * whole).sum(axis=1) > most * most
        if not long.any():
            break
        left = np.abs(whole[long])
        left = np.maximum(left - 1, 0) if again < _SMALL_STEPS else left >> 1
        whole[long] = np.sign(whole[long]) * left
    return whole
