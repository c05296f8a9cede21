"""The text of an identity file: a header line, then two private keys, or three.

Without a passphrase they stand in the open, as PKCS8 PEM blocks::

    # fedglmm-identity/1 {"name":"site a","salt":null}
    -----BEGIN PRIVATE KEY-----            ML-KEM-768, of a hybrid identity alone
    -----END PRIVATE KEY-----
    -----BEGIN PRIVATE KEY-----            X25519
    -----END PRIVATE KEY-----
    -----BEGIN PRIVATE KEY-----            Ed25519
    -----END PRIVATE KEY-----

With one, the same blocks are sealed, and the header with them::

    # fedglmm-identity/2 {"name":"site a","salt":"32 hex digits"}
    -----BEGIN FEDGLMM SEALED KEYS-----
    base64 of ChaCha20-Poly1305(key, nonce = zeros, aad = first line, blocks)
    -----END FEDGLMM SEALED KEYS-----

where key = Argon2id(passphrase, salt), :mod:`fedglmm_flower.envelope.stretch`.  A salt
serves one file, so a key serves one nonce.  Files of the first version with a
passphrase (``ENCRYPTED`` PEM blocks under the hex of that key, header not
authenticated) are read and no longer written.
"""

import base64
import re
import secrets
from contextlib import suppress
from typing import Final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from fedglmm_flower.envelope.encryption import HybridKey
from fedglmm_flower.envelope.keys import Identity
from fedglmm_flower.envelope.names import name_fault
from fedglmm_flower.envelope.stretch import stretch
from fedglmm_flower.envelope.wire import canonical_bytes, strict_parse
from fedglmm_flower.errors import KeyFileError, WireError

OPEN_FORMAT: Final = "fedglmm-identity/1"
SEALED_FORMAT: Final = "fedglmm-identity/2"

_SALT: Final = re.compile(r"[0-9a-f]{32}")
_BLOCK: Final = (
    r"(-----BEGIN (?:ENCRYPTED )?PRIVATE KEY-----\n"
    r"[A-Za-z0-9+/=\n]+"
    r"-----END (?:ENCRYPTED )?PRIVATE KEY-----\n)"
)
_BLOCKS: Final = re.compile(f"{_BLOCK}?{_BLOCK}{_BLOCK}")
_BEGIN: Final = "-----BEGIN FEDGLMM SEALED KEYS-----\n"
_END: Final = "-----END FEDGLMM SEALED KEYS-----\n"
_SEALED: Final = re.compile(rf"{_BEGIN}([A-Za-z0-9+/=\n]+){_END}")
_HEADER: Final = re.compile(r"# (fedglmm-identity/\d+) ([^\n]*)\n")
_NONCE: Final = bytes(12)


def identity_text(identity: Identity, passphrase: str | None) -> bytes:
    """
    Write an identity.

    Law: ``parse_identity(identity_text(i, p), p, where)`` holds the same keys and name.

    Raises
    ------
    KeyFileError
        If the passphrase is empty.
    """
    salt = None if passphrase is None else secrets.token_bytes(16)
    fields = {"name": identity.name, "salt": salt.hex() if salt else None}
    version = SEALED_FORMAT if salt else OPEN_FORMAT
    header = f"# {version} ".encode() + canonical_bytes(fields) + b"\n"
    opens = identity.decryption_key
    halves = (opens.mlkem, opens.x25519) if isinstance(opens, HybridKey) else (opens,)
    blocks = b"".join(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        for key in (*halves, identity.signing_key)
    )
    if passphrase is None or salt is None:
        return header + blocks
    key = stretch(passphrase, salt, "new key file")
    sealed = ChaCha20Poly1305(key).encrypt(_NONCE, blocks, header)
    return header + _BEGIN.encode() + base64.encodebytes(sealed) + _END.encode()


def parse_identity(data: bytes, passphrase: str | None, where: str) -> Identity:
    """
    Read an identity.

    Raises
    ------
    KeyFileError
        If the text is not of the form above, or the passphrase is missing, not
        needed or wrong.  The message quotes no part of the keys.
    """
    version, name, salt, first_line, rest = _split(data, where)
    if version == SEALED_FORMAT:
        sealed = _sealed_bytes(rest, where)
        key = _key(passphrase, salt, where)
        rest, key = _opened(key, sealed, first_line, where), None
    else:
        key = _key(passphrase, salt, where)
    blocks = _BLOCKS.fullmatch(rest)
    if blocks is None:
        raise _foreign(where, "a foreign or truncated file")
    password = None if key is None else key.hex().encode()
    first, second, third = (
        None if block is None else _load(block, password, where)
        for block in blocks.groups()
    )
    if isinstance(second, X25519PrivateKey) and isinstance(third, Ed25519PrivateKey):
        if isinstance(first, MLKEM768PrivateKey):
            return Identity(name, HybridKey(first, second), third)
        if first is None:
            return Identity(name, second, third)
    raise _foreign(where, "a key of another type")


