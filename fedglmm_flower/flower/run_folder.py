"""The coordinator's folder of a run: what arrived is on disk before it is opened."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedglmm_flower.envelope import split_signed
from fedglmm_flower.errors import DataError
from fedglmm_flower.flower.exchange import Refused
from fedglmm_flower.flower.files import file_name, write_whole
from fedglmm_flower.study import Study, read_study, write_study

MANIFEST = "manifest.toml"


@dataclass(frozen=True)
class SavedRun:
    """
    A round that is over, as its folder tells it.

    Parameters
    ----------
    study : Study
        What was asked.
    run_id : str
        Name of the run, to which the releases are bound.
    sealed : mapping
        Sealed release of each site that answered.
    refusals : mapping
        Why others did not.
    manifest : bytes
        The signed manifest under which the run was made; empty without one.
    """

    study: Study
    run_id: str
    sealed: Mapping[str, bytes]
    refusals: Mapping[str, Refused]
    manifest: bytes = b""

    @property
    def manifest_digest(self) -> str | None:
        """What the releases are bound to beside study and run; None without one."""
        return split_signed(self.manifest).digest if self.manifest else None


@dataclass(frozen=True)
class RunFolder:
    """
    ``DIR`` of one run.

    It holds ``study.toml``, ``manifest.toml`` if the study has one, ``run.json`` (run
    id, study digest, refusals) and ``sealed/SITE.sealed``: what is needed to fit again,
    after a crash or later, with the coordinator's key and without the sites.

    Parameters
    ----------
    path : Path
        The folder; made when something is written.
    """

    path: Path

    def open_run(self, study: Study, run_id: str, manifest: bytes = b"") -> None:
        """Write study and manifest, and forget the answers of an earlier run."""
        self.path.mkdir(parents=True, exist_ok=True)
        for stale in (self.path / "sealed").glob("*.sealed"):
            stale.unlink()
        for name in ("result.json", "coordinator.log", MANIFEST):
            (self.path / name).unlink(missing_ok=True)
        write_study(study, self.path / "study.toml")
        if manifest:
            write_whole(self.path / MANIFEST, manifest)
        self._note(study, run_id, {})

    def keep(self, site: str, sealed: bytes) -> None:
        """Write the sealed reply of a site, unopened."""
        write_whole(self.path / "sealed" / f"{file_name(site)}.sealed", sealed)

    def close_round(
        self, study: Study, run_id: str, refusals: Mapping[str, Refused]
    ) -> None:
        """Write who refused or stayed away, and why."""
        self._note(study, run_id, refusals)

    def read(self) -> SavedRun:
        """
        What is needed to fit again.

        Raises
        ------
        DataError
            If the folder is not that of a run, or a file of it does not belong there.
        StudyError
            If its study cannot be read.
        """
        path = self.path / "run.json"
        try:
            note = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise DataError(
                f"{path}: cannot be read ({error.strerror}); the folder of a run is "
                "required, with its sealed releases; check the path"
            ) from None
        except ValueError:
            note = None
        try:
            if note["format"] != 1:
                raise ValueError  # noqa: TRY301 - one sentence for all faults
            run_id, digest = str(note["run_id"]), str(note["study_digest"])
            refusals = {
                str(site): Refused(str(site), str(why["code"]), str(why["public"]))
                for site, why in note["refusals"].items()
            }
        except (KeyError, TypeError, ValueError, AttributeError):
            raise DataError(
                f"{path}: is no note of a run of format 1; the run.json that the run "
                "has written is required; restore it"
            ) from None
        study = read_study(self.path / "study.toml")
        if study.digest != digest:
            raise DataError(
                f"{self.path / 'study.toml'}: is not the study of the run; the file "
                "that the run has written is required; restore it"
            )
        sealed = {}
        for site in study.sites:
            kept = self.path / "sealed" / f"{file_name(site)}.sealed"
            if kept.exists():
                sealed[site] = kept.read_bytes()
        manifest = self.path / MANIFEST
        signed = manifest.read_bytes() if manifest.exists() else b""
        return SavedRun(study, run_id, sealed, refusals, signed)

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
