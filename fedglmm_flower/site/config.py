"""``site.toml``: a site's dataset, keys, approved studies and policy."""

import hashlib
import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fedglmm_flower.errors import PolicyError
from fedglmm_flower.site.answers import NAME as ANSWERS
from fedglmm_flower.site.answers import AnswerStore
from fedglmm_flower.site.data_table import DataTable
from fedglmm_flower.site.demands import require_demands
from fedglmm_flower.site.memory import FOLDER, SiteMemory
from fedglmm_flower.site.policy import MIN_CELL_FLOOR, Policy
from fedglmm_flower.site.privacy import Privacy, Relation
from fedglmm_flower.site.source import RecordSource
from fedglmm_flower.study.toml_fault import toml_fault

FileT = TypeVar("FileT", bound=BaseModel)
# Strict: neither the text "5" nor a truth value is a threshold.
Share = Annotated[float, Field(gt=0, le=0.9, strict=True)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KeysTable(_Strict):
    """``[keys]``."""

    identity: str
    coordinator: str


class DisclosureTable(_Strict):
    """``[disclosure]``."""

    enabled: Annotated[bool, Field(strict=True)] = True
    min_rows: Annotated[int, Field(ge=5, strict=True)] = Policy.min_rows
    rows_per_statistic: Annotated[
        float, Field(ge=1, allow_inf_nan=False, strict=True)
    ] = Policy.rows_per_statistic
    values_per_number: Annotated[
        float, Field(ge=1, allow_inf_nan=False, strict=True)
    ] = Policy.values_per_number
    min_cell: Annotated[int, Field(ge=MIN_CELL_FLOOR, strict=True)] = Policy.min_cell
    min_effective_rows: Annotated[float, Field(ge=1, allow_inf_nan=False)] = (
        Policy.min_effective_rows
    )
    dominance_one: Share = Policy.dominance_one
    dominance_two: Share = Policy.dominance_two
    max_leverage: Annotated[float, Field(gt=0, le=1, strict=True)] = Policy.max_leverage
    allow_expressions: Annotated[bool, Field(strict=True)] = False
    compare_answers: Annotated[bool, Field(strict=True)] = True
    one_outcome: Literal["warn", "refuse"] = Policy.one_outcome
    small_clusters: Literal["pool", "leave_out"] = Policy.small_clusters
    cluster_names: Literal["given", "numbered"] = Policy.cluster_names
    min_sites: Annotated[int, Field(ge=1, strict=True)] = Policy.min_sites


class UnitTable(_Strict):
    """``[data]``, as far as a policy reads it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    unit: Annotated[str, Field(min_length=1, max_length=200)] | None = None


class PolicyTable(_Strict):
    """``[policy]``."""

    signed: Annotated[bool, Field(strict=True)] = False
    expires: Annotated[date, Field(strict=True)] | None = None


class PrivacyTable(_Strict):
    """``[privacy]``; the numbers are checked by :class:`Privacy`."""

    enabled: Annotated[bool, Field(strict=True)]
    dataset: Annotated[str, Field(min_length=1, max_length=200)]
    epsilon: Annotated[float, Field(strict=True)]
    delta: Annotated[float, Field(strict=True)]
    budget_epsilon: Annotated[float, Field(strict=True)]
    relation: Relation = Privacy.relation
    clipping_norm: Annotated[float, Field(strict=True)] = Privacy.clipping_norm
    unit_column: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    bounds: dict[str, tuple[float, float]] = {}
    clusters: tuple[tuple[str, ...], ...] = ()
    ledger: Annotated[str, Field(min_length=1)] = "ledger.sqlite"


class PolicyFile(_Strict):
    """A file that may hold a policy alone, as ``simulate --policy`` reads it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    disclosure: DisclosureTable = DisclosureTable()
    data: UnitTable = UnitTable()


class SiteFile(_Strict):
    """``site.toml`` as a whole."""

    format: Literal[1]
    site: Annotated[str, Field(min_length=1, max_length=200)]
    approved: tuple[Annotated[str, Field(pattern="^[0-9a-f]{64}$")], ...] = ()
    require_manifest: Annotated[bool, Field(strict=True)] = False
    inbox: str = "inbox"
    snapshots: str = FOLDER
    data: DataTable
    keys: KeysTable
    policy: PolicyTable = PolicyTable()
    disclosure: DisclosureTable = DisclosureTable()
    privacy: PrivacyTable | None = None


@dataclass(frozen=True)
class SiteConfig:
    """
    A site's configuration, with paths resolved against the file's folder.

    Parameters
    ----------
    site : str
        Name of the site.
    source : RecordSource
        Its rows.
    policy : Policy
        Its thresholds.
    identity_path, coordinator_path : Path
        Its own key file, and the coordinator's public one.
    approved : tuple of str
        Digests of the studies it answers without a manifest.
    inbox : Path
        Folder for the estimates it receives.
    memory : SiteMemory
        What it has answered.
    require_manifest : bool
        Whether it answers under an approved manifest only.
    privacy : Privacy or None
        Noise and its budget; None where it is off.
    ledger : Path or None
        Where noise is paid; None where it is off.
    digest : str
        SHA-256 of the file, which a signed version is of.
    signed : bool
        Whether the file is in effect only as its last signed version.
    expires : date or None
        Last day on which it is in effect; None for no end.
    """

    site: str
    source: RecordSource
    policy: Policy
    identity_path: Path
    coordinator_path: Path
    approved: tuple[str, ...]
    inbox: Path
    memory: SiteMemory
    require_manifest: bool = False
    privacy: Privacy | None = None
    ledger: Path | None = None
    digest: str = ""
    signed: bool = False
    expires: date | None = None

    @property
    def answers(self) -> AnswerStore:
        """What it has sent; not beside ``site.toml``, whose folder may be read-only."""
        return AnswerStore(self.inbox / ANSWERS)


def read_site_config(path: Path | str) -> SiteConfig:
    """
    Read ``site.toml``.

    Raises
    ------
    PolicyError
        If the file is missing or malformed.
    """
    where = Path(path)
    text = _text(where)
    file = _validated(where, text, SiteFile)
    base = where.resolve().parent
    # Read even where it is off: a mistake shows before it is switched on.
    unit = file.data.unit
    privacy = None if file.privacy is None else _privacy(file.privacy, unit, where)
    noisy = file.privacy is not None and file.privacy.enabled
    return SiteConfig(
        site=file.site,
        source=file.data.source(base),
        policy=_policy(file.disclosure, unit),
        identity_path=base / file.keys.identity,
        coordinator_path=base / file.keys.coordinator,
        approved=file.approved,
        inbox=base / file.inbox,
        memory=SiteMemory(base / file.snapshots),
        require_manifest=file.require_manifest,
        privacy=privacy if noisy else None,
        ledger=base / file.privacy.ledger if file.privacy and noisy else None,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        signed=file.policy.signed,
        expires=file.policy.expires,
    )


def read_policy(path: Path | str) -> Policy:
    """
    Read the ``[disclosure]`` table of a file, and whose its rows are.

    Raises
    ------
    PolicyError
        If the file is missing or malformed.
    """
    file = _validated(Path(path), _text(Path(path)), PolicyFile)
    return _policy(file.disclosure, file.data.unit)


def read_demands(path: Path | str) -> tuple[tuple[str, float | int | bool], ...]:
    """
    Read what a study demands: the values that a file's ``[disclosure]`` table names.

    Raises
    ------
    PolicyError
        If the file is missing or malformed, or names what no study may demand.
    """
    table = _validated(Path(path), _text(Path(path)), PolicyFile).disclosure
    given = table.model_dump(exclude_unset=True)
    # A policy meets its own values, so that only unknown names are refused here.
    require_demands(Policy(**given), given.items(), where=str(path))
    return tuple(sorted(given.items()))


def _policy(table: DisclosureTable, unit: str | None) -> Policy:
    return Policy(**table.model_dump(), unit=unit)


def _privacy(table: PrivacyTable, unit: str | None, where: Path) -> Privacy:
    fields = table.model_dump(exclude={"enabled", "ledger", "bounds"})
    fields["bounds"] = tuple((name, *ends) for name, ends in table.bounds.items())
    if None not in (unit, table.unit_column) and unit != table.unit_column:
        raise PolicyError(
            f"{where}: 'unit' of [data] and 'unit_column' of [privacy] name two "
            "columns; one unit is required; remove 'unit_column'"
        )
    fields["unit_column"] = unit or table.unit_column
    try:
        return Privacy(**fields)
    except PolicyError as error:
        raise PolicyError(f"{where}: {error}") from None


def _text(path: Path) -> str:
    try:
        # Line ends as they are: the digest is of what stands there.
        return path.read_bytes().decode()
    except OSError as error:
        raise PolicyError(
            f"{path}: cannot be read ({error.strerror}); a configuration file is "
            "required; check the path"
        ) from None
    except UnicodeDecodeError as error:
        raise PolicyError(
            f"{path}: is no valid TOML ({error}); correct the file"
        ) from None


def _validated(path: Path, text: str, schema: type[FileT]) -> FileT:
    try:
        return schema.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(
            f"{path}: is no valid TOML ({toml_fault(text, error)}); correct the file"
        ) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(str(part) for part in first["loc"]) or "file"
        raise PolicyError(
            f"{path}: {at}: {first['msg']} ({error.error_count()} problem(s) in all); "
            "correct the file"
        ) from None
