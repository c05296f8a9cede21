"""The text of a public file, TOML of four lines.

::

    format = "fedglmm-public/1"
    name = "site a"
    encrypt = "base64 of 32 bytes"
    verify = "base64 of 32 bytes"
"""

import base64
import binascii
import json
import tomllib
from typing import Final

from fedglmm_flower.envelope.keys import PublicIdentity
from fedglmm_flower.errors import KeyFileError

PUBLIC_FORMAT: Final = "fedglmm-public/1"

_MAX_LINE: Final = 1000
_KEYS: Final = {"format", "name", "encrypt", "verify"}


def public_text(public: PublicIdentity) -> bytes:
    """
    Write a public identity.

    Law: ``parse_public(public_text(p), where) == p``.
    """
    # A name has no control characters, so its JSON spelling is also TOML.
    lines = (
        f'format = "{PUBLIC_FORMAT}"',
        f"name = {json.dumps(public.name, ensure_ascii=False)}",
        f'encrypt = "{base64.b64encode(public.encrypt).decode()}"',
        f'verify = "{base64.b64encode(public.verify).decode()}"',
    )
    return "".join(f"{line}\n" for line in lines).encode()


def parse_public(data: bytes, where: str) -> PublicIdentity:
    """
    Read a public identity.

    Raises
    ------
    KeyFileError
        If the text is no TOML of the four lines above, or a key is not usable.
    """
    try:
        text = data.decode()
        # A long dotted key costs a TOML parser memory that grows as a square.
        if max(map(len, text.split("\n"))) > _MAX_LINE:
            raise _foreign(where, f"a line of more than {_MAX_LINE} characters")
        fields = tomllib.loads(text)
    except (ValueError, RecursionError):  # covers bytes that are no UTF-8
        raise _foreign(where, "text that is not TOML") from None
    found = fields.get("format")
    if isinstance(found, str) and found != PUBLIC_FORMAT:
        raise _foreign(where, f"format {found[:40]!r}")
    if set(fields) != _KEYS or found != PUBLIC_FORMAT:
        raise _foreign(where, "missing or unknown lines")
    encrypt, verify = (_raw_key(fields[key], where) for key in ("encrypt", "verify"))
    try:
        return PublicIdentity(fields["name"], encrypt, verify)
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
