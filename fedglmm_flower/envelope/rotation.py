"""A new key in the place of an old one, which stays to open what was sealed to it.

Beside ``north.key`` an old key is ``north.0123456789abcdef.key``: the first 16 digits
of the identifier of the key that opens, as headers of messages name it.
"""

from pathlib import Path
from typing import Final

from fedglmm_flower.envelope.encryption import HYBRID
from fedglmm_flower.envelope.key_files import read_identity
from fedglmm_flower.envelope.keys import Identity, new_identity
from fedglmm_flower.envelope.names import is_digest
from fedglmm_flower.envelope.owner_files import (
    PRIVATE_MODE,
    PUBLIC_MODE,
    create_file,
    read_file,
    replace_file,
    where_of,
)
from fedglmm_flower.envelope.private_text import identity_text
from fedglmm_flower.envelope.public_text import public_text
from fedglmm_flower.errors import KeyFileError

_DIGITS: Final = 16


def retired_path(path: Path, encrypt_id: str) -> Path:
    """
    Where a key goes when another takes its place.

    Parameters
    ----------
    path : Path
        ``NAME.key`` or ``NAME.pub``.
    encrypt_id : str
        Identifier of the old key that opens.

    Returns
    -------
    Path
        In the same folder.

    Examples
    --------
    >>> retired_path(Path("keys/north.key"), "0123456789abcdef" * 4).as_posix()
    'keys/north.0123456789abcdef.key'
    """
    return path.with_name(f"{path.stem}.{encrypt_id[:_DIGITS]}{path.suffix}")


def rotate_identity(
    path: Path, passphrase: str | None = None, *, hybrid: bool = False
) -> tuple[Identity, Identity]:
    """
    Put a new key into the place of an old one, and keep the old one beside it.

    Law: :func:`identity_sealed_to` finds either key by its identifier.  Whatever
    interrupts the exchange, ``path`` holds one of the two keys whole and the old one is
    not lost; doing it again makes a further key.

    Parameters
    ----------
    path : Path
        ``NAME.key``; ``NAME.pub`` beside it is renewed too.
    passphrase : str, optional
        Of the old key, and of the new one.
    hybrid : bool
        Whether a plain key is followed by a hybrid one; after a hybrid key comes none
        but a hybrid one.

    Returns
    -------
    old, new : Identity
        Of one name.

    Raises
    ------
    KeyFileError
        If the old key cannot be read, or a file cannot be written.
    """
    old = read_identity(path, passphrase)
    new = new_identity(old.name, hybrid=hybrid or old.public.suite == HYBRID)
    public = path.with_suffix(".pub")
    _keep(path, read_file(path, private=True), old, PRIVATE_MODE)
    _keep(public, public_text(old.public), old, PUBLIC_MODE)
    replace_file(path, identity_text(new, passphrase), PRIVATE_MODE)
    replace_file(public, public_text(new.public), PUBLIC_MODE)
    return old, new


def identity_sealed_to(
    path: Path, encrypt_id: str | None, passphrase: str | None = None
) -> Identity:
    """
    Read the key that a message was sealed to: the present one, or one before it.

    Parameters
    ----------
    path : Path
        ``NAME.key``.
    encrypt_id : str or None
        Recipient of the message's header; None for the present key.
    passphrase : str, optional
        Of the key.

    Raises
    ------
    KeyFileError
        If the key cannot be read.
    """
    # What a message claims becomes no path unless it is a digest.
    if encrypt_id is not None and is_digest(encrypt_id):
        retired = retired_path(path, encrypt_id)
        if retired.exists():
            return read_identity(retired, passphrase)
    return read_identity(path, passphrase)


def _keep(path: Path, content: bytes, old: Identity, mode: int) -> None:
    kept = retired_path(path, old.public.encrypt_id)
    if not kept.exists():
        create_file(kept, content, mode)
    elif read_file(kept, private=mode == PRIVATE_MODE) != content:
        raise KeyFileError(
            f"{where_of(kept)}: another file under the name of the old key was found; "
            "no file, or the old key itself, is required there; move it away"
        )
