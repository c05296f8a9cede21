"""A study under a manifest: who answers, who refuses, and what is bound to it."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from fedglmm_flower.envelope import (
    new_identity,
    read_header,
    sign_manifest,
    split_signed,
    write_identity,
    write_public,
)
from fedglmm_flower.envelope.encryption import HYBRID, PLAIN
from fedglmm_flower.envelope.rotation import rotate_identity
from fedglmm_flower.errors import (
    EnvelopeError,
    ManifestError,
    ManifestExpiredError,
    PolicyError,
    StudyMismatchError,
)
from fedglmm_flower.flower.approvals import (
    APPROVALS,
    Approval,
    add_approval,
    read_approvals,
)
from fedglmm_flower.flower.configured_desk import desk_of
from fedglmm_flower.flower.exchange import Delivery
from fedglmm_flower.flower.own_manifest import check_own_manifest, read_manifest_file
from fedglmm_flower.flower.refit import refit
from fedglmm_flower.flower.server import RunConfig, run_round
from tests.flower.conftest import DAY, NOW, write_site_file


def test_a_round_under_a_manifest_is_bound_to_it(signed):
    """All answer, all store the estimates, every message names the manifest."""
    federation = signed.federation
    desk = federation.desk(manifest=signed.data)
    with federation.grid() as grid:
        result = federation.strategy(desk).start(grid, timeout=60.0)
    saved = federation.folder.read()

    assert result.refusals == {}
    assert result.stored == federation.study.sites
    assert saved.manifest == signed.data
    assert {read_header(sealed).manifest for sealed in saved.sealed.values()} == {
        split_signed(signed.data).digest
    }


def test_a_run_under_a_manifest_can_be_fitted_again(signed, run_config):
    """A refit takes the manifest from the folder, and refuses releases without it."""
    federation = signed.federation
    desk = federation.desk(manifest=signed.data)
    with federation.grid() as grid:
        outcome = federation.strategy(desk).start(grid, timeout=60.0).outcome
    again = refit(
        federation.folder.path, federation.study.formula, keys=run_config["keys-dir"]
    )

    assert again.fixed == outcome.fixed
    (federation.folder.path / "manifest.toml").unlink()
    with pytest.raises(Exception, match="another manifest, or to none"):
        refit(
            federation.folder.path,
            federation.study.formula,
            keys=run_config["keys-dir"],
        )


def test_a_manifest_that_is_not_the_approved_one_is_refused(signed):
    """Any other text, however well signed, waits for its own approval."""
    other = replace(signed.manifest, expires=NOW + 31 * DAY)

    with pytest.raises(ManifestError, match="not approved here"):
        signed.desk().summarise(signed.request(sign_manifest(other, signed.owner)))


def test_the_approved_text_of_another_owner_is_refused(signed):
    """The key that was approved must have signed, not one that the file names."""
    forged = sign_manifest(signed.manifest, new_identity("owner"))

    with pytest.raises(ManifestError, match="signature by the owner's key"):
        signed.desk().summarise(signed.request(forged))


@pytest.mark.parametrize("ahead", [30 * DAY, 31 * DAY, -DAY - timedelta(seconds=1)])
def test_the_sites_clock_decides_and_both_times_are_told(signed, ahead):
    """Expired by the site's clock, or a clock more than a day slow: nothing leaves."""
    clock = NOW + ahead

    with pytest.raises(ManifestExpiredError) as refused:
        signed.desk(clock=lambda: clock).summarise(signed.request())
    times = (clock, signed.manifest.made if ahead < DAY else signed.manifest.expires)
    for time in times:
        assert f"{time:%Y-%m-%dT%H:%M:%SZ}" in refused.value.detail


@pytest.mark.parametrize("skew", [-DAY, DAY])
def test_a_clock_skew_of_a_day_is_survived(signed, skew):
    """A clock a day slow at the start, or a day fast in the middle, still answers."""
    desk = signed.desk(clock=lambda: NOW + skew)

    assert desk.summarise(signed.request()).sealed


def test_a_manifest_that_does_not_name_this_site_is_refused(signed):
    """Neither another name nor another key of the same name will do."""
    other = new_identity("north").public
    named = {site.name: site for site in signed.manifest.sites}
    for sites, says in (
        ({k: v for k, v in named.items() if k != "north"}, "does not name the site"),
        ({**named, "north": other}, "those of this site"),
    ):
        changed = replace(signed.manifest, sites=tuple(sites.values()))
        data = sign_manifest(changed, signed.owner)
        signed.approve("north", data)

        with pytest.raises(ManifestError, match=says):
            signed.desk().summarise(signed.request(data))


