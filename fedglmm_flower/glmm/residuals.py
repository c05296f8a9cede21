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
    phi = fitted.dispersion or 1.0
    if fitted.family == "binomial":
        response, variance = response / trials, mean * (1.0 - mean) / trials
    elif fitted.family == "poisson":
        variance = mean
    elif fitted.family == "nbinom2":
        variance = mean + mean**2 / phi
    elif fitted.family == "gamma":
        variance = phi * mean**2
    else:
        variance = np.full(len(mean), float(fitted.residual_sd or 1.0) ** 2)
    kept = (rows.weights > 0) & (rows.trials > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = (response - mean) * np.sqrt(rows.weights / variance)
    return np.asarray(scaled[kept], dtype=np.float64)
