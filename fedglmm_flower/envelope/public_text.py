"""The text of a public file, TOML of four lines, or of five with a hybrid key.

::

    format = "fedglmm-public/1"
    name = "site a"
    suite = "mlkem768-x25519-hkdf-sha256-chacha20poly1305"
    encrypt = "base64 of 32 bytes, or of 1216 with the line suite"
    verify = "base64 of 32 bytes"
"""

import base64
import binascii
import json
import tomllib
from typing import Final

from fedglmm_flower.envelope.encryption import HYBRID
from fedglmm_flower.envelope.keys import PublicIdentity
from fedglmm_flower.errors import KeyFileError

PUBLIC_FORMAT: Final = "fedglmm-public/1"

_MAX_LINE: Final = 1000
_KEY_LINE: Final = 'encrypt = "'
_KEYS: Final = {"format", "name", "encrypt", "verify"}


def public_text(public: PublicIdentity) -> bytes:
    """
    Write a public identity.

    Law: ``parse_public(public_text(p), where) == p``.
    """
    lines = (f'format = "{PUBLIC_FORMAT}"', *party_lines(public))
    return "".join(f"{line}\n" for line in lines).encode()


def party_lines(public: PublicIdentity) -> tuple[str, ...]:
    """Return the lines of a party in a public file or manifest, without their ends."""
    # A name has no control characters, so its JSON spelling is also TOML.
    name = f"name = {json.dumps(public.name, ensure_ascii=False)}"
    keys = {"encrypt": public.encrypt, "verify": public.verify}
    return (
        name,
        *(f'suite = "{public.suite}"' for _ in range(public.suite == HYBRID)),
        *(f'{key} = "{base64.b64encode(raw).decode()}"' for key, raw in keys.items()),
    )


def party_of(name: str, suite: object, encrypt: bytes, verify: bytes) -> PublicIdentity:
    """
    Return the party that these lines tell of.

    Raises
    ------
    KeyFileError
        If a key is not usable, or is not of the suite that its file names; none is
        named where it is X25519 alone.
    """
    public = PublicIdentity(name, encrypt, verify)
    of_key = public.suite if public.suite == HYBRID else None
    if suite != of_key:
        raise KeyFileError(
            f"public key 'encrypt' of {name!r}: a key of {public.suite} was found; one "
            "of the suite that the file names is required; ask the party for its "
            "public file again, and compare fingerprints"
        )
    return public


def parse_public(data: bytes, where: str) -> PublicIdentity:
    """
    Read a public identity.

    Raises
    ------
    KeyFileError
        If the text is no TOML of the lines above, or a key is not usable.
    """
    try:
        text = data.decode()
        # A long dotted key costs a TOML parser memory that grows as a square.
        others = (x for x in text.split("\n") if not x.startswith(_KEY_LINE))
        if max(map(len, others), default=0) > _MAX_LINE:
            raise _foreign(where, f"a line of more than {_MAX_LINE} characters")
        fields = tomllib.loads(text)
    except (ValueError, RecursionError):  # covers bytes that are no UTF-8
        raise _foreign(where, "text that is not TOML") from None
    found = fields.get("format")
    if isinstance(found, str) and found != PUBLIC_FORMAT:
        raise _foreign(where, f"format {found[:40]!r}")
    if set(fields) - {"suite"} != _KEYS or found != PUBLIC_FORMAT:
        raise _foreign(where, "missing or unknown lines")
    encrypt, verify = (_raw_key(fields[key], where) for key in ("encrypt", "verify"))
    try:
        return party_of(fields["name"], fields.get("suite"), encrypt, verify)
    except KeyFileError as error:
        msg = f"{where}: {error.detail}"
        raise KeyFileError(msg) from None


def _raw_key(value: object, where: str) -> bytes:
    if isinstance(value, str):
        try:
            raw = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        if raw and base64.b64encode(raw).decode() == value:
            return raw
    raise _foreign(where, "a key that is not base64")


def _foreign(where: str, found: str) -> KeyFileError:
    msg = (
        f"{where}: {found} was found; the lines format = {PUBLIC_FORMAT!r}, name, "
        "encrypt and verify are required; ask the party for its public file again"
    )
    return KeyFileError(msg)
