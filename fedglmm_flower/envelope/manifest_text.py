"""The bytes of a signed manifest: TOML in its one spelling, and a signature.

::

    format = "fedglmm-manifest/1"
    name = "icu"
    study = "64 hex digits"
    made = 2026-11-21T13:00:00Z
    expires = 2027-06-30T00:00:00Z

    [demands]
    min_cell = 10

    [[recipient]]
    name = "coordinator"
    encrypt = "base64 of 32 bytes"
    verify = "base64 of 32 bytes"

    [[site]]
    name = "north"
    suite = "mlkem768-x25519-hkdf-sha256-chacha20poly1305"    (hybrid keys alone)
    encrypt = "base64 of 1216 bytes"
    verify = "base64 of 32 bytes"

    [signature]
    owner = "base64 of 32 bytes"
    value = "base64 of 64 bytes"

The *digest* is the SHA-256 of everything before the line ``[signature]``; ``value`` is
Ed25519 by the key ``owner`` over ``SIGN_LABEL`` followed by these bytes.  A reader
writes what it read and compares, so no two files say the same.  Digest and signature
are of bytes: both are known before anything is parsed.
"""

import base64
import hashlib
import json
import re
import tomllib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from fedglmm_flower.envelope.keys import Identity, PublicIdentity
from fedglmm_flower.envelope.manifest import Manifest, write_time
from fedglmm_flower.envelope.public_text import party_lines, party_of
from fedglmm_flower.errors import KeyFileError, ManifestError

MANIFEST_FORMAT: Final = "fedglmm-manifest/1"
SIGN_LABEL: Final = b"fedglmm-manifest/1 sign\x00"
MAX_MANIFEST: Final = 2**20

_SIGNATURE: Final = re.compile(
    rb'\[signature\]\nowner = "([A-Za-z0-9+/]{43}=)"\nvalue = "([A-Za-z0-9+/]{86}==)"\n'
)
_TAIL: Final = len('[signature]\nowner = ""\nvalue = ""\n') + 44 + 88
_LINE: Final = re.compile(
    r"|\[demands\]|\[\[(?:recipient|site)\]\]"
    r'|[a-z_]{1,40} = (?:"(?:[^"\\]|\\["\\])*"|[-+.:0-9A-Za-z]{1,40})'
)
_KEYS: Final = {"format", "name", "study", "made", "expires", "recipient", "site"}


