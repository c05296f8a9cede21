"""A simulation, and the same consortium again by files: folders, keys and commands."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from fedglmm_flower.study import Study, read_study
from tests.command import Ended, fedglmm, simulate

SITES = ("a", "b", "c", "d")


@dataclass(frozen=True)
class Consortium:
    """Four hospitals with key files, and the coordinator's folder of keys."""

    root: Path
    study: Study

    @property
    def study_file(self) -> Path:
        return self.root / "out" / "study.toml"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    def config(self, site: str) -> Path:
        return self.root / "sites" / site / "site.toml"

    def inbox(self, site: str) -> Path:
        return self.root / "sites" / site / "inbox"

    def release(self, site: str, out: Path | None = None, *more: object) -> Ended:
        out = out or self.root / f"{site}.sealed"
        return fedglmm(
            *("site", "release", "--config", self.config(site)),
            *("--study", self.study_file, "--out", out, *more),
        )

    def combine(self, *paths: object, out: str = "run", more=()) -> Ended:
        return fedglmm(
            *("coordinator", "combine", *paths, "--study", self.study_file),
            *("--keys", self.keys, "--out", self.root / out, *more),
        )

    def receive(self, site: str, result: Path) -> Ended:
        return fedglmm("site", "receive", result, "--config", self.config(site))

    def copy(self, root: Path) -> "Consortium":
        """All folders again, for a test that breaks some."""
        shutil.copytree(self.root, root)
        return Consortium(root, self.study)

    def sealed(self) -> list[Path]:
        return [self.root / f"{site}.sealed" for site in SITES]

    def result(self, site: str, out: str = "run") -> Path:
        return self.root / out / "results" / f"{site}.sealed"


def consortium(root: Path, table: pd.DataFrame, *options: object) -> Consortium:
    """Simulate a table into ``root / "out"``, and divide it among four folders."""
    ended = simulate(root, table, *options)
    assert ended.status == 0, ended.err
    made = Consortium(root, read_study(root / "out" / "study.toml"))
    assert fedglmm("keys", "new", "coordinator", "--out", made.keys).status == 0
    for site in SITES:
        folder = made.config(site).parent
        assert fedglmm("keys", "new", site, "--out", folder).status == 0
        (made.keys / "sites").mkdir(exist_ok=True)
        (folder / f"{site}.pub").rename(made.keys / "sites" / f"{site}.pub")
        shutil.copy(made.keys / "coordinator.pub", folder)
        rows = table[table.hospital == site]
        rows.to_csv(folder / "data.csv", index=False)
        made.config(site).write_text(
            f'format = 1\nsite = "{site}"\napproved = ["{made.study.digest}"]\n'
            '[data]\npath = "data.csv"\n'
            f'[keys]\nidentity = "{site}.key"\ncoordinator = "coordinator.pub"\n'
        )
    return made
