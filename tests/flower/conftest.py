"""A federation of four small sites, with real keys, files and envelopes."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.coordinator import Options
from fedglmm_flower.envelope import (
    Binding,
    Identity,
    Manifest,
    PublicIdentity,
    decode_release,
    new_identity,
    sign_manifest,
    split_signed,
    unseal,
    write_identity,
    write_public,
)
from fedglmm_flower.flower.approvals import APPROVALS, Approval, add_approval
from fedglmm_flower.flower.client import desk_of_node, make_client_app
from fedglmm_flower.flower.configured_desk import desk_of
from fedglmm_flower.flower.coordinator_desk import CoordinatorDesk, CoordinatorKeys
from fedglmm_flower.flower.exchange import Request, no_tick
from fedglmm_flower.flower.files import file_name
from fedglmm_flower.flower.in_process import InProcessGrid
from fedglmm_flower.flower.run_folder import RunFolder
from fedglmm_flower.flower.site_desk import SiteDesk
from fedglmm_flower.flower.strategy import OneRoundGlmm
from fedglmm_flower.site import Released
from fedglmm_flower.study import Column, Study, write_study
from tests.clock import Clock, set_clock

SITES = ("St. Mary/West", "east", "north", "south")
RUN = "run-1"
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


@dataclass
class Federation:
    """Folders of four sites and the keys of a coordinator."""

    root: Path
    study: Study
    identity: Identity
    publics: dict[str, PublicIdentity]
    run_id: str = RUN

    def site_file(self, site: str) -> Path:
        return self.root / "sites" / file_name(site) / "site.toml"

    def estimates(self, site: str) -> Path:
        return self.site_file(site).parent / "inbox" / "estimates.json"

    def log(self, site: str) -> str:
        return (self.site_file(site).parent / "site.log").read_text()

    def node(self, site: str) -> dict[str, str]:
        return {"site-config": str(self.site_file(site))}

    def grid(
        self,
        sites=None,
        *,
        open_desk=desk_of_node,
        kind: type[InProcessGrid] = InProcessGrid,
        **options,
    ) -> InProcessGrid:
        nodes = [self.node(site) for site in (sites or self.study.sites)]
        return kind(make_client_app(open_desk), nodes, **options)

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.root / "run")

    def desk(self, **options) -> CoordinatorDesk:
        keys = CoordinatorKeys(self.identity, self.publics)
        return CoordinatorDesk(
            self.study, self.run_id, keys, self.folder.path, **options
        )

    def strategy(self, desk=None, *, quorum=None, tick=no_tick) -> OneRoundGlmm:
        desk = desk or self.desk(options=Options(quorum=quorum))
        return OneRoundGlmm(
            self.study, self.run_id, desk, self.folder, quorum=quorum, tick=tick
        )

    def open(self, site: str) -> Released:
        """Open what the coordinator has kept of a site."""
        sealed = self.folder.path / "sealed" / f"{file_name(site)}.sealed"
        binding = Binding("release", self.study.digest, self.run_id, site)
        return decode_release(
            unseal(
                sealed.read_bytes(),
                binding=binding,
                recipient=self.identity,
                sender=self.publics[site],
            )
        )


def gaussian_study(sites) -> Study:
    """``y ~ x + (1 | site)``."""
    return Study(
        name="four sites",
        formula="y ~ x + (1 | site)",
        family="gaussian",
        link="identity",
        method="reml",
        site_column="site",
        columns=(Column("x", "continuous"), Column("y", "continuous")),
        sites=tuple(sorted(sites)),
        order=2,
    )


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """No answer is late because the machine was busy, and no silence takes its time."""
    return set_clock(monkeypatch)


@pytest.fixture
def federation(tmp_path, rng: np.random.Generator) -> Federation:
    """Four sites of 60 rows that have approved the study."""
    study = gaussian_study(SITES)
    coordinator = new_identity("coordinator")
    publics: dict[str, PublicIdentity] = {}
    built = Federation(tmp_path, study, coordinator, publics)
    for number, site in enumerate(study.sites):
        folder = built.site_file(site).parent
        folder.mkdir(parents=True)
        x = rng.normal(50, 10, 60).round(3)
        y = (1 + 0.1 * x + number + rng.normal(0, 1, 60)).round(3)
        rows = [f"{a},{b}" for a, b in zip(x, y, strict=True)]
        (folder / "data.csv").write_text("x,y\n" + "\n".join(rows) + "\n")
        identity = new_identity(site)
        publics[site] = identity.public
        write_identity(identity, folder / "site.key")
        write_public(coordinator.public, folder / "coordinator.pub")
        write_site_file(built, site)
    return built


def write_site_file(federation: Federation, name: str, /, **changes: str) -> None:
    """A ``site.toml``, with some values changed."""
    values = {
        "site": name,
        "approved": federation.study.digest,
        "data": "data.csv",
        "identity": "site.key",
        "coordinator": "coordinator.pub",
        **changes,
    }
    federation.site_file(name).write_text(
        "format = 1\n"
        f'site = "{values["site"]}"\n'
        f'approved = ["{values["approved"]}"]\n'
        f'[data]\npath = "{values["data"]}"\n'
        f'[keys]\nidentity = "{values["identity"]}"\n'
        f'coordinator = "{values["coordinator"]}"\n'
    )


@pytest.fixture
def binary(federation: Federation, rng: np.random.Generator) -> Federation:
    """The four sites with a 0/1 response, a poor release, and five further points."""
    study = replace(
        federation.study,
        formula="y ~ x + (1 | site)",
        family="binomial",
        link="logit",
        method="laplace",
        columns=(Column("x", "continuous"), Column("y", "binary")),
        order=2,
        rounds=5,
    )
    federation.study = study
    for k, site in enumerate(SITES):
        folder = federation.site_file(site).parent
        x = rng.normal(size=200)
        y = (rng.random(200) < 1 / (1 + np.exp(1 - x - 0.5 * k))).astype(int)
        pd.DataFrame({"x": x, "y": y}).to_csv(folder / "data.csv", index=False)
        write_site_file(federation, site)
    return federation


@pytest.fixture
def run_config(federation) -> dict[str, object]:
    """The coordinator's files, and the run configuration that names them."""
    keys = federation.root / "keys"
    write_identity(federation.identity, keys / "coordinator.key")
    write_study(federation.study, keys / "study.toml")
    for site, public in federation.publics.items():
        write_public(public, keys / "sites" / f"{file_name(site)}.pub")
    return {
        "study": str(keys / "study.toml"),
        "keys-dir": str(keys),
        "run-dir": str(federation.root / "run"),
        "deadline": 60.0,
        "quorum": 0,
        "sites-dir": "",
    }