def test_a_manifest_of_another_coordinator_is_refused(signed):
    """The key pinned at the site must be among the recipients."""
    stranger = new_identity("coordinator")
    changed = replace(signed.manifest, recipients=(stranger.public,))
    data = sign_manifest(changed, signed.owner)
    signed.approve("north", data)

    with pytest.raises(ManifestError, match="coordinator pinned here"):
        signed.desk().summarise(signed.request(data))
    request = replace(signed.request(), coordinator_key=stranger.public.encrypt_id)
    with pytest.raises(EnvelopeError, match="is pinned here"):
        signed.desk().summarise(request)


def test_a_round_to_a_hybrid_coordinator_and_site(signed):
    """Releases go out in the hybrid suite, results in that of each site's key."""
    federation = signed.federation
    office = new_identity("coordinator", hybrid=True)
    north = new_identity("north", hybrid=True)
    federation.identity, federation.publics["north"] = office, north.public
    sites = tuple(federation.publics[name] for name in federation.study.sites)
    signed.manifest = replace(signed.manifest, recipients=(office.public,), sites=sites)
    for name in federation.study.sites:
        place = federation.site_file(name).parent
        (place / "coordinator.pub").unlink()
        write_public(office.public, place / "coordinator.pub")
        signed.approve(name)
    (federation.site_file("north").parent / "site.key").unlink()
    write_identity(north, federation.site_file("north").parent / "site.key")
    desk = federation.desk(manifest=signed.data)
    with federation.grid() as grid:
        result = federation.strategy(desk).start(grid, timeout=60.0)

    assert result.refusals == {}
    assert result.stored == federation.study.sites
    for sealed in federation.folder.read().sealed.values():
        assert read_header(sealed).suite == HYBRID
    assert signed.data.decode().count(f'suite = "{HYBRID}"') == 2
    assert split_signed(signed.data).read(signed.owner.public.verify) == signed.manifest


@pytest.mark.parametrize("pinned", [PLAIN, HYBRID])
def test_a_key_of_another_suite_than_the_manifests_is_refused(signed, pinned):
    """The X25519 half of a hybrid coordinator, or hybrid where plain was signed."""
    office = new_identity("coordinator", hybrid=True).public
    half = replace(office, encrypt=office.encrypt[-32:])
    named, other = (office, half) if pinned == PLAIN else (half, office)
    data = sign_manifest(replace(signed.manifest, recipients=(named,)), signed.owner)
    signed.approve("north", data)
    path = signed.federation.site_file("north").parent / "coordinator.pub"
    path.unlink()
    write_public(other, path)
    request = replace(signed.request(data), coordinator_key=other.encrypt_id)

    assert other.suite == pinned
    with pytest.raises(ManifestError, match="coordinator pinned here"):
        signed.desk().summarise(request)


def test_a_manifest_of_another_study_is_refused(signed):
    """The bytes of the question must be those that were approved."""
    request = replace(signed.request(), study=b"{}")

    with pytest.raises(StudyMismatchError, match="of the approved manifest"):
        signed.desk().summarise(request)


def test_a_policy_weaker_than_the_demands_is_refused(signed):
    """The study's minimum holds at every site, whatever its own file says."""
    weaker = replace(signed.desk().policy, min_rows=49)

    with pytest.raises(PolicyError, match="min_rows: 49 was found"):
        signed.desk(policy=weaker).summarise(signed.request())


def test_without_a_manifest_a_site_answers_what_its_file_approves(signed):
    """The simple mode stays, and approving a manifest does not open it."""
    federation, plain = signed.federation, signed.request(b"")
    with pytest.raises(StudyMismatchError):
        signed.desk().summarise(plain)
    write_site_file(federation, "north")

    assert read_header(signed.desk().summarise(plain).sealed).manifest is None
    with pytest.raises(ManifestError, match="require_manifest = true"):
        signed.desk(require_manifest=True).summarise(plain)


def test_require_manifest_is_read_from_the_sites_file(signed):
    """One line of ``site.toml`` closes the simple mode."""
    path: Path = signed.federation.site_file("north")
    assert not signed.desk().require_manifest
    path.write_text(
        path.read_text().replace("[data]", "require_manifest = true\n[data]")
    )

    assert desk_of(path).require_manifest


