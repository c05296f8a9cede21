"""The whole exchange, over messages that are serialised as on the wire."""

import json

import pytest
from flwr.app import ArrayRecord

from fedglmm_flower.coordinator import Result
from fedglmm_flower.envelope import new_identity, write_public
from fedglmm_flower.errors import (
    AllRefusedError,
    ExchangeError,
    QuorumError,
    UsageError,
)
from fedglmm_flower.flower.coordinator_desk import CoordinatorDesk
from fedglmm_flower.flower.in_process import InProcessGrid
from fedglmm_flower.study import read_study
from tests.flower.conftest import RUN, SITES, write_site_file


def run(federation, grid, *, timeout=20, **options):
    """Start the strategy on a grid and return its result."""
    with grid:
        return federation.strategy(**options).start(grid, timeout=timeout)


def codes(result) -> dict[str, str]:
    """Code of each site that did not release."""
    return {site: refused.code for site, refused in result.refusals.items()}


def statuses(result) -> dict[str, str]:
    """What ``result.json`` says of each site."""
    sites = result.outcome.to_dict()["sites"]
    return {entry["site"]: entry["status"] for entry in sites}


def test_every_site_releases_and_stores_the_estimates(federation):
    """The plain course: all release, all are combined, all store the result."""
    result = run(federation, federation.grid())
    written = Result.load(federation.folder.path)

    assert result.refusals == {}
    assert statuses(result) == dict.fromkeys(SITES, "used")
    assert result.stored == SITES
    assert written.to_dict() == result.outcome.to_dict()
    assert written.to_dict()["timing"]["summarise_s"] > 0
    for site in SITES:
        estimates = json.loads(federation.estimates(site).read_text())

        assert estimates["fixed"] == written.fixed


def test_sealed_releases_are_on_disk_before_anything_is_combined(federation):
    """A fit that crashes loses no answer: the folder holds what a new one needs."""

    class Crashing(CoordinatorDesk):
        def combine(self, sealed, refusals, summarise_s):
            msg = "the fit crashed"
            raise ArithmeticError(msg)

    desk = federation.desk()
    crashing = Crashing(desk.study, RUN, desk.keys, desk.folder)
    with pytest.raises(ArithmeticError):
        run(federation, federation.grid(), desk=crashing)
    note = json.loads((federation.folder.path / "run.json").read_text())

    assert {federation.open(site).site for site in SITES} == set(SITES)
    assert note["run_id"] == RUN
    assert read_study(federation.folder.path / "study.toml") == federation.study


def test_a_silent_site_is_missing_after_the_deadline(federation):
    """A node that never answers is reported as missing; the others are combined."""
    result = run(federation, federation.grid(silent=[1]), timeout=2, quorum=3)

    assert codes(result) == {"east": "site-missing"}
    assert statuses(result)["east"] == "missing"
    assert result.stored == ("St. Mary/West", "north", "south")


def test_without_a_quorum_every_expected_site_must_answer(federation):
    """The default does not fit a study from fewer sites than it names."""
    with pytest.raises(QuorumError, match="site-missing"):
        run(federation, federation.grid(silent=[1]), timeout=2)
    assert not (federation.folder.path / "result.json").exists()


def test_a_node_whose_app_crashes_is_told_from_a_silent_one(federation):
    """One crash and one absent site belong together, and nobody waits any longer."""
    result = run(federation, federation.grid(broken=[0]), quorum=3)

    assert codes(result) == {"St. Mary/West": "site-crashed"}
    assert "broken" not in repr(result)


def test_a_site_that_joins_late_is_waited_for(federation):
    """The strategy asks nobody before as many nodes are online as sites expected."""
    grid = federation.grid(sites=SITES[:3])
    seen = []

    def join_when_three_are_there(stage, done, total):
        seen.append((stage, done, total))
        if seen == [("gather", 3, 4)]:
            grid.join(federation.node(SITES[3]))

    result = run(federation, grid, tick=join_when_three_are_there)

    assert seen[:3] == [("gather", 3, 4), ("gather", 4, 4), ("summarise", 1, 4)]
    assert result.stored == SITES


def test_a_site_that_comes_back_as_another_node_is_asked_again(federation):
    """A SuperNode restarted during the round answers under its new identifier."""
    grid = federation.grid(silent=[2])

    def restart(stage, done, total):
        if (stage, done) == ("summarise", 3):
            grid.join(federation.node(SITES[2]))

    result = run(federation, grid, tick=restart)

    assert result.refusals == {}
    assert result.stored == SITES


def test_too_few_nodes_are_not_asked_at_all(federation):
    """Below the quorum no site is asked, so none spends a release in vain."""
    grid = federation.grid(sites=SITES[:2], record=True)

    with pytest.raises(QuorumError, match=r"2 of 4 sites.*start the missing"):
        run(federation, grid, timeout=0.3)
    assert grid.sent == []
    assert not federation.folder.path.exists()


def test_a_quorum_lets_the_round_go_on_without_the_absent(federation):
    """With quorum 3 three of four sites are enough."""
    grid = federation.grid(sites=SITES[:3])
    result = run(federation, grid, timeout=2, quorum=3)

    assert codes(result) == {"south": "site-missing"}
    assert sorted(statuses(result).values()) == ["missing", "used", "used", "used"]


