"""``policy-versions.toml`` beside ``site.toml``: each signed version of a policy.

::

    format = "fedglmm-policy-versions/1"

    [[version]]
    number = 1
    policy = "64 hex digits"
    previous = "64 zeros"
    at = 2026-11-21T13:00:00Z
    signature = "base64 of 64 bytes"

``policy`` is the SHA-256 of ``site.toml``, byte by byte; ``previous`` that of the
version before; ``signature`` is Ed25519 by the site's key over ``SIGN_LABEL``, its
name and these fields.  As each version holds the digest of the one before, the last
signature is of them all.  The command writes this file and no hand does.
"""

import base64
import binascii
import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fedglmm_flower.envelope.keys import Identity, PublicIdentity
from fedglmm_flower.envelope.manifest import write_time
from fedglmm_flower.envelope.names import is_digest
from fedglmm_flower.errors import PolicyError
from fedglmm_flower.study.whole_file import write_whole

POLICY_VERSIONS: Final = "policy-versions.toml"
SIGN_LABEL: Final = b"fedglmm-policy-version/1 sign\x00"
# By how much the clock may be behind that by which a policy was signed.
SLOW: Final = timedelta(days=1)

_FORMAT: Final = "fedglmm-policy-versions/1"
_KEYS: Final = {"number", "policy", "previous", "at", "signature"}
_FIRST: Final = "0" * 64


@dataclass(frozen=True)
class PolicyVersion:
    """
    One signed version of a site's policy; holds no data and stays at the site.

    Parameters
    ----------
    number : int
        From 1, without gaps.
    policy : str
        Digest of the file that was signed.
    previous : str
        Digest of the version before; zeros for the first.
    at : datetime
        When it was signed, by the site's clock.
    signature : bytes
        64 bytes.
    """

    number: int
    policy: str
    previous: str
    at: datetime
    signature: bytes = b""

    @property
    def digest(self) -> str:
        """What the next version holds of this one."""
        return hashlib.sha256(self.text.encode() + self.signature).hexdigest()

    @property
    def text(self) -> str:
        """The fields that are signed, in one spelling."""
        return (
            f'number = {self.number}\npolicy = "{self.policy}"\n'
            f'previous = "{self.previous}"\nat = {write_time(self.at)}\n'
        )

    def signed_bytes(self, site: str) -> bytes:
        """What the signature is over."""
        return SIGN_LABEL + site.encode() + b"\x00" + self.text.encode()


def read_versions(path: Path) -> tuple[PolicyVersion, ...]:
    """
    Read the versions of a policy, oldest first; none if there is no file.

    Raises
    ------
    PolicyError
        If the file cannot be read, is not of this form, or a version was altered.
    """
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
        if set(fields) != {"format", "version"} or fields["format"] != _FORMAT:
            raise ValueError(_FORMAT)  # noqa: TRY301 - one sentence for all faults
        return _chained([_version(entry) for entry in fields["version"]])
    except FileNotFoundError:
        return ()
    except OSError as error:
        fault = f"cannot be read ({error.strerror})"
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        fault = "is not as 'fedglmm site sign-policy' wrote it"
    raise PolicyError(
        f"{path}: {fault}; the whole chain of versions is required; restore it from a "
        "backup"
    )


def sign_version(
    path: Path, policy: str, signer: Identity, now: datetime
) -> PolicyVersion:
    """
    Sign a policy as the next version; the last one again is no new version.

    Unless it was signed by a clock that went ahead, which would stay in the way.

    Parameters
    ----------
    path : Path
        ``policy-versions.toml``; made if it is missing, and replaced whole.
    policy : str
        Digest of ``site.toml``.
    signer : Identity
        The site.
    now : datetime
        The site's time.

    Raises
    ------
    PolicyError
        If the file that is there is not of this form.
    StorageError
        If it cannot be written.
    """
    known = read_versions(path)
    last = known[-1] if known else None
    if (
        last is not None
        and last.policy == policy
        and _is_signed(last, signer.public)
        and last.at <= now + SLOW
    ):
        return last
    previous = known[-1].digest if known else _FIRST
    plain = PolicyVersion(len(known) + 1, policy, previous, now)
    signature = signer.signing_key.sign(plain.signed_bytes(signer.name))
    new = PolicyVersion(plain.number, policy, previous, now, signature)
    text = "# Written by 'fedglmm site sign-policy'; keep every entry.\n"
    text += f'format = "{_FORMAT}"\n'
    for one in (*known, new):
        value = base64.b64encode(one.signature).decode()
        text += f'\n[[version]]\n{one.text}signature = "{value}"\n'
    write_whole(path, text.encode())
    return new


def require_signed(
    path: Path, policy: str, site: PublicIdentity, *, demanded: bool
) -> PolicyVersion | None:
    """
    The version in force, if the policy is the one that was signed last.

    Once a version exists, one is always demanded: a line that was changed cannot say
    that no signature is needed.

    Parameters
    ----------
    path : Path
        ``policy-versions.toml``.
    policy : str
        Digest of ``site.toml`` as it is.
    site : PublicIdentity
        Whose signature it must be.
    demanded : bool
        Whether a signature is required even if there is no version.

    Returns
    -------
    PolicyVersion or None
        None where nothing was ever signed and nothing need be.

    Raises
    ------
    PolicyError
        If the policy is not as it was signed last by this site.
    """
    known = read_versions(path)
    if not known and not demanded:
        return None
    if not known:
        fault = "is not signed, and says that it must be"
    elif not _is_signed(known[-1], site):
        fault = f"has a version {known[-1].number} that this site's key did not sign"
    elif known[-1].policy != policy:
        fault = f"is not as it was signed (version {known[-1].number})"
    else:
        return known[-1]
    raise PolicyError(
        f"site {site.name!r}: site.toml {fault}; a policy is in force only as its last "
        "signed version; undo the change, or read it and run 'fedglmm site sign-policy'"
    )


def _is_signed(version: PolicyVersion, site: PublicIdentity) -> bool:
    try:
        key = Ed25519PublicKey.from_public_bytes(site.verify)
        key.verify(version.signature, version.signed_bytes(site.name))
    except (InvalidSignature, ValueError):
        return False
    return True


def _chained(versions: Sequence[PolicyVersion]) -> tuple[PolicyVersion, ...]:
    previous = _FIRST
    for number, version in enumerate(versions, start=1):
        if (version.number, version.previous) != (number, previous):
            raise ValueError(_FORMAT)
        previous = version.digest
    return tuple(versions)


def _version(fields: dict[str, Any]) -> PolicyVersion:
    whole = set(fields) == _KEYS and isinstance(fields["at"], datetime)
    if (
        not whole
        or fields["at"].tzinfo is None
        or not is_digest(fields["policy"])
        or type(fields["number"]) is not int
    ):
        raise ValueError(_FORMAT)
    try:
        signature = base64.b64decode(fields["signature"], validate=True)
    except binascii.Error:
        raise ValueError(_FORMAT) from None
    return PolicyVersion(
        fields["number"], fields["policy"], fields["previous"], fields["at"], signature
    )