def test_estimates_outside_an_approved_manifest_are_not_stored(signed):
    """A result is bound to the manifest as the release was."""
    federation = signed.federation
    desk = federation.desk(manifest=signed.data)
    with federation.grid() as grid:
        outcome = federation.strategy(desk).start(grid, timeout=60.0).outcome
    federation.estimates("north").unlink()
    other = sign_manifest(replace(signed.manifest, name="other"), signed.owner)
    for data in (b"", other):
        sealed = federation.desk(manifest=data).seal_result(outcome, "north")
        assert sealed is not None
        delivery = Delivery(federation.study.digest, federation.run_id, sealed)

        with pytest.raises(StudyMismatchError, match="nothing was stored"):
            signed.desk().receive(delivery, federation.study.canonical_bytes)
    assert not federation.estimates("north").exists()


def test_approvals_are_kept_whole_and_once(signed, tmp_path):
    """The file gives back what was added; a second time nothing is written."""
    path = tmp_path / APPROVALS
    one = Approval("a" * 64, "b" * 64, bytes(32), NOW)
    two = replace(one, manifest="c" * 64)
    assert read_approvals(path) == ()
    assert add_approval(path, one)
    assert add_approval(path, two)
    before = path.read_bytes()

    assert not add_approval(path, one)
    assert path.read_bytes() == before
    assert read_approvals(path) == (one, two)


@pytest.mark.parametrize(
    "text",
    ["x", "format = 1", 'format = "fedglmm-approvals/1"\nmore = 1', "\n[[approved]]\n"],
)
def test_a_damaged_file_of_approvals_approves_nothing(tmp_path, text):
    """A file that cannot be understood is an error, never an empty list."""
    path = tmp_path / APPROVALS
    path.write_text(text)

    with pytest.raises(PolicyError, match="approve again"):
        read_approvals(path)


def test_the_coordinator_looks_at_its_manifest_first(signed, tmp_path):
    """What every site would refuse is refused before anybody is asked."""
    federation = signed.federation
    study, identity = federation.study, federation.identity
    publics = federation.publics
    north = {**publics, "north": new_identity("north").public}

    check_own_manifest(signed.data, study, identity, publics, now=NOW)
    for error, arguments in (
        (StudyMismatchError, (replace(study, order=1), identity, publics)),
        (ManifestError, (study, new_identity("coordinator"), publics)),
        (ManifestError, (study, identity, north)),
    ):
        with pytest.raises(error):
            check_own_manifest(signed.data, *arguments, now=NOW)
    with pytest.raises(ManifestExpiredError):
        check_own_manifest(signed.data, study, identity, publics, now=NOW + 30 * DAY)
    with pytest.raises(ManifestError, match="cannot be read"):
        read_manifest_file(tmp_path / "none")
    write_public(identity.public, tmp_path / "foreign")
    with pytest.raises(ManifestError, match="no signature at its end"):
        read_manifest_file(tmp_path / "foreign")


def test_the_app_runs_under_the_manifest_of_its_configuration(
    signed, run_config, tmp_path
):
    """From ``manifest`` of the run configuration to bound releases and estimates."""
    federation = signed.federation
    path = tmp_path / "manifest.toml"
    path.write_bytes(signed.data)
    with federation.grid() as grid:
        run_round(grid, RunConfig.of({**run_config, "manifest": str(path)}))

    assert federation.folder.read().manifest == signed.data
    assert all(federation.estimates(site).exists() for site in federation.study.sites)


def test_the_app_asks_nobody_under_an_expired_manifest(signed, run_config, tmp_path):
    """The coordinator's own clock comes first, and nothing is written."""
    federation = signed.federation
    old = replace(signed.manifest, made=NOW - 2 * DAY, expires=NOW - DAY)
    path = tmp_path / "manifest.toml"
    path.write_bytes(sign_manifest(old, signed.owner))
    with federation.grid(record=True) as grid, pytest.raises(ManifestExpiredError):
        run_round(grid, RunConfig.of({**run_config, "manifest": str(path)}))

    assert grid.sent == []
    assert not (federation.folder.path / "run.json").exists()


def test_a_run_is_fitted_again_after_the_coordinators_key_was_rotated(
    federation, run_config
):
    """The old key stays beside the new one and opens the old run."""
    keys = Path(str(run_config["keys-dir"]))
    with federation.grid() as grid:
        run_round(grid, RunConfig.of(run_config))
    before = refit(federation.folder.path, federation.study.formula, keys=keys)
    rotate_identity(keys / "coordinator.key")
    after = refit(federation.folder.path, federation.study.formula, keys=keys)

    assert after.fixed == before.fixed
