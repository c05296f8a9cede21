"""Newton's method on a sum of sites' scores, a message to every site for each step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from fedglmm_flower.glmm.optimise import definite
from fedglmm_flower.glmm.rows import FloatArray
from fedglmm_flower.glmm.score import Score

# Sum of the scores of all sites at a point; None where a site gives none any more.
Ask: TypeAlias = Callable[[FloatArray], Score | None]
State: TypeAlias = Literal["arrived", "out-of-rounds", "site-lost", "no-ascent"]
TOLERANCE = 1e-8  # standard errors: predicted change of any parameter
_FLOOR = 1e-6  # relative: eigenvalues of the information are made this large


@dataclass(frozen=True)
class Climb:
    """
    Where Newton's method stopped.

    Attributes
    ----------
    point : array of shape (d,)
        The best point whose score is known.
    score : Score or None
        There; None if no score came at all.
    predicted : float
        Largest change of a parameter that the next step would make, in its standard
        errors.
    asked : int
        Points at which all sites were asked.
    state : {"arrived", "out-of-rounds", "site-lost", "no-ascent"}
    regularised : int
        Steps for which the information was not positive definite.
    """

    point: FloatArray
    score: Score | None
    predicted: float
    asked: int
    state: State
    regularised: int


def climb(
    ask: Ask, start: FloatArray, *, steps: int, tolerance: float = TOLERANCE
) -> Climb:
    """
    Take at most so many Newton steps; a step after which the sum falls is halved.

    An information that is not positive definite is made so, the more firmly the more
    often a step of it has failed.

    Every step costs one message to each site, halved ones too, and the start one more.

    Parameters
    ----------
    ask : callable
        Summed score at a point.
    start : array of shape (d,)
    steps : int
        Points that may be tried beyond the start.
    tolerance : float
        Stop where the next step would change no parameter by more, in its standard
        errors.
    """
    best, score = start, ask(start)
    if score is None:
        return Climb(start, None, np.inf, 1, "site-lost", 0)
    asked, regularised = 1, 0
    step, predicted, bent = newton_step(score)
    length, floor = 1.0, _FLOOR
    state: State = "out-of-rounds"
    for _ in range(steps):
        if predicted <= tolerance:
            break
        trial = best + length * step
        found = ask(trial)
        asked += 1
        regularised += bent
        if found is None:
            state = "site-lost"
            break
        if not found.value >= score.value - 1e-9 * (1.0 + abs(score.value)):
            length *= 0.5
            if bent:
                # Shorter in the flat directions than in those that are well known.
                floor = min(10.0 * floor, 1.0)
                step, _, _ = newton_step(score, floor)
            continue
        best, score, length, floor = trial, found, 1.0, max(0.1 * floor, _FLOOR)
        step, predicted, bent = newton_step(score, floor)
    if predicted <= tolerance and not bent:
        state = "arrived"
    elif length < 1.0 and state != "site-lost":
        state = "no-ascent"
    return Climb(best, score, predicted, asked, state, regularised)


def newton_step(score: Score, floor: float = _FLOOR) -> tuple[FloatArray, float, bool]:
    """
    Step to the maximum of the local parabola.

    Parameters
    ----------
    score : Score
    floor : float
        What eigenvalues of an information that is not positive definite are raised to,
        relative to the scale of each parameter.

    Returns
    -------
    step : array of shape (d,)
    size : float
        Largest element in its standard errors.
    bent : bool
        Whether the information had to be made positive definite.
    """
    information = score.information
    scale = np.sqrt(np.maximum(np.abs(np.diag(information)), 1e-300))
    values = np.linalg.eigvalsh(information / np.outer(scale, scale))
    bent = bool(values[0] <= _FLOOR * max(values[-1], 1e-300))
    B = definite(information, floor) if bent else information
    step = np.asarray(np.linalg.solve(B, score.gradient), dtype=np.float64)
    errors = np.sqrt(np.abs(np.diag(np.linalg.inv(B))))
    return step, float((np.abs(step) / errors).max(initial=0.0)), bent
