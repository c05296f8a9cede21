"""The coordinator's folder of a run: what arrived is on disk before it is opened."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedglmm_flower.flower.exchange import Refused
from fedglmm_flower.flower.files import file_name, write_whole
from fedglmm_flower.study import Study, write_study


@dataclass(frozen=True)
class RunFolder:
    """
    ``DIR`` of one run.

    It holds ``study.toml``, ``run.json`` (run id, study digest, refusals) and
    ``sealed/SITE.sealed``: what is needed to fit again, after a crash or later, with
    the coordinator's key and without the sites.

    Parameters
    ----------
    path : Path
        The folder; made when something is written.
    """

    path: Path

    def open_run(self, study: Study, run_id: str) -> None:
        """Write the study and forget the answers of an earlier run."""
        self.path.mkdir(parents=True, exist_ok=True)
        for stale in (self.path / "sealed").glob("*.sealed"):
            stale.unlink()
        for name in ("result.json", "coordinator.log"):
            (self.path / name).unlink(missing_ok=True)
        write_study(study, self.path / "study.toml")
        self._note(study, run_id, {})

    def keep(self, site: str, sealed: bytes) -> None:
        """Write the sealed reply of a site, unopened."""
        write_whole(self.path / "sealed" / f"{file_name(site)}.sealed", sealed)

    def close_round(
        self, study: Study, run_id: str, refusals: Mapping[str, Refused]
    ) -> None:
        """Write who refused or stayed away, and why."""
        self._note(study, run_id, refusals)

    def _note(self, study: Study, run_id: str, refusals: Mapping[str, Refused]) -> None:
        note = {
            "format": 1,
            "run_id": run_id,
            "study_digest": study.digest,
            "refusals": {
                site: {"code": refused.code, "public": refused.public}
                for site, refused in sorted(refusals.items())
            },
        }
        text = json.dumps(note, indent=1, ensure_ascii=False) + "\n"
        write_whole(self.path / "run.json", text.encode())
