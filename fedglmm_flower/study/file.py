"""``study.toml`` and its bytes: the only place where a study is read or written."""

import json
import math
import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fedglmm_flower.errors import StudyError
from fedglmm_flower.study.columns import Column
from fedglmm_flower.study.expression import parse_expression
from fedglmm_flower.study.families import resolve_link, resolve_method
from fedglmm_flower.study.offers import Offer, ladder, parse_offer
from fedglmm_flower.study.study import FORMAT, Study
from fedglmm_flower.study.toml_fault import toml_fault
from fedglmm_flower.study.whole_file import SHARED, write_whole

MAX_BYTES = 4 * 1024 * 1024
# Strict: the text "1.5" and a truth value are no numbers.
Number = Annotated[float, Field(allow_inf_nan=False, strict=True)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ColumnTable(_Strict):
    """``[columns.NAME]``."""

    kind: Literal["continuous", "binary", "categorical"]
    unit: str = ""
    levels: tuple[str, ...] = ()
    bounds: tuple[Number | None, Number | None] | None = None
    center: Number | None = None
    scale: Number | None = None


class AtomTable(_Strict):
    """``[atoms."log(x)"]``."""

    center: Number
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]


class ReleaseTable(_Strict):
    """``[release]``."""

    accept: tuple[str, ...] = ()
    set: str | None = None
    order: Annotated[int, Field(ge=1, le=6, strict=True)] | None = None
    anchor: dict[str, Number] = {}


class StudyFile(_Strict):
    """``study.toml`` as a whole."""

    format: Literal[1]
    name: str
    formula: str
    family: str
    link: str | None = None
    method: str | None = None
    site_column: str = "site"
    clusters: tuple[str, ...] = ()
    rounds: Annotated[int, Field(strict=True)] = 0
    held_out: float = 0.0
    trials: str | None = None
    offset: str | None = None
    weights: str | None = None
    release: ReleaseTable = ReleaseTable()
    sites: tuple[str, ...]
    columns: dict[str, ColumnTable]
    atoms: dict[str, AtomTable] = {}