@dataclass(frozen=True)
class SignedManifest:
    """
    The bytes of a manifest and whose signature they carry; nothing is parsed yet.

    Parameters
    ----------
    body : bytes
        What is signed.
    owner : bytes
        The Ed25519 key that the file names; a claim until :meth:`read` has checked it.
    signature : bytes
        64 bytes.
    """

    body: bytes
    owner: bytes
    signature: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the body in hex: what sites approve and messages are bound to."""
        return hashlib.sha256(self.body).hexdigest()

    def read(self, owner: bytes) -> Manifest:
        """
        Check the signature, then parse.

        Parameters
        ----------
        owner : bytes
            The Ed25519 key of the owner as it is known here, never the file's claim.

        Raises
        ------
        ManifestError
            If another key signed, the bytes were changed, or they are no manifest.
        """
        if self.owner != owner:
            raise ManifestError(
                f"manifest {self.digest[:16]}...: a signature by the owner's key "
                f"{key_name(self.owner)} was found; one by {key_name(owner)} is "
                "required; compare fingerprints with the study's owner, and approve "
                "again if the key was changed for a good reason"
            )
        try:
            Ed25519PublicKey.from_public_bytes(owner).verify(
                self.signature, SIGN_LABEL + self.body
            )
        except (InvalidSignature, ValueError):
            raise ManifestError(
                f"manifest {self.digest[:16]}...: a signature that does not fit the "
                "text was found; the text as its owner signed it is required; have "
                "the file sent again"
            ) from None
        return _parse(self.body)


def sign_manifest(manifest: Manifest, owner: Identity) -> bytes:
    """
    Write a manifest and sign it.

    Law: ``split_signed(sign_manifest(m, o)).read(o.public.verify) == m``.

    Parameters
    ----------
    manifest : Manifest
        What to sign.
    owner : Identity
        The study's owner.

    Returns
    -------
    bytes
        The file that every party receives.
    """
    body = manifest_text(manifest)
    value = owner.signing_key.sign(SIGN_LABEL + body)
    key, signature = _base64(owner.public.verify), _base64(value)
    tail = f'[signature]\nowner = "{key}"\nvalue = "{signature}"\n'
    return body + tail.encode()


def split_signed(data: bytes) -> SignedManifest:
    """
    Take a file apart without parsing or believing it.

    Raises
    ------
    ManifestError
        If it is too large or does not end in a signature.
    """
    tail = _SIGNATURE.fullmatch(data[-_TAIL:])
    if len(data) > MAX_MANIFEST or tail is None:
        found = "no signature at its end" if tail is None else f"{len(data)} bytes"
        raise _foreign(found)
    owner, value = (base64.b64decode(part) for part in tail.groups())
    if _base64(owner).encode() != tail[1] or _base64(value).encode() != tail[2]:
        raise _foreign("a signature in another spelling")
    return SignedManifest(data[:-_TAIL], owner, value)


def manifest_text(manifest: Manifest) -> bytes:
    """Return the one spelling of a manifest, without a signature."""
    lines = [
        f'format = "{MANIFEST_FORMAT}"',
        # A name has no control characters, so its JSON spelling is also TOML.
        f"name = {json.dumps(manifest.name, ensure_ascii=False)}",
        f'study = "{manifest.study}"',
        f"made = {write_time(manifest.made)}",
        f"expires = {write_time(manifest.expires)}",
        "",
        "[demands]",
        *(f"{key} = {json.dumps(value)}" for key, value in manifest.demands),
    ]
    for kind, parties in (
        ("recipient", manifest.recipients),
        ("site", manifest.sites),
    ):
        for party in parties:
            lines += ["", f"[[{kind}]]", *party_lines(party)]
    return "".join(f"{line}\n" for line in [*lines, ""]).encode()


def key_name(verify: bytes) -> str:
    """Return the first 16 hex digits of the SHA-256 of a key, for messages."""
    return f"{hashlib.sha256(verify).hexdigest()[:16]}..."


def _parse(body: bytes) -> Manifest:
    try:
        text = body.decode()
        # Dotted keys and nesting cost a TOML parser memory that grows as a square.
        if not all(map(_LINE.fullmatch, text.split("\n"))):
            raise _foreign("a line of another form")
        fields = tomllib.loads(text)
    except (ValueError, RecursionError):  # covers bytes that are no UTF-8
        raise _foreign("text that is not TOML") from None
    version = fields.get("format")
    if version != MANIFEST_FORMAT:
        raise _foreign(f"format {str(version)[:40]!r}")
    if set(fields) != _KEYS | {"demands"}:
        raise _foreign("missing or unknown lines")
    try:
        manifest = _of_fields(fields)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _foreign("a value of another kind") from None
    except KeyFileError as error:
        raise _foreign(error.detail) from None
    if manifest_text(manifest) != body:
        raise _foreign("another spelling")
    return manifest


def _of_fields(fields: dict[str, Any]) -> Manifest:
    for key in ("made", "expires"):
        if not isinstance(fields[key], datetime):
            raise TypeError
    for value in fields["demands"].values():
        if not isinstance(value, bool | int | float):
            raise TypeError
    return Manifest(
        name=fields["name"],
        study=fields["study"],
        made=fields["made"],
        expires=fields["expires"],
        demands=tuple(fields["demands"].items()),
        recipients=tuple(map(_party, fields["recipient"])),
        sites=tuple(map(_party, fields["site"])),
    )


def _party(fields: dict[str, Any]) -> PublicIdentity:
    if set(fields) - {"suite"} != {"name", "encrypt", "verify"}:
        raise KeyError
    encrypt, verify = (
        base64.b64decode(fields[key], validate=True) for key in ("encrypt", "verify")
    )
    return party_of(fields["name"], fields.get("suite"), encrypt, verify)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _foreign(found: str) -> ManifestError:
    return ManifestError(
        f"manifest: {found} was found; a file made by 'fedglmm study sign' of at most "
        f"{MAX_MANIFEST} bytes is required; have the study's owner send it again"
    )
