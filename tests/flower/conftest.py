"""A federation of three small sites, with real keys, files and envelopes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from fedglmm_flower.envelope import (
    Binding,
    Identity,
    PublicIdentity,
    decode_release,
    encode_result,
    new_identity,
    seal,
    unseal,
    write_identity,
    write_public,
)
from fedglmm_flower.flower.client import desk_of_node, make_client_app
from fedglmm_flower.flower.exchange import Refused
from fedglmm_flower.flower.files import file_name
from fedglmm_flower.flower.in_process import InProcessGrid
from fedglmm_flower.flower.run_folder import RunFolder
from fedglmm_flower.flower.strategy import OneRoundGlmm
from fedglmm_flower.site import Released
from fedglmm_flower.study import Column, Study, write_study

SITES = ("north", "south", "St. Mary/West")
RUN = "run-1"


@dataclass
class Federation:
    """Folders of three sites and the keys of a coordinator."""

    root: Path
    study: Study
    identity: Identity
    publics: dict[str, PublicIdentity]
    opened: dict[str, Released] = field(default_factory=dict)
    refused: Mapping[str, Refused] = field(default_factory=dict)

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

    def combine(
        self, sealed: Mapping[str, bytes], refusals: Mapping[str, Refused]
    ) -> dict:
        """Open every release; the fit is the coordinator's business."""
        self.refused = refusals
        for site, message in sealed.items():
            binding = Binding("release", self.study.digest, RUN, site)
            self.opened[site] = decode_release(
                unseal(
                    message,
                    binding=binding,
                    recipient=self.identity,
                    sender=self.publics[site],
                )
            )
        return {"n_sites": len(sealed)}

    def seal_result(self, result: dict, site: str) -> bytes:
        return seal(
            encode_result(result),
            binding=Binding("result", self.study.digest, RUN, site),
            sender=self.identity,
            recipient=self.publics[site],
        )

    @property
    def folder(self) -> RunFolder:
        return RunFolder(self.root / "run")

    @property
    def key_id(self) -> str:
        return self.identity.public.encrypt_id

    def strategy(self, **options) -> OneRoundGlmm:
        """A strategy whose coordinator is this federation."""
        return OneRoundGlmm(self.study, RUN, self, self.folder, **options)


def gaussian_study(sites) -> Study:
    """``y ~ x + (1 | site)``."""
    return Study(
        name="three sites",
        formula="y ~ x + (1 | site)",
        family="gaussian",
        link="identity",
        method="reml",
        site_column="site",
        columns=(Column("x", "continuous"), Column("y", "continuous")),
        sites=tuple(sorted(sites)),
        order=2,
    )


@pytest.fixture
def federation(tmp_path, rng: np.random.Generator) -> Federation:
    """Three sites of 60 rows that have approved the study."""
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
        "deadline": 20.0,
        "quorum": 0,
        "sites-dir": "",
    }