@dataclass
class Signed:
    """A federation whose owner has signed a manifest that every site approved."""

    federation: Federation
    owner: Identity
    manifest: Manifest

    @property
    def data(self) -> bytes:
        return sign_manifest(self.manifest, self.owner)

    def approve(self, site: str, data: bytes | None = None) -> None:
        signed = split_signed(data or self.data)
        add_approval(
            self.federation.site_file(site).parent / APPROVALS,
            Approval(signed.digest, self.manifest.study, signed.owner, NOW),
        )

    def request(self, data: bytes | None = None) -> Request:
        fed = self.federation
        return Request(
            fed.study.canonical_bytes,
            fed.run_id,
            fed.identity.public.encrypt_id,
            self.data if data is None else data,
        )

    def desk(self, site: str = "north", **changes) -> SiteDesk:
        return replace(desk_of(self.federation.site_file(site)), **changes)


@pytest.fixture
def signed(federation) -> Signed:
    """Sites that answer under the manifest alone."""
    manifest = Manifest(
        name="four sites",
        study=federation.study.digest,
        made=NOW,
        expires=NOW + 30 * DAY,
        demands=(("min_rows", 50),),
        recipients=(federation.identity.public,),
        sites=tuple(federation.publics[site] for site in sorted(federation.publics)),
    )
    built = Signed(federation, new_identity("owner"), manifest)
    for site in federation.study.sites:
        write_site_file(federation, site, approved="0" * 64)
        built.approve(site)
    return built
