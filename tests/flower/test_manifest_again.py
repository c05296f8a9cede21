"""Under a manifest: what is asked again, resumed, or answered too late."""

import json
from dataclasses import replace

import pytest

from fedglmm_flower.coordinator import Options, Result
from fedglmm_flower.envelope import read_header, sign_manifest, split_signed
from fedglmm_flower.envelope.rotation import rotate_identity
from fedglmm_flower.errors import SnapshotError
from fedglmm_flower.flower.client import desk_of_node
from fedglmm_flower.flower.configured_desk import desk_of
from fedglmm_flower.flower.exchange import Request
from fedglmm_flower.flower.files import file_name
from fedglmm_flower.flower.resume import resume
from fedglmm_flower.flower.server import RunConfig, run_round
from fedglmm_flower.flower.site_desk import SiteDesk
from fedglmm_flower.flower.site_files import receive_file
from tests.command import numbers
from tests.flower.conftest import DAY, NOW, Signed, write_site_file
from tests.flower.test_one_round import codes


def estimated(result: Result) -> dict[str, object]:
    """All of a result that follows from the releases."""
    return {**numbers(result.to_dict()), "timing": None}


@pytest.fixture
def configured(signed: Signed, run_config, tmp_path) -> RunConfig:
    """The run configuration of the coordinator, with its manifest."""
    path = tmp_path / "manifest.toml"
    path.write_bytes(signed.data)
    return RunConfig.of({**run_config, "manifest": str(path)})


def test_a_site_asked_again_gives_the_same_bytes(signed):
    """Under one manifest; under another one its own, of the same release."""
    first = signed.desk().summarise(signed.request()).sealed
    longer = sign_manifest(
        replace(signed.manifest, expires=NOW + 31 * DAY), signed.owner
    )
    signed.approve("north", longer)
    second = signed.desk().summarise(signed.request(longer)).sealed

    assert signed.desk().summarise(signed.request()).sealed == first
    assert signed.desk().summarise(signed.request(longer)).sealed == second
    assert read_header(first).manifest == split_signed(signed.data).digest
    assert read_header(second).manifest == split_signed(longer).digest


def test_what_is_kept_is_sealed_anew_after_a_rotation_of_the_sites_key(federation):
    """The coordinator has pinned the new key: the old signature would be refused."""
    path = federation.site_file("north")
    study, coordinator = federation.study, federation.identity.public
    request = Request(study.canonical_bytes, federation.run_id, coordinator.encrypt_id)
    first = desk_of(path).summarise(request).sealed
    _, new = rotate_identity(path.parent / "site.key")
    second = desk_of(path).summarise(request).sealed
    federation.publics["north"] = new.public
    desk = federation.desk()

    assert first != second
    assert "another key" in getattr(desk.admit("north", first), "public", "")
    assert getattr(desk.admit("north", second), "content", "")


def test_other_rows_are_refused_and_the_kept_answer_is_not_given(signed):
    """Neither the difference of two answers nor an answer of rows that are gone."""
    signed.desk().summarise(signed.request())
    table = signed.federation.site_file("north").parent / "data.csv"
    table.write_text(table.read_text() + "50.0,7.125\n")

    with pytest.raises(SnapshotError, match="table has changed"):
        signed.desk().summarise(signed.request())


def test_a_site_whose_clock_is_past_the_end_refuses_once_and_receives(signed):
    """The others are fitted; the code is told, the times stay in the site's log."""
    asked = []

    def open_desk(context, study):
        desk = desk_of_node(context, study)
        assert isinstance(desk, SiteDesk)
        if desk.site != "north":
            return desk
        asked.append(desk.site)
        return replace(desk, clock=lambda: NOW + 30 * DAY)

    federation = signed.federation
    desk = federation.desk(manifest=signed.data, options=Options(quorum=3))
    with federation.grid(open_desk=open_desk, record=True) as grid:
        result = federation.strategy(desk, quorum=3).start(grid, timeout=60.0)

    assert codes(result) == {"north": "manifest-expired"}
    assert asked == ["north", "north"]  # for a release, and with the estimates
    assert "expired at" in federation.log("north")
    assert b"expired at" not in b"".join(grid.replied)
    assert result.stored == federation.study.sites


@pytest.mark.parametrize("rotated", [False, True])
def test_a_run_under_a_manifest_that_has_expired_is_resumed_under_it(
    signed, configured, rotated
):
    """To the last digit, with the keys of the run; every site takes its result."""
    federation = signed.federation
    past = replace(signed.manifest, made=NOW - 9 * DAY, expires=NOW - 7 * DAY)
    data = sign_manifest(past, signed.owner)
    for site in federation.study.sites:
        signed.approve(site, data)

    def open_desk(context, study):
        desk = desk_of_node(context, study)
        assert isinstance(desk, SiteDesk)
        return replace(desk, clock=lambda: NOW - 8 * DAY)

    desk = federation.desk(manifest=data)
    with federation.grid(open_desk=open_desk) as grid:
        outcome = federation.strategy(desk).start(grid, timeout=60.0).outcome
    (configured.run_dir / "result.json").unlink()
    for site in federation.study.sites:
        federation.estimates(site).unlink()
    if rotated:
        rotate_identity(configured.keys_dir / "coordinator.key")
    done = resume(configured.run_dir, keys=configured.keys_dir)

    assert estimated(done.result) == estimated(outcome)
    for site in federation.study.sites:
        sealed = configured.run_dir / "results" / f"{file_name(site)}.sealed"
        inbox = receive_file(federation.site_file(site), sealed)
        assert json.loads((inbox / "estimates.json").read_text())["fixed"]


def test_an_earlier_run_keeps_its_manifest_when_it_moves_away(
    signed, configured, run_config
):
    """And the run in its place has none of it."""
    federation = signed.federation
    with federation.grid() as grid:
        run_round(grid, configured, lambda *_: None)
    for site in federation.study.sites:
        write_site_file(federation, site)
    with federation.grid() as grid:
        run_round(grid, RunConfig.of(run_config), lambda *_: None)
    (earlier,) = (configured.run_dir / "earlier").iterdir()

    assert (earlier / "manifest.toml").read_bytes() == signed.data
    assert not (configured.run_dir / "manifest.toml").exists()
    assert resume(earlier, keys=configured.keys_dir).result.converged
    assert resume(configured.run_dir, keys=configured.keys_dir).result.converged


def test_releases_bound_to_a_manifest_are_not_resumed_without_it(signed, configured):
    """A folder that lost its manifest fits nothing, and says which check failed."""
    with signed.federation.grid() as grid:
        run_round(grid, configured, lambda *_: None)
    (configured.run_dir / "manifest.toml").unlink()

    with pytest.raises(Exception, match="another manifest, or to none"):
        resume(configured.run_dir, keys=configured.keys_dir)