def asks_passphrase(data: bytes, where: str) -> bool:
    """
    Whether an identity is protected, from its first line alone.

    Raises
    ------
    KeyFileError
        If the text is not that of an identity.
    """
    return _split(data, where)[2] is not None


def _split(data: bytes, where: str) -> tuple[str, str, bytes | None, str, str]:
    """Version, name, salt, first line as it stands, and what follows it."""
    text = ""
    # Suppressed, not chained: the exception would carry the keys along.
    with suppress(UnicodeDecodeError):
        text = data.decode()
    match = _HEADER.match(text)
    if match is None:
        raise _foreign(where, "a foreign or truncated file" if data else "no content")
    version, header = match.groups()
    if version not in {OPEN_FORMAT, SEALED_FORMAT}:
        raise _foreign(where, f"format {version!r}")
    name, salt = _read_header(header, where)
    if version == SEALED_FORMAT and salt is None:
        raise _foreign(where, "an altered first line")
    return version, name, salt, match[0], text[match.end() :]


def _sealed_bytes(text: str, where: str) -> bytes:
    match = _SEALED.fullmatch(text)
    raw = b""
    if match is not None:
        with suppress(ValueError):
            raw = base64.b64decode(match[1].replace("\n", ""), validate=True)
    if match is None or base64.encodebytes(raw).decode() != match[1]:
        raise _foreign(where, "a foreign or truncated file")
    return raw


def _opened(key: bytes | None, sealed: bytes, header: str, where: str) -> str:
    # Told after the block, because the exception would carry the keys along.
    with suppress(InvalidTag, UnicodeDecodeError):
        if key is not None:
            return (
                ChaCha20Poly1305(key).decrypt(_NONCE, sealed, header.encode()).decode()
            )
    raise _does_not_open(where)


def _read_header(header: str, where: str) -> tuple[str, bytes | None]:
    try:
        fields = strict_parse(header.encode(), where=where)
    except WireError:
        fields = None
    if isinstance(fields, dict) and set(fields) == {"name", "salt"}:
        name, salt = fields["name"], fields["salt"]
        if isinstance(name, str) and name_fault(name) is None:
            if salt is None:
                return name, None
            if isinstance(salt, str) and _SALT.fullmatch(salt):
                return name, bytes.fromhex(salt)
    raise _foreign(where, "an altered first line")


def _key(passphrase: str | None, salt: bytes | None, where: str) -> bytes | None:
    """Stretch the passphrase of a file; None where there is none on either side."""
    if passphrase is None and salt is None:
        return None
    if passphrase is None:
        msg = (
            f"{where}: a key protected by a passphrase was found; its passphrase is "
            "required; name a file that holds it by --passphrase-file, or by "
            "FEDGLMM_PASSPHRASE_FILE for a service"
        )
        raise KeyFileError(msg)
    if salt is None:
        msg = (
            f"{where}: a key without a passphrase was found; a protected key is "
            "required where a passphrase is given; make a new key with a passphrase, "
            "or give none"
        )
        raise KeyFileError(msg)
    return stretch(passphrase, salt, where)


def _load(block: str, password: bytes | None, where: str) -> PrivateKeyTypes:
    with suppress(ValueError, TypeError, UnsupportedAlgorithm):
        return load_pem_private_key(block.encode(), password)
    if password is None:
        raise _foreign(where, "a damaged key")
    raise _does_not_open(where)


def _does_not_open(where: str) -> KeyFileError:
    msg = (
        f"{where}: a passphrase that does not open the key, or a damaged file, was "
        "found; the passphrase given when the key was made is required; try again, or "
        "restore the file from its backup"
    )
    return KeyFileError(msg)


def _foreign(where: str, found: str) -> KeyFileError:
    msg = (
        f"{where}: {found} was found; an identity made by fedglmm-flower (an X25519 "
        "and an Ed25519 key, before them an ML-KEM key if it is hybrid) is required; "
        "give the right file, restore it from its backup, or make a new key"
    )
    return KeyFileError(msg)
