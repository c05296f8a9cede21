"""Weighted products of columns, a block of rows at a time."""

import numpy as np

from fedglmm_flower.glmm.rows import FloatArray

_BLOCK = 8192  # rows whose weighted columns stay in the second-level cache


def weighted_gram(X: FloatArray, w: FloatArray) -> FloatArray:
    """
    X' diag(w) X.

    Parameters
    ----------
    X : array of shape (n, p)
        Fastest with contiguous columns.
    w : array of shape (n,)
        Of any sign.
    """
    out = np.zeros((X.shape[1], X.shape[1]))
    for first in range(0, len(w), _BLOCK):
        part = X[first : first + _BLOCK]
        out += (w[first : first + _BLOCK] * part.T) @ part
    return out
