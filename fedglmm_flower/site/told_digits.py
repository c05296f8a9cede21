"""How many digits of a likelihood leave: as many as a fit needs, and no more.

A sum over rows in all digits of a floating-point number tells some fifty bits.  Of
columns of whole numbers, such as ages, a few such sums at chosen points hold more than
the whole table does, and lattice reduction finds it (Lenstra, Lenstra & Lovasz 1982).
Newton's step needs a billionth of a standard error.
"""

from dataclasses import replace
from typing import Final

import numpy as np

from fedglmm_flower.glmm.rows import FloatArray
from fedglmm_flower.glmm.score import Score

BITS: Final = 30


def in_told_digits(score: Score) -> Score:
    """
    A score rounded to ``2**-BITS`` of what its information makes of a standard error.

    Parameters
    ----------
    score : Score
        As the rows give it.

    Returns
    -------
    Score
        Its gradient is off by at most half a billionth of the square root of each
        parameter's information, and so are, in their own scale, the others.

    Examples
    --------
    >>> import numpy as np
    >>> made = Score(-1 / 3, np.array([1 / 3]), np.array([[4.0]]))
    >>> float(in_told_digits(made).gradient[0] - 1 / 3) < 2.0**-29
    True
    """
    scale = _power_of_two(np.sqrt(np.abs(np.diag(score.information))))
    return replace(
        score,
        value=float(_to_steps(np.array(score.value), np.array(1.0))),
        gradient=_to_steps(score.gradient, scale),
        information=_to_steps(score.information, np.outer(scale, scale)),
    )


def _power_of_two(size: FloatArray) -> FloatArray:
    """At most as large; steps of a power of two tell nothing of the size itself."""
    floor = np.maximum(size, 1e-150)
    return np.asarray(2.0 ** np.floor(np.log2(floor)))


def _to_steps(values: FloatArray, scale: FloatArray) -> FloatArray:
    step = scale * 2.0**-BITS
    return np.asarray(np.rint(values / step) * step)
