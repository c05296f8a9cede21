"""The coordinator's folder of a run: what arrived is on disk before it is fitted."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from fedglmm_flower.envelope import split_signed
from fedglmm_flower.errors import DataError, StorageError
from fedglmm_flower.flower.exchange import Refused
from fedglmm_flower.flower.files import file_name
from fedglmm_flower.study import Study, read_study, write_study
from fedglmm_flower.study.whole_file import write_whole

MANIFEST: Final = "manifest.toml"
MIN_BROADCAST: Final = 3
EARLIER: Final = "earlier"
FURTHER: Final = "further"
# In the order in which they move away: the note last, which says whose they are.
_OF_A_RUN: Final = (
    "sealed",
    FURTHER,
    "results",
    "result.json",
    "coordinator.log",
    MANIFEST,
    "study.toml",
)


@dataclass(frozen=True)
class Terms:
    """
    How a run is fitted and told, so that a resumed one is fitted and told alike.

    Parameters
    ----------
    quorum : int or None
        Fewest sites to fit from; None for every expected one.
    method : str or None
        Estimator; the study's when None.
    seed : int or None
        Seed of the pseudo-data; from the study's digest when None.
    min_broadcast : int
        Fewest sites that a result must rest on to be sent to the sites: with two,
        each could subtract its own sums.
    rounds : str
        What followed the one round, as :func:`parse_rounds` reads it.
    """

    quorum: int | None = None
    method: str | None = None
    seed: int | None = None
    min_broadcast: int = MIN_BROADCAST
    rounds: str = "1"


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
    terms : Terms
        How it is fitted.
    manifest : bytes
        The signed manifest under which the run was made; empty without one.
    """

    study: Study
    run_id: str
    sealed: Mapping[str, bytes]
    refusals: Mapping[str, Refused]
    terms: Terms = Terms()
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
    id, study digest, terms, refusals) and ``sealed/SITE.sealed``, and of further rounds
    ``further/POINT/SITE.sealed``: what is needed to fit again, after a crash or later,
    with the coordinator's key and without the sites.
    ``results/SITE.sealed`` are estimates for sites that have not stored them yet.

    Parameters
    ----------
    path : Path
        The folder; made when something is written.
    terms : Terms
        How a run is fitted that is opened here.
    """

    path: Path
    terms: Terms = Terms()

    def open_run(self, study: Study, run_id: str, manifest: bytes = b"") -> None:
        """
        Write study and manifest, and move an earlier run to ``earlier/RUN``.

        Nothing that arrived is ever deleted: an earlier run may have ended before its
        releases were fitted, and can be resumed where it lies now.
        """
        self._move_away()
        write_study(study, self.path / "study.toml")
        if manifest:
            write_whole(self.path / MANIFEST, manifest)
        self._note(study, run_id, {})

    def keep(self, site: str, sealed: bytes) -> None:
        """Write the sealed reply of a site, unopened."""
        write_whole(self.path / "sealed" / f"{file_name(site)}.sealed", sealed)

    def keep_answer(self, point: int, site: str, sealed: bytes) -> None:
        """Write the sealed answer of a site at a point of a further round."""
        write_whole(self._answer(point, site), sealed)

    def answer(self, point: int, site: str) -> bytes | None:
        """What a site has answered at a point; None if it has not."""
        path = self._answer(point, site)
        return path.read_bytes() if path.exists() else None

    def _answer(self, point: int, site: str) -> Path:
        return self.path / FURTHER / f"{point:03d}" / f"{file_name(site)}.sealed"

    def keep_result(self, site: str, sealed: bytes) -> Path:
        """Write the estimates that are sealed to a site; return the path."""
        path = self.path / "results" / f"{file_name(site)}.sealed"
        write_whole(path, sealed)
        return path

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
            terms = _terms(note.get("terms", {}))
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
        return SavedRun(study, run_id, sealed, refusals, terms, signed)

    def _move_away(self) -> None:
        note = self.path / "run.json"
        if not note.exists():
            return
        try:
            name = file_name(
                str(json.loads(note.read_text(encoding="utf-8"))["run_id"])
            )
        except (KeyError, TypeError, ValueError):
            name = "unknown"
        there = self.path / EARLIER / name
        number = 1
        while (there / "run.json").exists():
            number += 1
            there = self.path / EARLIER / f"{name}-{number}"
        try:
            there.mkdir(parents=True, exist_ok=True)
            for part in (*_OF_A_RUN, note.name):
                if (self.path / part).exists():
                    (self.path / part).rename(there / part)
        except OSError as error:
            raise StorageError(
                f"{self.path}: the earlier run in it cannot be moved to {there} "
                f"({error.strerror}); a writable folder is required; choose a new "
                "folder for this run"
            ) from None

    def _note(self, study: Study, run_id: str, refusals: Mapping[str, Refused]) -> None:
        note = {
            "format": 1,
            "run_id": run_id,
            "study_digest": study.digest,
            "terms": asdict(self.terms),
            "refusals": {
                site: {"code": refused.code, "public": refused.public}
                for site, refused in sorted(refusals.items())
            },
        }
        text = json.dumps(note, indent=1, ensure_ascii=False) + "\n"
        write_whole(self.path / "run.json", text.encode())


def _terms(found: dict[str, Any]) -> Terms:
    """Terms of a note; ValueError or TypeError if they are none."""
    terms = Terms(**found)
    whole = (terms.quorum, terms.seed, terms.min_broadcast)
    if any(type(v) is not int for v in whole if v is not None):
        raise ValueError
    if terms.min_broadcast is None or not isinstance(terms.method, str | None):
        raise ValueError
    if not isinstance(terms.rounds, str):
        raise ValueError  # noqa: TRY004 - one sentence for all faults
    return terms
