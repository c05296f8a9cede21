"""How often a site was asked for its likelihood: a study says how often it may be."""

import json
from dataclasses import dataclass
from pathlib import Path

from fedglmm_flower.errors import DisclosureError, PolicyError
from fedglmm_flower.site.private_record import write_record

FOLDER = "points"


@dataclass(frozen=True)
class AskedPoints:
    """
    A folder with one file for each study: digests of the points that were answered.

    It stays at the site and holds no data.  A point that was answered before costs
    nothing: its answer is the same.

    Parameters
    ----------
    folder : Path
        Made when the first point is answered.
    """

    folder: Path

    def count(self, study_digest: str) -> int:
        """Points of a study that were answered."""
        return len(self._read(study_digest))

    def admit(self, study_digest: str, point_digest: str, most: int) -> None:
        """
        Enter a point, before its answer leaves.

        Parameters
        ----------
        study_digest, point_digest : str
            SHA-256 in hexadecimal digits.
        most : int
            Points that the study allows.

        Raises
        ------
        DisclosureError
            If so many others were answered before.
        PolicyError
            If the record cannot be read or written.
        """
        known = self._read(study_digest)
        if point_digest in known:
            return
        if len(known) >= most:
            raise DisclosureError(
                f"study {study_digest[:16]}...: a likelihood at one more point was "
                f"asked; the study allows {most} and as many were answered; approve "
                "a study with more 'rounds', or end the refinement"
            )
        text = json.dumps([*known, point_digest])
        write_record(self._path(study_digest), text, replace=True)

    def _path(self, study_digest: str) -> Path:
        return self.folder / f"{study_digest}.json"

    def _read(self, study_digest: str) -> list[str]:
        path = self._path(study_digest)
        try:
            known = json.loads(path.read_text(encoding="ascii"))
        except FileNotFoundError:
            return []
        except (OSError, ValueError):
            known = None
        if not isinstance(known, list) or not all(isinstance(k, str) for k in known):
            raise PolicyError(
                f"{path}: is no list of the points that were answered; what this site "
                "answered before must be known; restore the file from a backup"
            )
        return known
