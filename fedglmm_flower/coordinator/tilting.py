"""Weights of least relative entropy under which functions have given means.

The last correction of pseudo-data: what movement leaves is taken up by the weights,
``w exp(a'f)``.  Alone it does badly (docs/release-sets.md): on fixed points the sums
of a real site are often out of reach.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

# Weights further from equal than this are no correction any more.
MILD = 3.0
MET = 1e-7
_MOST_STEPS = 40


@dataclass(frozen=True)
class Tilted:
    """
    Corrected weights.

    Parameters
    ----------
    weights : array of shape (rows,)
    residual : float
        Largest difference of an orthonormal function.
    strength : float
        Largest factor by which a weight changed.
    """

    weights: FloatArray
    residual: float
    strength: float

    @property
    def mild(self) -> bool:
        """Whether the functions are met by a small correction."""
        return self.residual < MET and self.strength < MILD


def tilt(weights: FloatArray, functions: FloatArray, means: FloatArray) -> Tilted:
    """
    Newton's method on the dual, which is convex.

    Parameters
    ----------
    weights : array of shape (rows,)
        Sum to one.
    functions : array of shape (m, rows)
        The constant is added.
    means : array of shape (m,)
        What the functions shall average to.

    Examples
    --------
    >>> x = np.linspace(-1.0, 1.0, 5)
    >>> found = tilt(np.full(5, 0.2), x[None], np.array([0.1]))
    >>> bool(abs(found.weights @ x - 0.1) < 1e-9), found.mild
    (True, True)
    """
    f = np.vstack([functions, np.ones(len(weights))])
    goal = np.append(means, 1.0)
    values, vectors = np.linalg.eigh((f * weights) @ f.T)
    kept = values > 1e-12 * values[-1]
    whiten = vectors[:, kept].T / np.sqrt(values[kept])[:, None]
    f, goal = whiten @ f, whiten @ goal
    alpha = np.zeros(len(goal))
    exponent = np.zeros(len(weights))
    tilted = weights
    value = 1.0
    for _ in range(_MOST_STEPS):
        gradient = f @ tilted - goal
        if np.abs(gradient).max() < 1e-13:
            break
        hessian = (f * tilted) @ f.T + 1e-13 * np.eye(len(goal))
        step = np.linalg.solve(hessian, gradient)
        change = f.T @ step
        size = min(1.0, 2.0 / max(np.abs(change).max(), 1e-300))
        while size > 1e-8:
            tried = exponent - size * change
            if tried.max() < 30.0:
                new = weights * np.exp(tried)
                new_value = float(new.sum() - goal @ (alpha - size * step))
                if new_value <= value + 1e-14:
                    break
            size /= 2
        else:
            break
        alpha, exponent, tilted, value = alpha - size * step, tried, new, new_value
    residual = float(np.abs(f @ tilted - goal).max())
    return Tilted(tilted, residual, float(np.exp(np.abs(exponent).max())))
