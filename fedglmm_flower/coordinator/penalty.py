"""An L2 penalty on the coefficients, and the choice of it on held-out rows."""

from dataclasses import dataclass
from math import log
from typing import Final, Literal

import numpy as np

from fedglmm_flower.glmm.frame import Frame
from fedglmm_flower.glmm.optimise import definite
from fedglmm_flower.glmm.rows import FloatArray
from fedglmm_flower.glmm.score import Score

PATH: Final = tuple(float(value) for value in range(11))  # Li et al. 2022
# Questions that a value of the path may cost, and the start once.
EACH, START = 8, 40


@dataclass(frozen=True)
class Choice:
    """
    How the penalty is chosen.

    Parameters
    ----------
    by : {"aic", "bic", "l2"}
        Criterion on the held-out rows; ``l2`` for a value that is given.
    path : tuple of float
        Values, rising; the one value of ``l2``.
    """

    by: Literal["aic", "bic", "l2"]
    path: tuple[float, ...] = PATH

    @property
    def splits(self) -> bool:
        """Whether rows have to be held out."""
        return len(self.path) > 1

    def points(self, steps: int) -> int:
        """Most questions of a fit that takes so many steps in the end."""
        return steps + 1 + (START + EACH * len(self.path) if self.splits else 0)


def ridge_of(frame: Frame) -> FloatArray:
    """
    Matrix P of the penalty ``lambda / 2 phi' P phi``.

    It is the sum of squares of what the fixed effects amount to in the study's scaled
    columns, without the constant: of slopes per declared scale, and of differences
    between levels.  It does not depend on the rows, nor on how columns are coded
    beside the choice of a reference level.

    Returns
    -------
    array of shape (d, d)
    """
    gamma, _ = frame.parts
    P = np.zeros((frame.size, frame.size))
    # The constant is the first of the functions that the rows of Q belong to.
    P[gamma, gamma] = frame.Q[1:].T @ frame.Q[1:]
    return P


def penalised(score: Score, phi: FloatArray, ridge: FloatArray) -> Score:
    """A score less its penalty ``phi' ridge phi / 2``."""
    pull = ridge @ phi
    return Score(
        score.value - 0.5 * float(phi @ pull),
        score.gradient - pull,
        score.information + ridge,
    )


def effective_parameters(score: Score, ridge: FloatArray) -> float:
    """
    Trace of the information times the inverse of the penalised one.

    Parameters
    ----------
    score : Score
        Penalised.
    ridge : array of shape (d, d)
    """
    B = definite(score.information)
    return float(len(B) - np.trace(np.linalg.solve(B, ridge)))


def criterion(by: str, value: float, parameters: float, n_rows: int) -> float:
    """
    AIC or BIC of a fit, on rows that were held out of it.

    Parameters
    ----------
    by : {"aic", "bic"}
    value : float
        Log-likelihood of the held-out rows.
    parameters : float
        Effective ones.
    n_rows : int
        Held-out rows.
    """
    return parameters * (log(n_rows) if by == "bic" else 2.0) - 2.0 * value
