"""What fails between the parties and is survived: crashes, replays, doubles, disks."""

import json
from contextlib import ExitStack
from functools import partial

import pytest
from flwr.app import Error, Message

from fedglmm_flower.errors import QuorumError, StorageError
from fedglmm_flower.flower.client import desk_of_node
from fedglmm_flower.flower.exchange import SealedRelease
from fedglmm_flower.flower.in_process import FIRST_NODE, InProcessGrid
from fedglmm_flower.flower.records import reply_content
from fedglmm_flower.flower.server import RunConfig, run_round
from tests.disk import full_disk
from tests.flower.conftest import SITES
from tests.flower.test_one_round import codes, run, statuses


class Flaky(InProcessGrid):
    """A grid on which some first answers of a node are lost to an error of Flower's."""

    faults = 1
    code = 2

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.asked: list[int] = []

    def push_messages(self, messages):
        batch = list(messages)
        self.asked += [m.metadata.dst_node_id for m in batch if "request" in m.content]
        return super().push_messages(batch)

    def _answer(self, message):
        node = message.metadata.dst_node_id
        if node == FIRST_NODE and self.asked.count(node) <= self.faults:
            return Message(Error(self.code, "secret"), reply_to=message)
        return super()._answer(message)


def test_a_node_that_crashed_once_is_asked_again(federation):
    """The second answer counts, and nobody else is asked twice."""
    grid = federation.grid(kind=Flaky)
    result = run(federation, grid)

    assert result.refusals == {}
    assert result.stored == SITES
    assert sorted(grid.asked) == [FIRST_NODE, *range(FIRST_NODE, FIRST_NODE + 4)]


def test_a_node_that_keeps_crashing_is_asked_twice_in_all(federation):
    """Then the round goes on without it."""

    class Broken(Flaky):
        faults = 9

    grid = federation.grid(kind=Broken)
    result = run(federation, grid, quorum=3)

    assert codes(result) == {SITES[0]: "site-crashed"}
    assert grid.asked.count(FIRST_NODE) == 2


class Leaving(Flaky):
    """A node that goes away when it is asked, and comes back after some turns."""

    faults = 1
    code = 5
    away = 0
    back_after = 3

    def get_node_ids(self):
        nodes = list(super().get_node_ids())
        if FIRST_NODE in self.asked and self.away < self.back_after:
            self.away += 1
            return [node for node in nodes if node != FIRST_NODE]
        return nodes


def test_a_node_that_went_away_is_waited_for_and_asked_again(federation):
    """Although no other answer is outstanding any more."""
    result = run(federation, federation.grid(kind=Leaving))

    assert result.refusals == {}
    assert result.stored == SITES


def test_a_node_that_stays_away_is_missing_at_the_deadline(federation):
    """The wait has an end, and the reason is the node's."""

    class Gone(Leaving):
        back_after = 10**9

    result = run(federation, federation.grid(kind=Gone), timeout=1.5, quorum=3)

    assert codes(result) == {SITES[0]: "node-unavailable"}
    # The estimates wait in a file for the site that was not there.
    left = federation.folder.path / "results"
    assert [p.name for p in left.iterdir()] == ["St.%20Mary%2FWest.sealed"]


def test_a_site_asked_twice_in_a_run_gives_the_same_bytes(federation):
    """From its store: a restarted SuperNode repeats its answer."""
    grid = federation.grid(record=True)
    run(federation, grid)
    first = {site: federation.open(site) for site in SITES}
    kept = federation.folder.path / "sealed" / "north.sealed"
    before = kept.read_bytes()
    run(federation, federation.grid())

    assert kept.read_bytes() == before
    federation.run_id = "run-2"
    run(federation, federation.grid())
    assert kept.read_bytes() != before
    assert {site: federation.open(site) for site in SITES} == first


def test_a_restarted_site_is_counted_once_and_gets_its_estimates(federation):
    """The old node has gone: the estimates go to the new one."""
    grid = federation.grid(silent=[3])
    east = FIRST_NODE + SITES.index("east")

    def restart(stage, done, total):
        if (stage, done) == ("summarise", 3) and east in grid._contexts:
            grid._contexts[east + 9] = grid._contexts.pop(east)

    result = run(federation, grid, timeout=2, quorum=3, tick=restart)

    assert codes(result) == {"south": "site-missing"}
    assert result.stored == ("St. Mary/West", "east", "north")


class Replaying(InProcessGrid):
    """A SuperLink that answers north's request by what it has kept from elsewhere."""

    kept: SealedRelease

    def pull_messages(self, message_ids):
        for reply in super().pull_messages(message_ids):
            record = reply.content.config_records.get("reply")
            if (
                record is not None
                and record.get("site") == "north"
                and "sealed" in record
            ):
                reply.content.update(reply_content(self.kept))
            yield reply