def test_two_nodes_for_one_site_end_the_run(federation):
    """The strategy does not choose between two that claim to be the same site."""
    grid = federation.grid(sites=["north", "south", "east", "north"])

    with pytest.raises(ExchangeError, match="both speak for site 'north'"):
        run(federation, grid)
    assert not (federation.folder.path / "result.json").exists()


def test_an_unexpected_site_ends_the_run(federation):
    """A node that speaks for a site outside the study is not left out silently."""
    write_site_file(federation, "south", site="elsewhere")

    with pytest.raises(ExchangeError, match="speaks for site 'elsewhere'"):
        run(federation, federation.grid())
    assert not (federation.folder.path / "result.json").exists()


class AlteringGrid(InProcessGrid):
    """A SuperLink that flips one bit of north's sealed release."""

    def pull_messages(self, message_ids):
        for message in super().pull_messages(message_ids):
            record = message.content.config_records["reply"]
            sealed = record.get("sealed")
            if isinstance(sealed, bytes) and record["site"] == "north":
                flipped = bytes([sealed[-5] ^ 1])
                record["sealed"] = sealed[:-5] + flipped + sealed[-4:]
            yield message


def test_altered_sealed_bytes_are_refused(federation):
    """One flipped bit on the way, and that site is not used."""
    result = run(federation, federation.grid(kind=AlteringGrid), quorum=3)
    entry = result.outcome.to_dict()["sites"][2]

    assert (entry["site"], entry["status"]) == ("north", "refused")
    assert entry["code"] == "envelope-invalid"


def test_a_release_under_another_sites_name_is_refused(federation):
    """The name in clear is a claim; the pinned key of that site refutes it.

    South, with its own key, says that it is north, and north stays away.
    """
    write_site_file(federation, "south", site="north")
    grid = federation.grid(sites=["south", "east", "St. Mary/West"])

    with pytest.raises(QuorumError, match="'north': envelope-invalid"):
        run(federation, grid, timeout=2, quorum=3)


def test_a_site_that_pins_another_coordinator_refuses(federation):
    """Nothing is sealed to a coordinator that the site does not know."""
    folder = federation.site_file("south").parent
    write_public(new_identity("stranger").public, folder / "stranger.pub")
    write_site_file(federation, "south", coordinator="stranger.pub")
    result = run(federation, federation.grid(), quorum=3)

    assert codes(result) == {"south": "envelope-invalid"}
    assert "compare fingerprints" in federation.log("south")


def test_a_site_that_has_not_approved_the_study_refuses(federation):
    """An unknown digest is refused, and the site's own log says what to do."""
    write_site_file(federation, "north", approved="0" * 64)
    result = run(federation, federation.grid(), quorum=3)

    assert codes(result) == {"north": "study-mismatch"}
    assert statuses(result)["north"] == "refused"
    assert "not approved" in federation.log("north")


def keep_ten_rows(federation, site) -> None:
    """Shrink a site below the least number of rows of the default gate."""
    data = federation.site_file(site).parent / "data.csv"
    data.write_text("".join(data.read_text().splitlines(keepends=True)[:11]))


def test_a_site_that_the_gate_refused_still_receives_the_estimates(federation):
    """A small site is not shut out of the result, and does not count as missing."""
    keep_ten_rows(federation, "north")
    result = run(federation, federation.grid())

    assert codes(result) == {"north": "disclosure-refused"}
    assert "north" in result.stored


def test_when_every_site_refuses_nothing_is_written(federation):
    """All refused is an error of its own, and leaves no result."""
    for site in SITES:
        keep_ten_rows(federation, site)

    with pytest.raises(AllRefusedError):
        run(federation, federation.grid())
    assert not (federation.folder.path / "result.json").exists()
    assert not federation.estimates("north").exists()


def test_a_result_of_two_sites_is_not_broadcast(federation):
    """With two, each could subtract its own sums and see the other's."""
    keep_ten_rows(federation, "north")
    keep_ten_rows(federation, "east")
    result = run(federation, federation.grid())

    assert result.outcome.to_dict()["n_sites"] == 2
    assert result.stored == ()
    assert not federation.estimates("south").exists()


def test_estimates_of_another_run_are_refused(federation):
    """A replayed result does not replace the one that a site waits for."""
    kept = []

    class Replaying(InProcessGrid):
        """A SuperLink that keeps the messages of an earlier run."""

        def push_messages(self, messages):
            batch = list(messages)
            if batch and "delivery" in batch[0].content:
                kept.append([dict(m.content["delivery"]) for m in batch])
                if len(kept) == 2:
                    for message, old in zip(batch, kept[0], strict=True):
                        message.content.config_records["delivery"].update(old)
            return super().push_messages(batch)

    run(federation, federation.grid(kind=Replaying))
    federation.run_id = "run-2"
    result = run(federation, federation.grid(kind=Replaying))

    assert len(kept) == 2
    assert result.stored == ()
    assert "'run-1'" in federation.log("north")


@pytest.mark.parametrize(
    ("option", "value"), [("num_rounds", 2), ("initial_arrays", ArrayRecord())]
)
def test_what_one_round_has_no_use_for_is_refused(federation, option, value):
    """A second round or arrays to train are a misunderstanding, not an option."""
    with federation.grid() as grid, pytest.raises(UsageError):
        federation.strategy().start(grid, **{option: value})
