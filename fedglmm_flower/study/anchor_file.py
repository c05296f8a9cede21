"""A file of coefficients: what a public anchor is read from."""

import json
import math
import tomllib
from pathlib import Path
from typing import Any

from fedglmm_flower.errors import StudyError


def read_anchor(path: Path | str) -> dict[str, float]:
    """
    Coefficients by column name, on the raw scale.

    Parameters
    ----------
    path : path
        A ``result.json``, or JSON or TOML of names and numbers.

    Raises
    ------
    StudyError
        If the file cannot be read or holds something else.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise StudyError(
            f"{path}: cannot be read ({error.strerror}); a file of coefficients is "
            "required; check the path"
        ) from None
    except UnicodeDecodeError:
        text = ""
    plain: Any = None
    for read in (json.loads, tomllib.loads):
        try:
            plain = read(text)
            break
        except (ValueError, RecursionError):
            continue
    if isinstance(plain, dict) and isinstance(plain.get("fixed"), list):
        rows = [row for row in plain["fixed"] if isinstance(row, dict)]
        plain = {row.get("name"): row.get("estimate") for row in rows}
    if (
        not isinstance(plain, dict)
        or not plain
        or not all(
            isinstance(name, str)
            and isinstance(value, int | float)
            and not isinstance(value, bool)
            and math.isfinite(value)
            for name, value in plain.items()
        )
    ):
        raise StudyError(
            f"{path}: is no list of coefficients; a result.json, or JSON or TOML with "
            "a finite number for each column is required; correct the file"
        )
    return {name: float(value) for name, value in plain.items()}