@pytest.mark.parametrize(
    ("replay", "reason"),
    [("run", "replayed from one"), ("site", "from or for another site")],
)
def test_a_replayed_or_swapped_release_is_refused_by_name(federation, replay, reason):
    """The site is asked once more and, cheated again, left out with the reason."""
    run(federation, federation.grid())
    sealed = federation.folder.path / "sealed"
    other = "south" if replay == "site" else "north"
    Replaying.kept = SealedRelease("north", (sealed / f"{other}.sealed").read_bytes())
    if replay == "run":
        federation.run_id = "run-2"
    result = run(federation, federation.grid(kind=Replaying), quorum=3)

    assert codes(result) == {"north": "envelope-invalid"}
    assert reason in result.refusals["north"].public
    assert statuses(result)["north"] == "refused"


def test_a_replay_does_not_keep_the_site_itself_out(federation):
    """What came in its name first was refuted; its own answer counts."""

    class Once(Replaying):
        left = 1

        def pull_messages(self, message_ids):
            pull = super().pull_messages
            if not self.left:
                pull = partial(InProcessGrid.pull_messages, self)
            for reply in pull(message_ids):
                record = reply.content.config_records.get("reply", {})
                self.left -= self.left and record.get("site") == "north"
                yield reply

    run(federation, federation.grid())
    sealed = federation.folder.path / "sealed" / "south.sealed"
    Replaying.kept = SealedRelease("north", sealed.read_bytes())
    federation.run_id = "run-2"
    grid = federation.grid(kind=Once)
    result = run(federation, grid)

    assert grid.left == 0
    assert result.refusals == {}
    assert result.stored == SITES


def test_a_handler_that_raises_is_a_code_and_the_rest_goes_on(federation):
    """Whatever it raises: neither text nor traceback leaves the site."""

    def raising(context, study):
        desk = desk_of_node(context, study)
        if desk.site == "north":
            raise MemoryError("SECRETCELL of patient 7")
        return desk

    grid = federation.grid(open_desk=raising, record=True)
    result = run(federation, grid, quorum=3)

    assert codes(result) == {"north": "failed"}
    assert b"SECRETCELL" not in b"".join(grid.replied)


def test_a_site_whose_disk_is_full_refuses_and_sends_nothing(federation):
    """An answer that cannot be kept is not given: it could not be given again."""

    class Full:
        """A desk that works while its disk is full."""

        def __init__(self, desk):
            self.desk, self.site, self.log = desk, desk.site, desk.log

        def summarise(self, request):
            with full_disk(4096):
                return self.desk.summarise(request)

        def receive(self, delivery, study):
            return self.desk.receive(delivery, study)

    def open_desk(context, study):
        desk = desk_of_node(context, study)
        return Full(desk) if desk.site == "north" else desk

    result = run(federation, federation.grid(open_desk=open_desk), quorum=3)

    assert codes(result) == {"north": "storage-failed"}
    assert "answers.sqlite" in federation.log("north")
    federation.run_id = "run-2"
    assert run(federation, federation.grid()).refusals == {}


@pytest.mark.parametrize("most", [16, 3000])
def test_a_full_disk_at_the_coordinator_loses_nothing_that_was_written(
    federation, run_config, most
):
    """The error says where; with room again the run is as if nothing had been."""
    config = RunConfig.of(run_config)
    with federation.grid() as grid:
        run_round(grid, config, lambda *_: None)
    before = (config.run_dir / "result.json").read_bytes()

    def fill(stage, done, total):
        if stage == "broadcast":
            return
        if stage == "summarise" and done == 4:
            stack.enter_context(full_disk(most))

    with (
        ExitStack() as stack,
        federation.grid() as grid,
        pytest.raises(StorageError, match="make room"),
    ):
        run_round(grid, config, fill)
    note = json.loads((config.run_dir / "run.json").read_text())
    earlier = list((config.run_dir / "earlier").iterdir())

    assert note["format"] == 1
    assert len(list((config.run_dir / "sealed").glob("*.sealed"))) == 4
    assert [(p / "result.json").read_bytes() for p in earlier] == [before]
    assert not (config.run_dir / "result.json").exists()
    assert not list(config.run_dir.glob(".*"))


def test_sites_that_joined_after_the_first_deadline_are_asked(federation):
    """Between quorum and all: who comes while answers are outstanding takes part."""
    grid = federation.grid(sites=SITES[:3])

    def join(stage, done, total):
        if (stage, done) == ("summarise", 1):
            grid.join(federation.node(SITES[3]))

    result = run(federation, grid, timeout=1, quorum=3, tick=join)

    assert result.refusals == {}
    assert result.stored == SITES


def test_progress_counts_sites(federation):
    """Told at every answer: 1 to 4 of 4."""
    told = []
    run(federation, federation.grid(), tick=lambda *step: told.append(step))
    summaries = [step for step in told if step[0] == "summarise"]

    assert summaries == [("summarise", done, 4) for done in (1, 2, 3, 4)]


def test_below_the_quorum_after_the_round_the_answers_are_kept(federation):
    """The next attempt finds them: nothing is asked for in vain."""
    with pytest.raises(QuorumError):
        run(federation, federation.grid(silent=[1]), timeout=1)

    assert len(list((federation.folder.path / "sealed").iterdir())) == 3