def read_study(path: Path | str) -> Study:
    """
    Read ``study.toml``.

    Raises
    ------
    StudyError
        If the file is missing, no TOML, or no valid study.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise StudyError(
            f"{path}: cannot be read ({error.strerror}); a study file is required; "
            "make one with 'fedglmm study init'"
        ) from None
    except UnicodeDecodeError:
        raise StudyError(
            f"{path}: is no UTF-8 text; a study file is TOML; make one with "
            "'fedglmm study init'"
        ) from None
    try:
        return _study(tomllib.loads(text), str(path))
    except tomllib.TOMLDecodeError as error:
        raise StudyError(
            f"{path}: is no valid TOML ({toml_fault(text, error)}); a study file "
            "is TOML; correct it"
        ) from None


@lru_cache(maxsize=16)
def parse_study(data: bytes) -> Study:
    """
    Read canonical bytes, as they travel.

    A study does not change: sites that are simulated together share one, and its
    model is built once.

    Raises
    ------
    StudyError
        If the bytes are not exactly the canonical ones of a valid study.
    """
    if len(data) > MAX_BYTES:
        raise StudyError(
            f"study: {len(data)} bytes; at most {MAX_BYTES} are accepted; ask the "
            "coordinator for a smaller study"
        )
    try:
        plain = json.loads(data)
    except (ValueError, RecursionError):
        raise StudyError(
            "study: the bytes are no JSON; canonical bytes of a study are required; "
            "both sides must run the same version"
        ) from None
    study = _study(plain, "study")
    try:
        same = study.canonical_bytes == data
    except UnicodeEncodeError:  # half of a surrogate pair
        same = False
    if not same:
        raise StudyError(
            "study: the bytes are not in canonical form; both sides must run the same "
            "version; update the older one"
        )
    return study


def write_study(study: Study, path: Path | str) -> None:
    """Write ``study.toml`` whole or not at all; reading it gives the same digest."""
    write_whole(Path(path), study_toml(study).encode(), SHARED)


def study_toml(study: Study) -> str:
    """``study.toml`` as text."""
    plain = dict(study.plain)
    columns, atoms = plain.pop("columns"), plain.pop("atoms")
    release = plain.pop("release")
    lines = ["# What is asked. All parties hold the same file; it contains no data."]
    lines += [_line(k, v) for k, v in plain.items() if v is not None]
    anchor = release.get("anchor", {})
    lines += ["", "[release]", _line("accept", release["accept"])]
    if anchor:
        lines += ["", "[release.anchor]"]
        lines += [f"{_toml(name)} = {_toml(value)}" for name, value in anchor.items()]
    for head, tables in (("columns", columns), ("atoms", atoms)):
        for name, table in tables.items():
            lines += ["", f"[{head}.{_toml(name)}]"]
            for key, value in table.items():
                if key == "bounds" and value is not None:
                    lines.append(_line(key, _closed_bounds(value)))
                elif value not in (None, ""):
                    lines.append(_line(key, value))
    return "\n".join(lines) + "\n"


def _closed_bounds(bounds: list[float | None]) -> list[float]:
    """TOML has no null: an open bound is spelled as an infinity."""
    low, high = bounds
    return [-math.inf if low is None else low, math.inf if high is None else high]


def _line(key: str, value: Any) -> str:
    return f"{key} = {_toml(value)}"


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    # DEL is the one character that JSON leaves as it is and TOML forbids.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _study(plain: Any, where: str) -> Study:
    if isinstance(plain, dict) and plain.get("format") != FORMAT:
        raise StudyError(
            f"{where}: format {plain.get('format')!r}; format {FORMAT} is required; "
            "use a matching version of fedglmm-flower"
        )
    plain = _open_bounds(plain)
    try:
        file = StudyFile.model_validate(plain)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(str(part) for part in first["loc"]) or "study"
        raise StudyError(
            f"{where}: {at}: {first['msg']} ({error.error_count()} problem(s) in all); "
            "correct the file"
        ) from None
    columns = tuple(_column(name, table) for name, table in file.columns.items())
    link = resolve_link(file.family, file.link)
    accept = _offers(file.release, where)
    release_set, order = accept[0]
    study = Study(
        name=file.name,
        formula=file.formula,
        family=file.family,
        link=link,
        method=resolve_method(file.family, file.method),
        site_column=file.site_column,
        clusters=file.clusters,
        rounds=file.rounds,
        held_out=file.held_out,
        columns=tuple(sorted(columns, key=lambda c: c.name)),
        sites=tuple(sorted(file.sites)),
        release_set=release_set,
        order=order,
        accept=accept,
        anchor=tuple(sorted((k, float(v)) for k, v in file.release.anchor.items())),
        trials=file.trials,
        offset=file.offset,
        weights=file.weights,
        scales=tuple(
            sorted(
                (parse_expression(name).text, table.center, table.scale)
                for name, table in file.atoms.items()
            )
        ),
    )
    # Reading a study checks its formula and its anchor.
    study.model  # noqa: B018
    study.check_anchor()
    return study


def _offers(table: ReleaseTable, where: str) -> tuple[Offer, ...]:
    if table.accept and not (table.set is None and table.order is None):
        raise StudyError(
            f"{where}: release: a list 'accept' and a set or order were given; one of "
            "the two is required; leave the other out"
        )
    if table.accept:
        return tuple(parse_offer(text) for text in table.accept)
    return ladder(table.set or "canonical", table.order or 4)


def _open_bounds(plain: Any) -> Any:
    """TOML spells an open bound as inf; a study holds None."""
    if not isinstance(plain, dict) or not isinstance(plain.get("columns"), dict):
        return plain
    columns = {}
    for name, table in plain["columns"].items():
        bounds = table.get("bounds") if isinstance(table, dict) else None
        if isinstance(bounds, list) and len(bounds) == 2:
            low, high = bounds
            bounds = [
                None if low == -math.inf else low,
                None if high == math.inf else high,
            ]
            table = {**table, "bounds": bounds}  # noqa: PLW2901 - a changed copy
        columns[name] = table
    return {**plain, "columns": columns}


def _column(name: str, table: ColumnTable) -> Column:
    low, high = table.bounds or (None, None)
    center, scale = 0.0, 1.0
    if low is not None and high is not None and low < high:
        # Bounds usually stand at about two standard deviations of the middle.
        center, scale = (low + high) / 2, (high - low) / 4
    return Column(
        name=name,
        kind=table.kind,
        levels=table.levels,
        unit=table.unit,
        low=low,
        high=high,
        center=center if table.center is None else table.center,
        scale=scale if table.scale is None else table.scale,
    )
