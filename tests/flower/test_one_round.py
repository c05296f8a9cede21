"""The whole exchange, over messages that are serialised as on the wire."""

import json

import pytest
from flwr.app import ArrayRecord

from fedglmm_flower.envelope import new_identity, write_public
from fedglmm_flower.errors import (
    EnvelopeError,
    ExchangeError,
    QuorumError,
    UsageError,
)
from fedglmm_flower.flower.files import file_name
from fedglmm_flower.flower.in_process import InProcessGrid
from fedglmm_flower.study import read_study
from tests.flower.conftest import RUN, SITES, write_site_file


def run(federation, grid, timeout=20, **options):
    """Start the strategy on a grid and return its result."""
    with grid:
        return federation.strategy(**options).start(grid, timeout=timeout)


def test_every_site_releases_and_stores_the_estimates(federation):
    """The plain course: all release, all are combined, all store the result."""
    result = run(federation, federation.grid())

    assert sorted(SITES) == sorted(federation.opened)
    assert {60} == {r.clusters[0].n_rows for r in federation.opened.values()}
    assert result.refusals == {}
    assert result.outcome == {"n_sites": 3}
    assert tuple(sorted(SITES)) == result.stored
    for site in SITES:
        assert json.loads(federation.estimates(site).read_text()) == {"n_sites": 3}


def test_sealed_releases_are_on_disk_before_anything_is_combined(federation):
    """A fit that crashes loses no answer: the folder holds all of them."""
    combine = federation.combine

    def crash(sealed, refusals):
        msg = "the fit crashed"
        raise ArithmeticError(msg)

    federation.combine = crash
    with pytest.raises(ArithmeticError):
        run(federation, federation.grid())
    run_folder = federation.root / "run"
    sealed = {
        site: (run_folder / "sealed" / f"{file_name(site)}.sealed").read_bytes()
        for site in SITES
    }
    note = json.loads((run_folder / "run.json").read_text())

    assert combine(sealed, {}) == {"n_sites": 3}
    assert note["run_id"] == RUN
    assert federation.study == read_study(run_folder / "study.toml")


def test_a_silent_site_is_missing_after_the_deadline(federation):
    """A node that never answers is reported as missing; the others are combined."""
    result = run(federation, federation.grid(silent=[1]), timeout=2)
    silent = federation.study.sites[1]

    assert {silent: "site-missing"} == {s: r.code for s, r in result.refusals.items()}
    assert result.refusals == federation.refused
    assert len(federation.opened) == 2
    assert len(result.stored) == 2


def test_a_node_whose_app_crashes_is_told_from_a_silent_one(federation):
    """One crash and one absent site belong together, and nobody waits any longer."""
    result = run(federation, federation.grid(broken=[0]))
    crashed = federation.study.sites[0]

    assert {crashed: "site-crashed"} == {s: r.code for s, r in result.refusals.items()}


def test_an_error_of_flower_never_quotes_the_exception(federation):
    """The reason that Flower sends with an error is not even read."""
    result = run(federation, federation.grid(broken=[0]))

    assert "broken" not in repr(result)


def test_a_site_that_joins_late_is_waited_for(federation):
    """The strategy asks nobody before as many nodes are online as sites expected."""
    grid = federation.grid(sites=federation.study.sites[:2])
    seen = []

    def join_when_two_are_there(progress):
        seen.append((progress.stage, progress.done))
        if progress == type(progress)("gather", 2, 3):
            grid.join(federation.node(federation.study.sites[2]))

    result = run(federation, grid, progress=join_when_two_are_there)

    assert seen[:3] == [("gather", 2), ("gather", 3), ("summarise", 1)]
    assert len(result.stored) == 3


def test_a_site_that_comes_back_as_another_node_is_asked_again(federation):
    """A SuperNode restarted during the round answers under its new identifier."""
    grid = federation.grid(silent=[2])

    def restart(progress):
        if progress.stage == "summarise" and progress.done == 2:
            grid.join(federation.node(federation.study.sites[2]))

    result = run(federation, grid, progress=restart)

    assert result.refusals == {}
    assert len(result.stored) == 3


def test_too_few_nodes_are_not_asked_at_all(federation):
    """Below the quorum no site is asked, so none spends a release in vain."""
    grid = federation.grid(sites=SITES[:2], record=True)

    with pytest.raises(QuorumError, match=r"2 of 3 sites.*start the missing"):
        run(federation, grid, timeout=0.3)
    assert grid.sent == []
    assert not (federation.root / "run").exists()


