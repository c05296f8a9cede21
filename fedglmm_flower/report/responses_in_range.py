"""Responses that a family can have, with the sums of given ones."""

import numpy as np
import numpy.typing as npt
from scipy.special import expit

FloatArray = npt.NDArray[np.float64]

_MET = 1e-12
_MOST_STEPS = 100


def in_range(
    columns: FloatArray, mass: FloatArray, top: FloatArray | None, sums: FloatArray
) -> tuple[FloatArray, float]:
    """
    Responses of one cluster whose sums with its columns are given.

    They are the fitted values of the cluster's own canonical model, for the score of a
    canonical likelihood says that these have the sums of the responses.  They exist
    wherever any responses inside the range do; on its edge, as where nobody has an
    event, they are approached at a constant rate.

    Parameters
    ----------
    columns : array of shape (rows, k)
        They may depend on each other.
    mass : array of shape (rows,)
        Positive.
    top : array of shape (rows,) or None
        Largest response of each row; None where there is no largest.
    sums : array of shape (k,)
        Of mass times response times column.

    Returns
    -------
    responses : array of shape (rows,)
    missed : float
        Largest difference of an orthonormal function, of a response of one.

    Examples
    --------
    >>> x = np.stack([np.ones(5), np.arange(5.0)], axis=1)
    >>> found, missed = in_range(x, np.ones(5), np.ones(5), np.array([2.0, 5.0]))
    >>> missed < 1e-9, bool(((found > 0) & (found < 1)).all())
    (True, True)
    """
    size = mass if top is None else mass * top
    values, vectors = np.linalg.eigh((columns.T * size) @ columns)
    kept = values > 1e-12 * values[-1]
    whiten = vectors[:, kept] / np.sqrt(values[kept])
    Q, goal = columns @ whiten, whiten.T @ sums
    at = np.zeros(Q.shape[1])
    eta = Q @ at

    def look(eta: FloatArray, at: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Value of the convex objective, the means and their derivatives."""
        if top is None:
            mean = np.exp(np.minimum(eta, 300.0))
            return float(size @ mean - goal @ at), mean, mean
        mean = expit(eta)
        objective = float(size @ np.logaddexp(0.0, eta) - goal @ at)
        return objective, mean, mean * (1.0 - mean)

    value, mean, curve = look(eta, at)
    for _ in range(_MOST_STEPS):
        gradient = Q.T @ (size * mean) - goal
        if np.abs(gradient).max() < _MET * max(1.0, np.abs(goal).max()):
            break
        hessian = (Q.T * (size * curve)) @ Q
        # Far out on an edge the curvature is gone: the step stays finite.
        hessian += 1e-14 * max(np.trace(hessian), 1e-280) * np.eye(len(at))
        step = np.linalg.solve(hessian, gradient)
        change = Q @ step
        share = 1.0
        while True:
            tried = look(eta - share * change, at - share * step)
            # Rounding of the sum must not stop the last step.
            if tried[0] <= value + 1e-13 * abs(value) or share < 1e-6:
                break
            share /= 2
        eta, at = eta - share * change, at - share * step
        value, mean, curve = tried
    missed = float(np.abs(Q.T @ (size * mean) - goal).max())
    return mean if top is None else mean * top, missed
