"""``approvals.toml`` beside ``site.toml``: the manifests that a site has approved.

The command writes this file and no hand does, so that ``site.toml`` keeps its comments;
to withdraw an approval, remove its entry.
"""

import base64
import binascii
import tomllib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from fedglmm_flower.envelope.manifest import write_time
from fedglmm_flower.envelope.names import is_digest
from fedglmm_flower.errors import PolicyError
from fedglmm_flower.study.whole_file import write_whole

APPROVALS: Final = "approvals.toml"

_FORMAT: Final = "fedglmm-approvals/1"
_KEYS: Final = {"manifest", "study", "owner", "at"}


@dataclass(frozen=True)
class Approval:
    """
    One manifest that a site has approved.

    Parameters
    ----------
    manifest : str
        Its digest.
    study : str
        Digest of the study that it is for.
    owner : bytes
        The Ed25519 key that must have signed it.
    at : datetime
        When it was approved, by the site's clock.
    """

    manifest: str
    study: str
    owner: bytes
    at: datetime


def read_approvals(path: Path) -> tuple[Approval, ...]:
    """
    Read a site's approvals; none if there is no file.

    Parameters
    ----------
    path : Path
        ``approvals.toml``.

    Raises
    ------
    PolicyError
        If the file cannot be read or is not of this form.
    """
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
        if set(fields) - {"approved"} != {"format"} or fields["format"] != _FORMAT:
            raise ValueError(_FORMAT)  # noqa: TRY301 - one sentence for all faults
        return tuple(map(_approval, fields.get("approved", ())))
    except FileNotFoundError:
        return ()
    except OSError as error:
        fault = f"cannot be read ({error.strerror})"
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        fault = f"is no file of the form {_FORMAT!r}"
    raise PolicyError(
        f"{path}: {fault}; the file as 'fedglmm site approve' wrote it is required; "
        "restore it, or remove it and approve again"
    )


def add_approval(path: Path, approval: Approval) -> bool:
    """
    Add an approval, whole or not at all.

    Parameters
    ----------
    path : Path
        ``approvals.toml``; made if it is missing.
    approval : Approval
        What to add.

    Returns
    -------
    bool
        False if this manifest was approved before; nothing is written then.

    Raises
    ------
    PolicyError
        If the file that is there is not of this form.
    StorageError
        If it cannot be written.
    """
    known = read_approvals(path)
    if any(
        (old.manifest, old.owner) == (approval.manifest, approval.owner)
        for old in known
    ):
        return False
    entries = [entry for entry in known if entry.manifest != approval.manifest]
    text = "# Written by 'fedglmm site approve'; remove an entry to withdraw it.\n"
    text += f'format = "{_FORMAT}"\n'
    for entry in [*entries, approval]:
        text += (
            f'\n[[approved]]\nmanifest = "{entry.manifest}"\nstudy = "{entry.study}"\n'
            f'owner = "{base64.b64encode(entry.owner).decode()}"\n'
            f"at = {write_time(entry.at)}\n"
        )
    write_whole(path, text.encode())
    return True


def _approval(fields: dict[str, Any]) -> Approval:
    if set(fields) != _KEYS or not isinstance(fields["at"], datetime):
        raise ValueError(_FORMAT)
    if not is_digest(fields["manifest"]) or not is_digest(fields["study"]):
        raise ValueError(_FORMAT)
    try:
        owner = base64.b64decode(fields["owner"], validate=True)
    except binascii.Error:
        raise ValueError(_FORMAT) from None
    return Approval(fields["manifest"], fields["study"], owner, fields["at"])
