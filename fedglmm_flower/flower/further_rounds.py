"""The one round, and Newton steps after it for which every site is asked again."""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message
from flwr.serverapp import Grid

from fedglmm_flower.flower.collect import collect
from fedglmm_flower.flower.exchange import (
    MISSING,
    UNREADABLE,
    Refused,
    ScoreRequest,
    SealedRelease,
    Tick,
    no_tick,
)
from fedglmm_flower.flower.records import SCORE, read_reply, score_content
from fedglmm_flower.flower.refining_desk import RefiningDesk
from fedglmm_flower.flower.run_folder import RunFolder
from fedglmm_flower.flower.strategy import OneRoundGlmm
from fedglmm_flower.study import Study


class RefinedGlmm(OneRoundGlmm):
    """
    One round, then Newton steps on the sites' own likelihoods.

    The sites whose releases were used are asked at each point; without one of them the
    refinement ends, and the best estimates for which all answered stay.  Who did not
    take part in the one round is not asked.

    Parameters
    ----------
    study, run_id, folder, quorum, tick
        See :class:`OneRoundGlmm`.
    coordinator : RefiningDesk
        Goes on after the one round.
    patience : float
        Seconds to wait for the answers at each point.
    """

    def __init__(
        self,
        study: Study,
        run_id: str,
        coordinator: RefiningDesk,
        folder: RunFolder,
        *,
        quorum: int | None = None,
        tick: Tick = no_tick,
        patience: float = 3600.0,
    ) -> None:
        super().__init__(study, run_id, coordinator, folder, quorum=quorum, tick=tick)
        self.desk = coordinator
        self.patience = patience

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """Refine, and only then send the estimates."""
        self.outcome: Any = self.desk.go_on(self.outcome, partial(self._carry, grid))
        return super().configure_evaluate(server_round, arrays, config, grid)

    def _carry(
        self, grid: Grid, point: int, questions: Mapping[str, ScoreRequest]
    ) -> dict[str, bytes | Refused]:
        """Ask each site's node, and take from it what it says in that site's name."""
        answers: dict[str, bytes | Refused] = dict.fromkeys(questions, MISSING)
        of_node: dict[int, str] = {}
        messages = []
        for site, question in questions.items():
            node = self.roll.node_of(site)
            if node is not None:
                of_node[node] = site
                content = score_content(question)
                messages.append(self._message(content, node, SCORE))
        sent = {m.metadata.message_id: m.metadata.dst_node_id for m in messages}
        until = time.monotonic() + self.patience
        for message in collect(grid, messages, until=until):
            # Flower gives a message its name when it is sent.
            sent |= {m.metadata.message_id: m.metadata.dst_node_id for m in messages}
            node = sent.get(message.metadata.reply_to_message_id)
            if node is None:
                continue
            site, reply = of_node[node], read_reply(message)
            if isinstance(reply, SealedRelease) and reply.site == site:
                # On disk before the next one is looked at, as in the one round.
                self.folder.keep_answer(point, site, reply.sealed)
                answers[site] = reply.sealed
            elif isinstance(reply, Refused):
                answers[site] = reply
            else:
                answers[site] = UNREADABLE
        return answers
