"""How many rounds are asked, and the strategy that runs them."""

import re
from dataclasses import dataclass

from fedglmm_flower.errors import StudyError, UsageError
from fedglmm_flower.flower.coordinator_desk import CoordinatorDesk
from fedglmm_flower.flower.exchange import Tick, no_tick
from fedglmm_flower.flower.further_rounds import RefinedGlmm
from fedglmm_flower.flower.refining_desk import RefiningDesk
from fedglmm_flower.flower.run_folder import RunFolder
from fedglmm_flower.flower.strategy import OneRoundGlmm
from fedglmm_flower.study import Study

MOST_STEPS = 20
MOST_ITERATIONS = 40


@dataclass(frozen=True)
class Rounds:
    """
    What follows the one round.

    Parameters
    ----------
    steps : int
        Newton steps at most; 0 for one round alone.
    fresh : bool
        Start from the model without random effects instead of the one-round estimate.
    """

    steps: int = 0
    fresh: bool = False


ONE_ROUND = Rounds()


def parse_rounds(text: str) -> Rounds:
    """
    What ``--rounds`` asks for.

    Raises
    ------
    UsageError
        If the text is none of ``1``, ``refine:R`` and ``iterative``.

    Examples
    --------
    >>> parse_rounds("refine:3")
    Rounds(steps=3, fresh=False)
    """
    if text == "1":
        return ONE_ROUND
    if text == "iterative":
        return Rounds(MOST_ITERATIONS, fresh=True)
    found = re.fullmatch(r"refine:([0-9]{1,3})", text)
    steps = int(found[1]) if found else 0
    if not 1 <= steps <= MOST_STEPS:
        raise UsageError(
            f"rounds: {text!r} was found; 1, iterative, or refine:R with R from 1 to "
            f"{MOST_STEPS}, is required; two or three steps are plenty"
        )
    return Rounds(steps)


def require_rounds(study: Study, rounds: Rounds) -> None:
    """
    Refuse more rounds than the sites have approved.

    Raises
    ------
    StudyError
        If the study allows fewer.
    """
    steps = rounds.steps
    if steps and study.family != "gaussian" and study.rounds < steps + 1:
        raise StudyError(
            f"study {study.name!r}: allows {study.rounds} rounds after the first; "
            f"{steps} steps ask at {steps + 1} points; write rounds = {steps + 1} in "
            "the study, which every site then approves, or ask for fewer steps"
        )


def strategy_for(
    rounds: Rounds,
    study: Study,
    desk: CoordinatorDesk,
    folder: RunFolder,
    *,
    quorum: int | None = None,
    tick: Tick = no_tick,
    patience: float = 3600.0,
) -> OneRoundGlmm:
    """
    The strategy of a run.

    Parameters
    ----------
    rounds : Rounds
        What follows the one round.
    study : Study
        What is asked.
    desk : CoordinatorDesk
        Opens and fits.
    folder : RunFolder
        Takes the sealed releases.
    quorum, tick
        See :class:`OneRoundGlmm`.
    patience : float
        Seconds to wait for the answers at each point.
    """
    if not rounds.steps:
        return OneRoundGlmm(study, desk.run_id, desk, folder, quorum=quorum, tick=tick)
    further = RefiningDesk(desk, rounds.steps, fresh=rounds.fresh)
    return RefinedGlmm(
        study,
        desk.run_id,
        further,
        folder,
        quorum=quorum,
        tick=tick,
        patience=patience,
    )
