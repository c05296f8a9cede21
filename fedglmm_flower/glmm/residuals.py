"""Scaled Pearson residuals, where the rows are at hand."""

import numpy as np

from fedglmm_flower.glmm.fitted import FittedModel
from fedglmm_flower.glmm.predict import linear_predictor, response_mean
from fedglmm_flower.glmm.rows import FloatArray, ModelRows


def scaled_residuals(fitted: FittedModel) -> FloatArray | None:
    """
    Residuals of the fit with its random effects, over their standard deviation.

    As ``residuals(fm, "pearson", scaled = TRUE)`` of lme4.  Rows of weight w count as
    means of w rows.

    Parameters
    ----------
    fitted : FittedModel

    Returns
    -------
    array of shape (n,), or None
        None where the model was fitted to sums or to pseudo-data: they know of no
        single row.
    """
    rows = fitted.source
    if not isinstance(rows, ModelRows) or rows.constant is not None:
        return None
    eta = linear_predictor(fitted, rows, [term.group for term in fitted.random])
    mean = response_mean(fitted, np.zeros(1))(eta)
    trials = np.maximum(rows.trials, 1e-300)
    response = rows.response
    if fitted.family == "binomial":
        response = response / trials
    variance = response_variance(
        fitted.family, mean, trials, fitted.dispersion, fitted.residual_sd
    )
    kept = (rows.weights > 0) & (rows.trials > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = (response - mean) * np.sqrt(rows.weights / variance)
    return np.asarray(scaled[kept], dtype=np.float64)


def response_variance(
    family: str,
    mean: FloatArray,
    trials: FloatArray,
    dispersion: float | None,
    residual_sd: float | None,
) -> FloatArray:
    """
    Variance of the response of a row, of the share of events for a binomial one.

    Parameters
    ----------
    family : str
    mean, trials : arrays of shape (n,)
        On the scale of the response, for one trial.
    dispersion, residual_sd : float or None
        As ``result.json`` has them.
    """
    phi = dispersion or 1.0
    if family == "binomial":
        return mean * (1.0 - mean) / trials
    if family == "poisson":
        return mean
    if family == "nbinom2":
        return mean + mean**2 / phi
    if family == "gamma":
        return phi * mean**2
    return np.full(len(mean), float(residual_sd or 1.0) ** 2)
