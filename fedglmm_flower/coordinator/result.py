"""The result of a run: plain values of ``result.json``, written whole."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from fedglmm_flower.errors import DataError
from fedglmm_flower.study.whole_file import SHARED, write_whole

FORMAT = 1
NAME = "result.json"


@dataclass(frozen=True)
class Result:
    """
    What a run found; holds no data of single rows.

    Parameters
    ----------
    values : mapping
        The content of ``result.json``.
    """

    values: Mapping[str, Any]

    @property
    def converged(self) -> bool:
        """Whether the estimates are those of a maximum."""
        return bool(self.values["converged"])

    @property
    def fixed(self) -> list[dict[str, Any]]:
        """Fixed effects in formula order."""
        return [dict(row) for row in self.values["fixed"]]

    @property
    def random(self) -> list[dict[str, Any]]:
        """Standard deviations and correlations of the random effects."""
        return [dict(row) for row in self.values["random"]]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        copy: dict[str, Any] = json.loads(json.dumps(self.values))
        return copy

    def write(self, folder: Path | str) -> Path:
        """Write ``result.json`` whole or not at all; return its path."""
        target = Path(folder) / NAME
        text = json.dumps(self.values, indent=1, ensure_ascii=False, allow_nan=False)
        write_whole(target, f"{text}\n".encode(), SHARED)
        return target

    @classmethod
    def load(cls, folder: Path | str) -> Self:
        """
        Read ``result.json`` of a folder.

        Raises
        ------
        DataError
            If the file is missing or no result.
        """
        path = Path(folder)
        path = path / NAME if path.is_dir() else path
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise DataError(
                f"{path}: cannot be read ({error.strerror}); the folder of a finished "
                "run is required; run 'fedglmm simulate' first"
            ) from None
        except ValueError:
            values = None
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise DataError(
                f"{path}: is no result of format {FORMAT}; the result.json of a run is "
                "required; check the path"
            )
        return cls(values)
