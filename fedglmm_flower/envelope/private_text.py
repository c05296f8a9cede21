"""The text of an identity file: a header line and two PKCS8 PEM blocks.

::

    # fedglmm-identity/1 {"name":"site a","salt":null}
    -----BEGIN PRIVATE KEY-----            X25519
    -----END PRIVATE KEY-----
    -----BEGIN PRIVATE KEY-----            Ed25519
    -----END PRIVATE KEY-----

With a passphrase, ``salt`` is 32 hex digits and the blocks are ``ENCRYPTED``; their
password is the hex of Argon2id(passphrase in NFC and UTF-8, salt) with 64 MiB, 3
passes, 4 lanes and 32 bytes, because PKCS8 alone stretches a passphrase too little.
"""

import re
import secrets
import unicodedata
from contextlib import suppress
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from fedglmm_flower.envelope.keys import Identity
from fedglmm_flower.envelope.names import name_fault
from fedglmm_flower.envelope.wire import canonical_bytes, strict_parse
from fedglmm_flower.errors import KeyFileError, WireError

IDENTITY_FORMAT: Final = "fedglmm-identity/1"

_SALT: Final = re.compile(r"[0-9a-f]{32}")
_BLOCK: Final = (
    r"(-----BEGIN (?:ENCRYPTED )?PRIVATE KEY-----\n"
    r"[A-Za-z0-9+/=\n]+"
    r"-----END (?:ENCRYPTED )?PRIVATE KEY-----\n)"
)
_TEXT: Final = re.compile(rf"# (fedglmm-identity/\d+) ([^\n]*)\n{_BLOCK}{_BLOCK}")


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
    password = _password(passphrase, salt, "new key file")
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    fields = {"name": identity.name, "salt": salt.hex() if salt else None}
    header = f"# {IDENTITY_FORMAT} ".encode() + canonical_bytes(fields) + b"\n"
    blocks = (
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        for key in (identity.decryption_key, identity.signing_key)
    )
    return header + b"".join(blocks)


def parse_identity(data: bytes, passphrase: str | None, where: str) -> Identity:
    """
    Read an identity.

    Raises
    ------
    KeyFileError
        If the text is not of the form above, or the passphrase is missing, not
        needed or wrong.  The message quotes no part of the keys.
    """
    match = None
    # Suppressed, not chained: the exception would carry the keys along.
    with suppress(UnicodeDecodeError):
        match = _TEXT.fullmatch(data.decode())
    if match is None:
        raise _foreign(where, "a foreign or truncated file" if data else "no content")
    version, header, first, second = match.groups()
    if version != IDENTITY_FORMAT:
        raise _foreign(where, f"format {version!r}")
    name, salt = _read_header(header, where)
    _check_passphrase_use(passphrase, salt, where)
    password = _password(passphrase, salt, where)
    decryption = _load(first, password, where)
    signing = _load(second, password, where)
    if isinstance(decryption, X25519PrivateKey) and isinstance(
        signing, Ed25519PrivateKey
    ):
        return Identity(name, decryption, signing)
    raise _foreign(where, "a key of another type")


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


def _check_passphrase_use(
    passphrase: str | None, salt: bytes | None, where: str
) -> None:
    if (passphrase is None) == (salt is None):
        return
    if passphrase is None:
        msg = (
            f"{where}: a key protected by a passphrase was found; its passphrase is "
            "required; give the passphrase"
        )
    else:
        msg = (
            f"{where}: a key without a passphrase was found; a protected key is "
            "required where a passphrase is given; make a new key with a passphrase, "
            "or give none"
        )
    raise KeyFileError(msg)


def _password(passphrase: str | None, salt: bytes | None, where: str) -> bytes | None:
    if passphrase is None or salt is None:
        return None
    if not passphrase:
        msg = (
            f"{where}: an empty passphrase was found; a passphrase or none at all is "
            "required; give a passphrase of six random words"
        )
        raise KeyFileError(msg)
    # Told after the block, because the exception would carry the passphrase along.
    with suppress(UnicodeEncodeError, UnsupportedAlgorithm):
        secret = unicodedata.normalize("NFC", passphrase).encode()
        stretch = Argon2id(
            salt=salt, length=32, iterations=3, lanes=4, memory_cost=64 * 2**10
        )
        return stretch.derive(secret).hex().encode()
    msg = (
        f"{where}: a passphrase that is no text, or a system without Argon2id, was "
        "found; both are required for a protected key; give a passphrase of plain "
        "letters, and use the cryptography package from the Python index"
    )
    raise KeyFileError(msg)


def _load(block: str, password: bytes | None, where: str) -> PrivateKeyTypes:
    with suppress(ValueError, TypeError, UnsupportedAlgorithm):
        return load_pem_private_key(block.encode(), password)
    if password is None:
        raise _foreign(where, "a damaged key")
    msg = (
        f"{where}: a passphrase that does not open the key, or a damaged file, was "
        "found; the passphrase given when the key was made is required; try again, or "
        "restore the file from its backup"
    )
    raise KeyFileError(msg)


def _foreign(where: str, found: str) -> KeyFileError:
    msg = (
        f"{where}: {found} was found; an identity made by fedglmm-flower (an X25519 "
        "and an Ed25519 key) is required; give the right file, restore it from its "
        "backup, or make a new key"
    )
    return KeyFileError(msg)
