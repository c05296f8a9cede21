"""The strategy that runs the rounds that are asked for."""

from fedglmm_flower.flower.coordinator_desk import CoordinatorDesk
from fedglmm_flower.flower.exchange import Tick, no_tick
from fedglmm_flower.flower.further_rounds import RefinedGlmm
from fedglmm_flower.flower.refining_desk import RefiningDesk
from fedglmm_flower.flower.rounds import Rounds
from fedglmm_flower.flower.run_folder import RunFolder
from fedglmm_flower.flower.strategy import OneRoundGlmm
from fedglmm_flower.study import Study


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
    further = RefiningDesk(desk, rounds)
    return RefinedGlmm(
        study,
        desk.run_id,
        further,
        folder,
        quorum=quorum,
        tick=tick,
        patience=patience,
    )
