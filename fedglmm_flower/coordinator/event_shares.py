"""Shares of events under which functions have given sums, by rows of trials.

Likelihoods with a probit or cloglog link see events and non-events apart.  Where the
rows meet the moments of the trials, shares ``expit(a'f)`` that meet those of the
events meet those of the non-events as well, and stay between zero and one.  Finding
them is a logistic regression whose data are its sums.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

FloatArray = npt.NDArray[np.float64]

_MOST_STEPS = 60
_TOLERANCE = 1e-13


@dataclass(frozen=True)
class Shares:
    """
    Events for each trial.

    Parameters
    ----------
    values : array of shape (rows,)
        Between zero and one.
    residual : float
        Largest difference of an orthonormal function.
    """

    values: FloatArray
    residual: float


def event_shares(
    weights: FloatArray, functions: FloatArray, means: FloatArray, share: float
) -> Shares:
    """
    Newton's method on the dual, which is convex.

    Parameters
    ----------
    weights : array of shape (rows,)
        Sum to one.
    functions : array of shape (m, rows)
        The constant is among them.
    means : array of shape (m,)
        What the functions times the shares shall average to.
    share : float
        Overall share of events.

    Examples
    --------
    >>> f = np.vstack([np.ones(5), np.linspace(-1.0, 1.0, 5)])
    >>> found = event_shares(np.full(5, 0.2), f, np.array([0.4, 0.1]), 0.4)
    >>> bool(found.residual < 1e-12)
    True
    """
    if not 0.0 < share < 1.0:
        return Shares(np.full(len(weights), min(max(share, 0.0), 1.0)), 0.0)
    values, vectors = np.linalg.eigh((functions * weights) @ functions.T)
    kept = values > 1e-12 * values[-1]
    whiten = vectors[:, kept].T / np.sqrt(values[kept])[:, None]
    f, goal = whiten @ functions, whiten @ means
    eta = np.full(len(weights), float(logit(share)))
    alpha = (f * weights) @ eta
    value = float(weights @ np.logaddexp(0.0, eta) - goal @ alpha)
    p = expit(eta)
    gradient = f @ (weights * p) - goal
    for _ in range(_MOST_STEPS):
        if np.abs(gradient).max() < _TOLERANCE:
            break
        hessian = (f * (weights * p * (1.0 - p))) @ f.T + 1e-13 * np.eye(len(goal))
        step = np.linalg.solve(hessian, gradient)
        change = f.T @ step
        size = min(1.0, 4.0 / max(np.abs(change).max(), 1e-300))
        while size > 1e-8:
            tried = eta - size * change
            new_alpha = alpha - size * step
            new = float(weights @ np.logaddexp(0.0, tried) - goal @ new_alpha)
            if new <= value + 1e-14:
                break
            size /= 2
        else:
            break
        eta, alpha, value = tried, new_alpha, new
        p = expit(eta)
        gradient = f @ (weights * p) - goal
    return Shares(p, float(np.abs(gradient).max()))
