"""Predictions with standard errors, for fitted and for new clusters."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from fedglmm_flower.errors import UsageError
from fedglmm_flower.glmm.families import family_class
from fedglmm_flower.glmm.fitted import FittedModel, Theta
from fedglmm_flower.glmm.joint import joint_of, known_levels
from fedglmm_flower.glmm.new_rows import new_rows
from fedglmm_flower.glmm.rows import BoolArray, FloatArray, ModelRows

_STEP = 1e-5  # spacing of the difference that gives the slope of the inverse link
_NODES = 50  # of the integral over the effects of a new cluster


@dataclass(frozen=True)
class Prediction:
    """
    Predictions row by row; NaN where a row of a table lacks a value.

    Attributes
    ----------
    eta : array of shape (n,)
        Linear predictor, with the effects of clusters that were fitted.
    eta_se : array of shape (n,)
        Its standard error, covariance parameters held fixed.
    mean, mean_se : arrays of shape (n,)
        On the scale of the response, for one trial; errors by the delta method.
    new_sd : array of shape (n,)
        Standard deviation, on the link scale, of the effects that are not in `eta`:
        those of clusters that were not fitted, and those that were left out.  A new
        cluster's own predictor varies around `eta` with variance
        ``eta_se**2 + new_sd**2``.
    """

    eta: FloatArray
    eta_se: FloatArray
    mean: FloatArray
    mean_se: FloatArray
    new_sd: FloatArray

    def spread_over(self, rows: BoolArray) -> "Prediction":
        """The same at the true places of a mask, NaN elsewhere."""
        out = []
        for values in (self.eta, self.eta_se, self.mean, self.mean_se, self.new_sd):
            full = np.full(len(rows), np.nan)
            full[rows] = values
            out.append(full)
        return Prediction(*out)


def predict(
    fitted: FittedModel,
    data: ModelRows | pd.DataFrame | None = None,
    *,
    effects: bool | str | Sequence[str] = True,
    integrate: bool = False,
    theta: Theta = "fixed",
) -> Prediction:
    """
    Predict rows, with the joint uncertainty of fixed and random effects.

    Parameters
    ----------
    fitted : FittedModel
    data : ModelRows or DataFrame, optional
        New rows; the fitted ones unless given.  Responses are not looked at, and a
        table need not have them.
    effects : bool, str or sequence of str
        Random effects to add: all (lme4's ``re.form = NULL``), none (``re.form =
        NA``), or those of the groups named.  A cluster that was not fitted has none.
    integrate : bool
        Whether `mean` is averaged over the effects that are not in `eta`: the mean
        over clusters, and not that of a cluster with effect zero.
    theta : {"fixed", "joint"}
        Covariance of the fixed effects; see `FittedModel.covariance_of`.

    Raises
    ------
    DataError
        If a table lacks columns or holds an unknown level of a factor.
    UsageError
        If a group is not in the model, or the model cannot read the data.

    Examples
    --------
    >>> from fedglmm_flower.glmm import fit
    >>> table = pd.DataFrame(
    ...     {"y": [1.0, 2.0, 4.0, 3.0], "x": [0.0, 1.0, 2.0, 3.0], "g": list("aabb")}
    ... )
    >>> model = fit("y ~ x", table, family="gaussian")
    >>> predict(model, pd.DataFrame({"x": [4.0, None]})).eta.round(6).tolist()
    [4.5, nan]
    """
    groups = chosen_groups(fitted, effects=effects)
    if isinstance(data, pd.DataFrame):
        new = new_rows(fitted, data, groups)
        found = _predict(fitted, new.rows, groups, integrate=integrate, theta=theta)
        return found.spread_over(new.complete)
    if data is None:
        if not isinstance(fitted.source, ModelRows):
            raise UsageError("predict: the model was fitted without rows; give rows")
        data = fitted.source
    if data.names != fitted.names:
        raise UsageError(
            f"predict: found columns {', '.join(data.names)}; the model has "
            f"{', '.join(fitted.names)}"
        )
    return _predict(fitted, data, groups, integrate=integrate, theta=theta)


def chosen_groups(
    fitted: FittedModel, *, effects: bool | str | Sequence[str]
) -> tuple[str, ...]:
    """Groups whose effects are added."""
    known = tuple(dict.fromkeys(term.group for term in fitted.random))
    if isinstance(effects, bool):
        return known if effects else ()
    named = (effects,) if isinstance(effects, str) else tuple(effects)
    unknown = [name for name in named if name not in known]
    if unknown:
        raise UsageError(
            f"predict: effects of {unknown[0]!r}; the model has random effects by "
            f"{', '.join(known) or 'no group'}"
        )
    return named


def _predict(
    fitted: FittedModel,
    rows: ModelRows,
    groups: tuple[str, ...],
    *,
    integrate: bool,
    theta: Theta,
) -> Prediction:
    X = rows.basis @ rows.coefficients.T
    eta = linear_predictor(fitted, rows, groups)
    V = fitted.covariance_of(theta)
    new = np.zeros(len(eta))
    random = []
    for term, effect in zip(rows.random, fitted.random, strict=True):
        known, _ = known_levels(effect.levels, term.levels, term.index)
        known &= term.group in groups
        spread = np.einsum("nq,qr,nr->n", term.Z, effect.sigma, term.Z)
        new += np.where(known, 0.0, spread)
        Z = term.Z if term.group in groups else np.zeros_like(term.Z)
        random.append(replace(term, Z=Z))
    joint = joint_of(fitted) if groups else None
    if joint is None:
        variance = np.einsum("np,pq,nq->n", X, V, X)
    else:
        variance = joint.variance(X, replace(rows, random=tuple(random)), V)
    se = np.sqrt(np.maximum(variance, 0.0))
    new_sd = np.sqrt(new)
    mean_at = response_mean(fitted, new_sd if integrate else np.zeros(len(eta)))
    slope = (mean_at(eta + _STEP) - mean_at(eta - _STEP)) / (2 * _STEP)
    return Prediction(eta, se, mean_at(eta), np.abs(slope) * se, new_sd)


def linear_predictor(
    fitted: FittedModel, rows: ModelRows, groups: Sequence[str]
) -> FloatArray:
    """Linear predictor, with the effects of known clusters of these groups."""
    X = rows.basis @ rows.coefficients.T
    eta = X @ fitted.estimates + rows.offset
    for term, effect in zip(rows.random, fitted.random, strict=True):
        if term.group in groups:
            known, at = known_levels(effect.levels, term.levels, term.index)
            b = np.where(known[:, None], effect.modes[at], 0.0)
            eta = eta + (term.Z * b).sum(axis=1)
    return np.asarray(eta, dtype=np.float64)


def response_mean(
    fitted: FittedModel, sd: FloatArray
) -> Callable[[FloatArray], FloatArray]:
    """
    The inverse link, averaged over normal effects of the given sd (0: not at all).

    Parameters
    ----------
    fitted : FittedModel
    sd : array of shape (n,)
    """
    one = np.ones(1)
    inverse = family_class(fitted.family, fitted.link)(one, one, one, 0.0).inverse
    if not np.any(sd > 0):
        return inverse
    if fitted.link == "log":
        return lambda eta: inverse(eta + 0.5 * sd**2)
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    weights = weights / weights.sum()

    def mean(eta: FloatArray) -> FloatArray:
        return np.asarray(inverse(eta[:, None] + sd[:, None] * nodes) @ weights)

    return mean
