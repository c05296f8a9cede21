"""Which rows a study was first answered from: later answers come from the same."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from fedglmm_flower.errors import PolicyError, SnapshotError
from fedglmm_flower.site.finding import Finding
from fedglmm_flower.site.private_record import write_record
from fedglmm_flower.site.row_sets import RowSets

FOLDER = "snapshots"
_KEY = "key"
_FURTHER = "-further-"
_SECRET = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FrozenSnapshots:
    """
    A folder with a site's secret, and a few small files for each study it answered.

    Everything in it stays at the site: the folder and its files are the owner's alone,
    and digests are keyed by the secret.

    Parameters
    ----------
    folder : Path
        Made when the first study is answered.
    """

    folder: Path

    def key(self) -> bytes:
        """
        The site's secret; made when it is first needed.

        Raises
        ------
        PolicyError
            If it cannot be read or made.
        """
        path = self.folder / _KEY
        if self._read(path) is None:
            if any(self.folder.glob("*.snapshot")):
                raise PolicyError(
                    f"{path}: is missing, and studies were answered with it; without "
                    "it no table can be compared; restore the file from a backup"
                )
            write_record(path, secrets.token_hex(32), replace=False)
        return bytes.fromhex(self._read(path) or "")

    def of(self, study_digest: str) -> str | None:
        """
        Digest of the rows that a study was answered from; None if it never was.

        Raises
        ------
        PolicyError
            If the file cannot be read.
        """
        return self._read(self._path(study_digest))

    def require_same(self, study_digest: str, snapshot: str) -> None:
        """
        Refuse other rows than those of the first answer.

        Raises
        ------
        SnapshotError
            If the study was answered from other rows.
        PolicyError
            If the folder cannot be read.
        """
        path = self._path(study_digest)
        before = self._read(path)
        if before is not None and before != snapshot:
            raise SnapshotError(
                f"study {study_digest[:16]}...: the table has changed since this study "
                f"was first answered ({path.name} in {path.parent}); a second answer "
                "from other rows would tell by its difference who was added, removed "
                "or corrected; restore the table of the first answer, or have a new "
                "revision of the study made and approve its digest"
            )

    def freeze(self, study_digest: str, snapshot: str) -> None:
        """
        Record the rows of a first answer, before it leaves.

        Law: of several first answers at once, one is recorded and the others are held
        to it.

        Raises
        ------
        SnapshotError
            If the study was answered from other rows.
        PolicyError
            If the folder cannot be read or written.
        """
        if self.of(study_digest) is None:
            write_record(self._path(study_digest), snapshot, replace=False)
        self.require_same(study_digest, snapshot)

    def differencing(
        self,
        study_digest: str,
        rows: RowSets,
        least: int,
        whole: int,
        *,
        further: bool = False,
    ) -> Finding:
        """
        Whether sums differ from those of an earlier answer by a few rows.

        Earlier answers of the same study count too: a likelihood is of all rows, and
        the one round may have left a cluster out.

        Parameters
        ----------
        study_digest : str
            The study that is to be answered.
        rows : RowSets
            Which rows its sums are of.
        least : int
            Fewest rows that two sets may differ by, if they differ.
        whole : int
            Fewest that two sets of all rows may, of which more is told.
        further : bool
            Whether a likelihood is asked, of which more is told than by the one round.

        Raises
        ------
        PolicyError
            If the record cannot be read.
        """
        worst: tuple[float, int, int, str] | None = None
        for stem, before in self._answered().items():
            # Of one study the table is the same, and sets of as many rows are.
            if stem.startswith(study_digest) and rows.as_many(before):
                if further and not stem.startswith(f"{study_digest}{_FURTHER}"):
                    continue
                # Sent before: the same sums tell nothing new.
                detail = "differencing: was answered before"
                return Finding("differencing", True, detail)
            pairs = (
                (rows.whole_difference(before), max(least, whole)),
                (rows.smallest_difference(before), least),
            )
            for apart, needed in pairs:
                if apart is not None:
                    found = (apart / needed, apart, needed, stem)
                    worst = found if worst is None else min(worst, found)
        if worst is None:
            return Finding("differencing", True, "differencing: from no earlier answer")
        _, apart, needed, stem = worst
        counted = "rows" if rows.units is None else "units"
        return Finding(
            "differencing",
            apart >= needed,
            f"differencing: {apart} {counted} are in sums of this study and not in the "
            f"same of study {stem[:16]}..., which was answered, or the other way "
            f"round; none or at least {needed} are required; leave out the column in "
            "which these rows differ, or take no part in this study",
            found=apart,
            needed=needed,
        )

    def remember(
        self, study_digest: str, rows: RowSets, *, further: bool = False
    ) -> None:
        """
        Record which rows an answer sums, before it leaves.

        Parameters
        ----------
        study_digest : str
            The study that is answered.
        rows : RowSets
            Which rows its sums are of.
        further : bool
            Whether it is answered with a likelihood.

        Raises
        ------
        PolicyError
            If the folder cannot be written.
        """
        text = rows.text()
        first = self.folder / f"{study_digest}.rows"
        # Other rows of the same study, under a name that they alone decide.
        made = hashlib.sha256(text.encode()).hexdigest()[:16]
        other = f"{study_digest}{_FURTHER if further else '-'}{made}.rows"
        path = self.folder / other if further or first.exists() else first
        known = self._answered(f"{study_digest}{_FURTHER if further else ''}*.rows")
        if not any(rows.as_many(before) for before in known.values()):
            write_record(path, text, replace=False)

    def _answered(self, pattern: str = "*.rows") -> dict[str, RowSets]:
        """Rows of earlier answers by the name of their record."""
        found = {}
        for path in sorted(self.folder.glob(pattern)):
            try:
                found[path.stem] = RowSets.of_text(self._text(path) or "")
            except ValueError as error:
                raise PolicyError(
                    f"{path}: holds {error}; what this site answered before must be "
                    "known; restore it from a backup"
                ) from None
        return found

    def _path(self, study_digest: str) -> Path:
        return self.folder / f"{study_digest}.snapshot"

    def _read(self, path: Path) -> str | None:
        text = self._text(path)
        if text is not None and not _SECRET.fullmatch(text):
            raise PolicyError(
                f"{path}: holds no 64 hexadecimal digits; the file was altered or cut "
                "off; restore it from a backup"
            )
        return text

    def _text(self, path: Path) -> str | None:
        try:
            return path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "no text"
            raise PolicyError(
                f"{path}: cannot be read ({why}); what this site answered before must "
                "be known; check the permissions of the folder"
            ) from None
