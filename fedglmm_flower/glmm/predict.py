"""Predictions with standard errors, for fitted and for new clusters."""

from dataclasses import dataclass

import numpy as np

from fedglmm_flower.errors import UsageError
from fedglmm_flower.glmm.families import family_class
from fedglmm_flower.glmm.fitted import FittedModel
from fedglmm_flower.glmm.joint import joint_of, known_levels
from fedglmm_flower.glmm.rows import FloatArray, ModelRows

_STEP = 1e-5  # spacing of the difference that gives the slope of the inverse link


@dataclass(frozen=True)
class Prediction:
    """
    Predictions row by row.

    Attributes
    ----------
    eta : array of shape (n,)
        Linear predictor, with the effects of clusters that were fitted.
    eta_se : array of shape (n,)
        Its standard error, covariance parameters held fixed.
    mean, mean_se : arrays of shape (n,)
        On the scale of the response, for one trial; errors by the delta method.
    new_sd : array of shape (n,)
        Standard deviation, on the link scale, of the effects of clusters that were
        not fitted; 0 where all were.  A new cluster's own predictor varies around
        `eta` with variance ``eta_se**2 + new_sd**2``.
    """

    eta: FloatArray
    eta_se: FloatArray
    mean: FloatArray
    mean_se: FloatArray
    new_sd: FloatArray


def predict(
    fitted: FittedModel, rows: ModelRows | None = None, *, effects: bool = True
) -> Prediction:
    """
    Predict rows.

    Parameters
    ----------
    fitted : FittedModel
    rows : ModelRows, optional
        New rows; the fitted ones unless given.  Responses are not looked at.
    effects : bool
        Whether to add the random effects of clusters that were fitted.
    """
    if rows is None:
        if not isinstance(fitted.source, ModelRows):
            raise UsageError("predict: the model was fitted without rows; give rows")
        rows = fitted.source
    if rows.names != fitted.names:
        raise UsageError(
            f"predict: found columns {', '.join(rows.names)}; the model has "
            f"{', '.join(fitted.names)}"
        )
    X = rows.basis @ rows.coefficients.T
    eta = X @ fitted.estimates + rows.offset
    V = fitted.covariance_fixed_theta
    new = np.zeros(len(eta))
    if effects:
        for term, effect in zip(rows.random, fitted.random, strict=True):
            known, at = known_levels(effect.levels, term.levels, term.index)
            b = np.where(known[:, None], effect.modes[at], 0.0)
            eta = eta + (term.Z * b).sum(axis=1)
            spread = np.einsum("nq,qr,nr->n", term.Z, effect.sigma, term.Z)
            new += np.where(known, 0.0, spread)
    joint = joint_of(fitted) if effects else None
    if joint is None:
        variance = np.einsum("np,pq,nq->n", X, V, X)
    else:
        variance = joint.variance(X, rows, V)
    se = np.sqrt(np.maximum(variance, 0.0))
    one = np.ones(1)
    inverse = family_class(fitted.family, fitted.link)(one, one, one, 0.0).inverse
    slope = (inverse(eta + _STEP) - inverse(eta - _STEP)) / (2 * _STEP)
    return Prediction(eta, se, inverse(eta), np.abs(slope) * se, np.sqrt(new))
