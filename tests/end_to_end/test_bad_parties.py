"""What goes wrong between the parties is refused with a code, never skipped."""

import json
from pathlib import Path

import pytest

from fedglmm_flower.coordinator import Options, fit_sealed
from fedglmm_flower.coordinator.opening import MISSING_CODES
from fedglmm_flower.envelope import (
    Binding,
    Identity,
    encode_release,
    new_identity,
    seal,
)
from fedglmm_flower.errors import AllRefusedError, FitError, QuorumError
from fedglmm_flower.flower.client import make_client_app
from fedglmm_flower.flower.coordinator_desk import CoordinatorDesk, CoordinatorKeys
from fedglmm_flower.flower.in_process import InProcessGrid
from fedglmm_flower.flower.run_folder import RunFolder
from fedglmm_flower.flower.site_desk import SiteDesk
from fedglmm_flower.flower.strategy import OneRoundGlmm
from fedglmm_flower.site import NO_DISCLOSURE_CONTROL, FrameSource, release
from fedglmm_flower.study import Column, Study
from tests.clock import set_clock
from tests.command import small_table


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Nobody waits for a silent site, and a busy machine makes none silent."""
    return set_clock(monkeypatch)


class Parties:
    """Three sites and a coordinator, each of which can be made to misbehave."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.study = Study(
            name="three",
            formula="y ~ x + (1 | site)",
            family="gaussian",
            link="identity",
            method="reml",
            site_column="site",
            columns=(Column("x", "continuous"), Column("y", "continuous")),
            sites=("a", "b", "c"),
            order=2,
        )
        self.coordinator = new_identity("coordinator")
        self.sites = {site: new_identity(site) for site in self.study.sites}
        self.pinned = dict.fromkeys(self.sites, self.coordinator.public)
        self.approved = dict.fromkeys(self.sites, (self.study.digest,))
        self.tampered: set[str] = set()

    def desk(self, site: str) -> SiteDesk:
        rows = small_table().query("hospital == @site")[["x", "y"]]
        return SiteDesk(
            site=site,
            source=FrameSource(rows, f"site {site!r}"),
            policy=NO_DISCLOSURE_CONTROL,
            keys=lambda: (self.sites[site], self.pinned[site]),
            approved=self.approved[site],
            inbox=self.folder / "sites" / site,
        )

    def run(self, *, silent=(), quorum=None, pinned_by=None):
        publics = {site: own.public for site, own in self.sites.items()}
        keys = CoordinatorKeys(self.coordinator, {**publics, **(pinned_by or {})})
        tampered = self.tampered

        class Desk(CoordinatorDesk):
            def combine(self, sealed, refusals, summarise_s):
                changed = dict(sealed)
                for site in tampered:
                    flipped = bytearray(changed[site])
                    flipped[-5] ^= 1
                    changed[site] = bytes(flipped)
                return super().combine(changed, refusals, summarise_s)

        desk = Desk(self.study, "run", keys, self.folder, Options(quorum=quorum))
        strategy = OneRoundGlmm(self.study, "run", desk, RunFolder(self.folder))
        sites = list(self.study.sites)

        def open_desk(context, _study):
            return self.desk(sites[int(str(context.node_config["at"]))])

        nodes = [{"at": at} for at in range(len(sites))]
        app = make_client_app(open_desk)
        with InProcessGrid(app, nodes, silent=silent) as grid:
            return strategy.start(grid, timeout=1.0)


def statuses(result) -> dict[str, tuple[str, str | None]]:
    """Status and code of each site."""
    entries = result.outcome.to_dict()["sites"]
    return {e["site"]: (e["status"], e.get("code")) for e in entries}


def test_a_silent_site_is_status_five(tmp_path):
    """A site that never answers fails the default quorum; nothing is concluded."""
    with pytest.raises(QuorumError, match=r"'b': site-missing.*; wait for") as failed:
        Parties(tmp_path).run(silent=[1])

    assert failed.value.exit_status == 5
    assert not (tmp_path / "result.json").exists()
    assert {p.name for p in (tmp_path / "sealed").iterdir()} == {"a.sealed", "c.sealed"}
    note = json.loads((tmp_path / "run.json").read_text())
    assert note["refusals"]["b"]["code"] in MISSING_CODES


def test_a_quorum_goes_on_without_the_silent_site(tmp_path):
    """With a lower quorum the site is listed as missing."""
    assert statuses(Parties(tmp_path).run(silent=[1], quorum=2)) == {
        "a": ("used", None),
        "b": ("missing", "site-missing"),
        "c": ("used", None),
    }


def other_key(parties: Parties) -> None:
    """Site b pins another coordinator."""
    parties.pinned["b"] = new_identity("coordinator").public


def flipped_byte(parties: Parties) -> None:
    """The message of site b is altered on its way."""
    parties.tampered.add("b")


def other_study(parties: Parties) -> None:
    """Site b has approved another study."""
    parties.approved["b"] = ("0" * 64,)


KEYS = "exchange public keys again where messages were refused, or set"
# The code, and what to do about it.
FAULTS = {
    other_key: ("envelope-invalid", KEYS),
    flipped_byte: ("envelope-invalid", KEYS),
    other_study: ("study-mismatch", "ask the sites that refused, or set"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_between_two_parties_is_refused(fault, tmp_path):
    """Never fitted and never skipped: the site counts as refused, with the code."""
    parties = Parties(tmp_path)
    fault(parties)
    code, cure = FAULTS[fault]
    with pytest.raises(QuorumError, match=f"{code}.*; {cure} a lower quorum"):
        parties.run()

    assert not (tmp_path / "result.json").exists()
    assert statuses(parties.run(quorum=2))["b"] == ("refused", code)


def test_a_site_with_another_signature_is_refused(tmp_path):
    """The coordinator pins each site's key: a stranger cannot answer for it."""
    parties = Parties(tmp_path)
    result = parties.run(quorum=2, pinned_by={"b": new_identity("b").public})

    assert statuses(result)["b"] == ("refused", "envelope-invalid")


def test_when_all_messages_are_wrong_every_site_is_refused(tmp_path):
    """No accepted release: status 3."""
    parties = Parties(tmp_path)
    parties.tampered.update(parties.study.sites)
    with pytest.raises(AllRefusedError) as failed:
        parties.run()

    assert failed.value.exit_status == 3


def test_dependent_columns_are_found_by_the_coordinator_too(tmp_path):
    """In a deployment nobody sees the table: the released sums name the column."""
    names = ("x", "twice", "e")
    columns = tuple(
        Column(name, "continuous" if name != "e" else "binary") for name in names
    )
    study = Study(
        name="twice",
        formula="e ~ x + twice + (1 | site)",
        family="binomial",
        link="logit",
        method="laplace",
        site_column="site",
        columns=columns,
        sites=("a", "b"),
        order=3,
    )
    table = small_table().assign(twice=lambda t: 2 * t.x + 1)
    coordinator = new_identity("coordinator")
    sites: dict[str, Identity] = {site: new_identity(site) for site in study.sites}
    sealed = {}
    for site, own in sites.items():
        rows = FrameSource(table.query("hospital == @site"), site)
        sealed[site] = seal(
            encode_release(release(study, rows, NO_DISCLOSURE_CONTROL, site=site)),
            binding=Binding("release", study.digest, "run", site),
            sender=own,
            recipient=coordinator.public,
        )
    with pytest.raises(FitError, match=r"'twice'.*linearly dependent"):
        fit_sealed(
            study,
            sealed,
            {},
            run_id="run",
            identity=coordinator,
            publics={site: own.public for site, own in sites.items()},
        ).result()
