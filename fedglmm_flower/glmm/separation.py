"""Coefficients without a finite estimate: where a likelihood grows for ever."""

import numpy as np

from fedglmm_flower.glmm.rows import BoolArray, FloatArray

_SEPARATED = 1e-6  # information at the fit, relative to that of the intercept-only fit
_TAKES_PART = 1e-3  # share of a coefficient's own null error in a diverging direction


def diverging_directions(
    information: FloatArray, null_information: FloatArray
) -> FloatArray:
    """
    Directions about which a fit knows next to nothing, against an ordinary fit.

    Where fitted means run to the edge of their range the rows' information vanishes,
    and it does so in just those directions in which the likelihood has no maximum.

    Parameters
    ----------
    information : array of shape (p, p)
        Of the fixed effects at the fit.
    null_information : array of shape (p, p)
        Of the same effects in the intercept-only fit.

    Returns
    -------
    array of shape (p, d)
        One null standard error long; d is 0 without separation.
    """
    p = len(information)
    try:
        L = np.linalg.cholesky(null_information)
    except np.linalg.LinAlgError:
        return np.zeros((p, 0))
    half = np.linalg.solve(L, np.linalg.solve(L, information).T)
    values, vectors = np.linalg.eigh(0.5 * (half + half.T))
    return np.asarray(np.linalg.solve(L.T, vectors[:, values < _SEPARATED]))


def taking_part(directions: FloatArray, null_covariance: FloatArray) -> BoolArray:
    """
    Which coefficients diverge along some of the directions.

    Parameters
    ----------
    directions : array of shape (p, d)
        Of the named coefficients.
    null_covariance : array of shape (p, p)
        Of the named coefficients in the intercept-only fit: their own scale.
    """
    size = np.sqrt(np.maximum(np.diag(null_covariance), 0.0))
    longest = np.abs(directions).max(axis=1, initial=0.0)
    return np.asarray(longest > _TAKES_PART * size, dtype=np.bool_)
