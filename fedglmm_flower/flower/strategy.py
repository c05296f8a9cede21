"""One round: ask every site once, fit, and give the estimates back."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from flwr.app import (
    DEFAULT_TTL,
    ArrayRecord,
    ConfigRecord,
    Message,
    MetricRecord,
    RecordDict,
)
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy

from fedglmm_flower.errors import ExchangeError, QuorumError, UsageError
from fedglmm_flower.flower.collect import collect, gather
from fedglmm_flower.flower.exchange import (
    UNREADABLE,
    Admitted,
    Delivery,
    Received,
    Refused,
    Request,
    SealedRelease,
    Tick,
    no_tick,
)
from fedglmm_flower.flower.records import (
    RECEIVE_RESULT,
    SUMMARISE,
    delivery_content,
    read_reply,
    request_content,
)
from fedglmm_flower.flower.rollcall import RollCall
from fedglmm_flower.flower.run_folder import RunFolder
from fedglmm_flower.study import Study

GRACE = 60.0
TRIES = 2  # times that a node is asked: a site's answer is the same each time
# What may be otherwise the next time; a refusal of a site's own is final.
PASSING = ("app-unusable", "node-unavailable", "reply-invalid", "site-crashed")


@dataclass
class OneRoundResult(Result):
    """
    What a round ends with.

    Attributes
    ----------
    outcome : object
        What ``combine`` returned.
    refusals : dict
        Sites that refused or stayed away, with code and public sentence.
    stored : tuple of str
        Sites that have stored the estimates.
    """

    outcome: Any = None
    refusals: dict[str, Refused] = field(default_factory=dict)
    stored: tuple[str, ...] = ()


class Coordinator(Protocol):
    """What the coordinator does with a round; knows nothing of Flower."""

    @property
    def key_id(self) -> str:
        """Identifier of the key that releases are sealed to."""
        ...

    @property
    def manifest(self) -> bytes:
        """The study's signed manifest; empty without one."""
        ...

    def admit(self, site: str, sealed: bytes) -> Admitted | Refused:
        """Whether a sealed release is the site's, for this study and run."""
        ...

    def combine(
        self,
        sealed: Mapping[str, bytes],
        refusals: Mapping[str, Refused],
        summarise_s: float,
    ) -> Any:
        """From sealed releases and refusals, by site, to the outcome."""
        ...

    def seal_result(self, result: Any, site: str) -> bytes | None:
        """The outcome sealed to a site, or None to send nothing."""
        ...


