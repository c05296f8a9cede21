"""Value, gradient and information of a likelihood at given parameters."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedglmm_flower.errors import FitError
from fedglmm_flower.glmm.frame import Frame
from fedglmm_flower.glmm.independent import Independent
from fedglmm_flower.glmm.marginal import Marginal
from fedglmm_flower.glmm.rows import BoolArray, FloatArray, ModelRows

IntArray = npt.NDArray[np.intp]
_STEP = 1e-3  # of the linear predictor, or of its standard error, whichever is less
_STEP_SCALE = 1e-4  # of theta and psi, relative


@dataclass(frozen=True)
class Score:
    """
    A marginal log-likelihood to second order at one point.

    Attributes
    ----------
    value : float
        With all constants.
    gradient : array of shape (d,)
    information : array of shape (d, d)
        Minus the Hessian; symmetric, not always positive definite.
    """

    value: float
    gradient: FloatArray
    information: FloatArray

    def __add__(self, other: "Score") -> "Score":
        """Score of the rows of both: log-likelihoods of sites add up."""
        return Score(
            self.value + other.value,
            self.gradient + other.gradient,
            self.information + other.information,
        )


def part_of(score: Score, free: BoolArray) -> Score:
    """The score of some parameters while the others are held."""
    return Score(
        score.value, score.gradient[free], score.information[np.ix_(free, free)]
    )


@dataclass(frozen=True)
class RowShares:
    """
    How much each row takes part in a score, for the gate; stays at the site.

    Attributes
    ----------
    information, score : arrays of shape (n,)
        Curvature of each row at the mode, and the size of its derivative.  All in the
        order of the rows that were given; a row without weight has zeros.
    columns : array of shape (n, p)
        Columns of the fixed effects.
    within : array of shape (n, p)
        What the random effects leave of them at the mode: its products under the
        curvature are what the information of the fixed effects sums.
    """

    information: FloatArray
    score: FloatArray
    columns: FloatArray
    within: FloatArray


def score_at(
    frame: Frame, rows: ModelRows, phi: FloatArray, nodes: int = 1
) -> tuple[Score, RowShares]:
    """
    Score of some rows, by Laplace or adaptive quadrature, as the engine fits them.

    The Hessian is in closed form where the engine has one; else it is made of central
    differences of the exact gradient.

    Parameters
    ----------
    frame : Frame
        Coordinates.
    rows : ModelRows
        Rows of whole clusters: effects must not be shared with rows elsewhere.
    phi : array of shape (d,)
        (gamma, theta, psi).
    nodes : int
        Of the quadrature for each random effect; 1 is Laplace.

    Raises
    ------
    FitError
        If the likelihood cannot be evaluated there.
    """
    objective, structure = frame.likelihood(rows, nodes)
    at = np.flatnonzero(rows.weights > 0)
    if structure is not None:
        at = at[structure.chain.selection]
    with np.errstate(all="ignore"):
        try:
            value, gradient = objective(phi)
            shares = _shares(objective, frame, phi, at, len(rows.response))
            information = _information(objective, frame, phi)
        except np.linalg.LinAlgError:
            value, gradient = np.nan, phi
    if not np.isfinite(value) or not np.isfinite(gradient).all():
        raise _impossible()
    if not np.isfinite(information).all():
        raise _impossible()
    return Score(value, gradient, information), shares


def _impossible() -> FitError:
    return FitError(
        "score: the log-likelihood of the site's rows cannot be evaluated at the point "
        "that was asked; a point near the estimates is required; ask for a shorter step"
    )


def _information(
    objective: Marginal | Independent, frame: Frame, phi: FloatArray
) -> FloatArray:
    if isinstance(objective, Marginal) and objective.has_hessian:
        return objective.hessian(phi)
    p, d = len(frame.names), len(phi)
    steps = np.full(d, _STEP)
    own = np.diag(objective.information(phi))
    steps[:p] /= np.sqrt(np.maximum(own, 1.0))
    steps[p:] = _STEP_SCALE * np.maximum(np.abs(phi[p:]), 0.1)
    found = np.empty((d, d))
    for j, h in enumerate(steps):
        shift = np.zeros(d)
        shift[j] = h
        found[j] = (objective(phi - shift)[1] - objective(phi + shift)[1]) / (2 * h)
    return np.asarray(0.5 * (found + found.T), dtype=np.float64)


def _shares(
    objective: Marginal | Independent,
    frame: Frame,
    phi: FloatArray,
    at: IntArray,
    n: int,
) -> RowShares:
    def placed(values: FloatArray) -> FloatArray:
        out = np.zeros((n, *values.shape[1:]))
        out[at] = values
        return out

    columns = objective.X @ frame.R
    if isinstance(objective, Marginal):
        gamma, theta, psi = objective.split(phi)
        fixed = objective.X @ gamma + objective.offset
        Lambda = objective.covariance.matrix(theta)
        mode = objective.mode(fixed, Lambda, psi)
        none = tuple(np.zeros_like(u) for u in mode.u)
        within = columns.copy()
        for j, x in enumerate(columns.T):
            sums = objective.sums(mode.curvature * x) @ Lambda
            taken = objective.chain.expand(mode.factor.solve(sums, none))
            within[:, j] -= objective.spread(taken @ Lambda.T)
        weight, score = mode.curvature, mode.score
    else:
        gamma, psi = objective.split(phi)
        eta = objective.X @ gamma + objective.offset
        _, score, weight = objective.family.terms(eta, psi)
        within = columns
    shares = (np.abs(weight), np.abs(score), columns, within)
    return RowShares(*map(placed, shares))