def test_a_quorum_lets_the_round_go_on_without_the_absent(federation):
    """With quorum 2 two of three sites are enough."""
    result = run(federation, federation.grid(sites=SITES[:2]), timeout=2, quorum=2)

    assert len(federation.opened) == 2
    assert [r.code for r in result.refusals.values()] == ["site-missing"]


def test_two_nodes_for_one_site_end_the_run(federation):
    """The strategy does not choose between two that claim to be the same site."""
    grid = federation.grid(sites=["north", "south", "north"])

    with pytest.raises(ExchangeError, match="both speak for site 'north'"):
        run(federation, grid)
    assert federation.opened == {}


def test_an_unexpected_site_ends_the_run(federation):
    """A node that speaks for a site outside the study is not left out silently."""
    write_site_file(federation, "south", site="elsewhere")

    with pytest.raises(ExchangeError, match="speaks for site 'elsewhere'"):
        run(federation, federation.grid())
    assert federation.opened == {}


class AlteringGrid(InProcessGrid):
    """A SuperLink that flips one bit of every sealed release."""

    def pull_messages(self, message_ids):
        for message in super().pull_messages(message_ids):
            record = message.content.config_records["reply"]
            sealed = record.get("sealed")
            if isinstance(sealed, bytes):
                flipped = bytes([sealed[-5] ^ 1])
                record["sealed"] = sealed[:-5] + flipped + sealed[-4:]
            yield message


def test_altered_sealed_bytes_are_refused(federation):
    """One flipped bit on the way, and the envelope does not open."""
    with pytest.raises(EnvelopeError):
        run(federation, federation.grid(kind=AlteringGrid))
    assert not federation.estimates("north").exists()


def test_a_release_under_another_sites_name_is_refused(federation):
    """The name in clear is a claim; the pinned key of that site proves or refutes it.

    South, with its own key, says that it is north, and north stays away.
    """
    write_site_file(federation, "south", site="north")
    grid = federation.grid(sites=["south", "St. Mary/West"])

    with pytest.raises(EnvelopeError):
        run(federation, grid, timeout=2, quorum=2)


def test_a_site_that_pins_another_coordinator_refuses(federation):
    """Nothing is sealed to a coordinator that the site does not know."""
    folder = federation.site_file("south").parent
    write_public(new_identity("stranger").public, folder / "stranger.pub")
    write_site_file(federation, "south", coordinator="stranger.pub")
    result = run(federation, federation.grid())

    assert {site: refused.code for site, refused in result.refusals.items()} == {
        "south": "envelope-invalid"
    }
    assert "compare fingerprints" in federation.log("south")


def test_a_site_that_has_not_approved_the_study_refuses(federation):
    """An unknown digest is refused, and the site's own log says what to do."""
    write_site_file(federation, "north", approved="0" * 64)
    result = run(federation, federation.grid())

    assert {site: refused.code for site, refused in result.refusals.items()} == {
        "north": "study-mismatch"
    }
    assert "not approved" in federation.log("north")


def test_a_refused_site_still_receives_the_estimates_if_it_may(federation):
    """The gate's refusal of a small site does not shut it out of the result."""
    data = federation.site_file("north").parent / "data.csv"
    data.write_text("".join(data.read_text().splitlines(keepends=True)[:11]))
    result = run(federation, federation.grid())

    assert {site: refused.code for site, refused in result.refusals.items()} == {
        "north": "disclosure-refused"
    }
    assert "north" in result.stored


def test_no_broadcast_when_the_coordinator_holds_the_result_back(federation):
    """A sealer that returns None sends nothing to that site."""
    federation.seal_result = lambda *_: None
    result = run(federation, federation.grid())

    assert result.stored == ()
    assert not federation.estimates("north").exists()


@pytest.mark.parametrize(
    ("option", "value"), [("num_rounds", 2), ("initial_arrays", ArrayRecord())]
)
def test_what_one_round_has_no_use_for_is_refused(federation, option, value):
    """A second round or arrays to train are a misunderstanding, not an option."""
    with federation.grid() as grid, pytest.raises(UsageError):
        federation.strategy().start(grid, **{option: value})