class OneRoundGlmm(Strategy):
    """
    Fits one model after one round of sealed summaries.

    Parameters
    ----------
    study : Study
        What is asked; names the expected sites.
    run_id : str
        Name of the run; single use.
    coordinator : Coordinator
        Opens and fits.
    folder : RunFolder
        Every sealed release is written here before anything is fitted.
    quorum : int or None
        Fewest nodes to ask; None for one for each expected site.
    tick : callable, optional
        Told of every step ("gather", "summarise", "broadcast"); the strategy itself
        prints nothing.

    Notes
    -----
    The strategy waits until as many nodes are online as sites are expected, and asks
    nobody before the deadline for that has passed.  It never takes "whoever is online"
    for the federation.  Nodes that come online while answers are outstanding are asked
    too.  A node whose app crashed, that went away, or whose answer was not understood
    or not its own is asked once more when it is there; for one that went away the
    round waits until its deadline.
    """

    def __init__(
        self,
        study: Study,
        run_id: str,
        coordinator: Coordinator,
        folder: RunFolder,
        *,
        quorum: int | None = None,
        tick: Tick = no_tick,
    ) -> None:
        self.study = study
        self.run_id = run_id
        self.coordinator = coordinator
        self.folder = folder
        self.quorum = len(study.sites) if quorum is None else quorum
        self.tick = tick
        self.roll = RollCall(study.sites)
        self.refusals: dict[str, Refused] = {}
        self.outcome: Any = None
        self.stored: list[str] = []
        self._requests: list[Message] = []
        self._deliveries = 0
        self._online: set[int] = set()
        self._again: set[int] = set()
        self._results: dict[str, bytes] = {}
        self._ttl: float = DEFAULT_TTL

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord | None = None,
        num_rounds: int = 1,
        timeout: float = 3600,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None,
    ) -> OneRoundResult:
        """
        Run the round.

        Parameters
        ----------
        grid : Grid
            Flower's grid.
        initial_arrays, train_config, evaluate_config, evaluate_fn : None
            Flower's, without meaning here: there are no arrays to train.
        num_rounds : int
            Must be 1.
        timeout : float
            Seconds to wait for the nodes, again for the summaries, and again for the
            acknowledgements.

        Returns
        -------
        OneRoundResult
            The outcome of ``combine``, the refusals, and who stored the estimates.

        Raises
        ------
        UsageError
            If more than one round or a Flower configuration is asked for.
        QuorumError
            If too few nodes came online in time.
        ExchangeError
            If an unexpected site answers, or two nodes speak for one site.
        """
        if num_rounds != 1:
            raise UsageError(
                f"one-round strategy: num_rounds={num_rounds}; 1 is required; the "
                "summaries are sent once"
            )
        given = (initial_arrays, train_config, evaluate_config, evaluate_fn)
        if any(argument is not None for argument in given):
            raise UsageError(
                "one-round strategy: arrays, configurations or an evaluation function "
                "were given; none is used; leave them out"
            )
        self._ttl = timeout + GRACE
        nothing, none = ArrayRecord(), ConfigRecord()
        until = time.monotonic() + timeout
        gather(grid, len(self.study.sites), until=until, seen=self._gathered)
        requests = self.configure_train(1, nothing, none, grid)
        until = time.monotonic() + timeout
        replies = collect(
            grid,
            requests,
            until=until,
            newcomers=partial(self._ask_new_nodes, grid),
            waiting=lambda: bool(self._again),
        )
        self.aggregate_train(1, replies)
        deliveries = self.configure_evaluate(1, nothing, none, grid)
        until = time.monotonic() + timeout
        self.aggregate_evaluate(1, collect(grid, deliveries, until=until))
        return OneRoundResult(
            outcome=self.outcome, refusals=self.refusals, stored=tuple(self.stored)
        )

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """The requests to all nodes online, if they are enough; opens the folder."""
        del server_round, arrays, config  # one round, no arrays
        requests = self._ask_new_nodes(grid)
        if len(requests) < self.quorum:
            raise QuorumError(
                f"run {self.run_id}: {len(requests)} of {len(self.study.sites)} sites "
                f"came online in time; at least {self.quorum} are required; nobody was "
                "asked; start the missing SuperNodes and run again"
            )
        self.folder.open_run(self.study, self.run_id, self.coordinator.manifest)
        return requests

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Keep each sealed release as it comes, then combine them."""
        del server_round  # one round
        started = time.monotonic()
        for message in replies:
            self._accept(message)
            if self.roll.complete:
                break
        seconds = time.monotonic() - started
        self.refusals = {**self.roll.refusals, **self.roll.absent()}
        self.folder.close_round(self.study, self.run_id, self.refusals)
        sealed = {site: held.sealed for site, held in self.roll.releases.items()}
        self.outcome = self.coordinator.combine(
            dict(sorted(sealed.items())), dict(sorted(self.refusals.items())), seconds
        )
        return None, None

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """The estimates, sealed to each site that answered under its name."""
        del server_round, arrays, config, grid  # one round, no arrays, no new nodes
        deliveries = []
        for site in self.study.sites:
            sealed = self.coordinator.seal_result(self.outcome, site)
            if sealed is None:
                continue
            self._results[site] = sealed
            node = self.roll.node_of(site)
            if node is not None:
                content = delivery_content(
                    Delivery(self.study.digest, self.run_id, sealed)
                )
                deliveries.append(self._message(content, node, RECEIVE_RESULT))
        self._deliveries = len(deliveries)
        return deliveries

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Note who has stored the estimates."""
        del server_round  # one round
        for message in replies:
            reply = read_reply(message)
            if isinstance(reply, Received) and reply.site in self.study.sites:
                self.stored.append(reply.site)
                self.tick("broadcast", len(self.stored), self._deliveries)
        self.stored.sort()
        # For sites whose node was not there: to be handed over as a file.
        for site in sorted(set(self._results) - set(self.stored)):
            self.folder.keep_result(site, self._results[site])
        return None

    def summary(self) -> None:
        """Nothing: the strategy is quiet, ``tick`` tells what happens."""

    def _gathered(self, online: int) -> None:
        self.tick("gather", online, len(self.study.sites))

    def _ask_new_nodes(self, grid: Grid) -> list[Message]:
        """Requests to nodes online that were not asked, or are to be asked again."""
        self._online = set(grid.get_node_ids())
        content = request_content(
            Request(
                self.study.canonical_bytes,
                self.run_id,
                self.coordinator.key_id,
                self.coordinator.manifest,
            )
        )
        asked = {message.metadata.dst_node_id for message in self._requests}
        again = self._again & self._online
        self._again -= again
        new = [
            self._message(content, node, SUMMARISE)
            for node in sorted((self._online - asked) | again)
        ]
        self._requests += new
        return new

    def _message(self, content: RecordDict, node: int, kind: str) -> Message:
        return Message(content, node, kind, ttl=self._ttl)

    def _accept(self, message: Message) -> None:
        """Enter one reply; a release is on disk before the next one is looked at."""
        # By the message that is answered: the sender of an error is the SuperLink.
        answered = message.metadata.reply_to_message_id
        asked = {m.metadata.message_id: m.metadata.dst_node_id for m in self._requests}
        node = asked.get(answered)
        if node is None:
            raise ExchangeError(
                f"run {self.run_id}: a reply to message {answered!r} arrived; one to a "
                "request of this run is required; run again"
            )
        reply = read_reply(message)
        if isinstance(reply, Received):
            reply = UNREADABLE
        if isinstance(reply, SealedRelease) and reply.site in self.study.sites:
            admitted = self.coordinator.admit(reply.site, reply.sealed)
            if isinstance(admitted, Refused):
                self.roll.reject(admitted)
                self._ask_again(node)
                return
        if isinstance(reply, Refused) and reply.site is None and reply.code in PASSING:
            self._ask_again(node)
        if self.roll.accept(node, reply, self._online):
            if isinstance(reply, SealedRelease):
                self.folder.keep(reply.site, reply.sealed)
            self.tick("summarise", self.roll.answered, len(self.study.sites))

    def _ask_again(self, node: int) -> None:
        """Ask a node once more when it is online, if it was not asked too often."""
        asked = [message.metadata.dst_node_id for message in self._requests]
        if asked.count(node) < TRIES:
            self._again.add(node)
