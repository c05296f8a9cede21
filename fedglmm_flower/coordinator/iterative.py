"""Where an iterative fit starts, and the penalty that it is given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from fedglmm_flower.coordinator.asking import Asked
from fedglmm_flower.coordinator.newton import State, climb
from fedglmm_flower.coordinator.penalty import (
    EACH,
    START,
    Choice,
    criterion,
    effective_parameters,
    penalised,
    ridge_of,
)
from fedglmm_flower.glmm.frame import Frame
from fedglmm_flower.glmm.rows import BoolArray, FloatArray
from fedglmm_flower.glmm.score import Score, part_of

_MODERATE: Final = 0.5  # of theta, where an iterative fit starts
_NEAR: Final = 0.1  # standard errors: near enough to let the random effects in
_CLOSE: Final = 1e-3  # standard errors: near enough to judge a penalty
_FIRST: Final = START // 2


@dataclass(frozen=True)
class Picked:
    """
    A penalty, and where to start the fit of all rows.

    Parameters
    ----------
    start : array of shape (d,)
    ridge : array of shape (d, d)
        Of the penalty ``phi' ridge phi / 2``.
    state : {"arrived", "site-lost", "no-ascent"}
        Whether there is a start.
    notes : dict
        For ``diagnostics.refinement.penalty``.
    """

    start: FloatArray
    ridge: FloatArray
    state: State
    notes: dict[str, Any]


def without_effects(
    frame: Frame, ask: Callable[[FloatArray], Score | None], steps: int
) -> tuple[FloatArray, int]:
    """
    Start of an iterative fit: where the model without random effects is at its best.

    At theta = 0 the marginal likelihood is that model's, so that the sites need no
    other question.

    Parameters
    ----------
    frame : Frame
    ask : callable
        Summed score at a point.
    steps : int
        Steps that may be spent in all.

    Returns
    -------
    start : array of shape (d,)
        With moderate random effects, since at zero the likelihood has no slope.
    steps : int
        Steps that are left.
    """
    _, theta = frame.parts
    free: BoolArray = np.ones(frame.size, dtype=np.bool_)
    free[theta] = False

    def ask_fixed(part: FloatArray) -> Score | None:
        phi = np.zeros(frame.size)
        phi[free] = part
        found = ask(phi)
        return None if found is None else part_of(found, free)

    found = climb(ask_fixed, np.zeros(int(free.sum())), steps=steps, tolerance=_NEAR)
    start = np.zeros(frame.size)
    start[free] = found.point
    layout = frame.covariance
    start[theta] = np.where(layout.rows == layout.cols, _MODERATE, 0.0)
    return start, max(steps - found.asked, 0)


def pick(frame: Frame, asked: Asked, choice: Choice) -> Picked:
    """
    Choose the penalty of a path whose fit to the kept rows tells the others best.

    From the strongest to the weakest, each from where the one before has ended.

    Parameters
    ----------
    frame : Frame
    asked : Asked
        The sites.
    choice : Choice
        A path of several penalties, and the criterion.
    """
    P = ridge_of(frame)
    tried: list[dict[str, float]] = []
    best, chosen, least = np.zeros(frame.size), 0.0, np.inf
    start: FloatArray | None = None
    for strength in reversed(choice.path):
        ridge = strength * P

        def ask(phi: FloatArray, ridge: FloatArray = ridge) -> Score | None:
            return less(asked(phi, "kept"), phi, ridge)

        steps = EACH - 2
        if start is None:
            start, _ = without_effects(frame, ask, _FIRST)
            steps = START - _FIRST
        found = climb(ask, start, steps=steps, tolerance=_CLOSE)
        start = found.point
        if found.score is None or found.state == "site-lost":
            return Picked(best, P, "site-lost", {})
        if found.state != "arrived":
            continue
        value = asked.value(start)
        if value is None:
            return Picked(best, P, "site-lost", {})
        parameters = effective_parameters(found.score, ridge)
        size = criterion(choice.by, value, parameters, asked.n_rows)
        tried.append(
            {
                "penalty": strength,
                "held_out_loglik": value,
                "parameters": parameters,
                choice.by: size,
            }
        )
        if size < least:
            best, chosen, least = start, strength, size
    notes = {"by": choice.by, "value": chosen, "path": tried[::-1]}
    return Picked(best, chosen * P, "arrived" if tried else "no-ascent", notes)


def less(score: Score | None, phi: FloatArray, ridge: FloatArray) -> Score | None:
    """A score less its penalty, if there is one."""
    return None if score is None else penalised(score, phi, ridge)
