"""Key files on disk: made once, never overwritten, private ones for the owner only."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from fedglmm_flower.envelope.keys import Identity, PublicIdentity
from fedglmm_flower.envelope.private_text import identity_text, parse_identity
from fedglmm_flower.envelope.public_text import parse_public, public_text
from fedglmm_flower.errors import KeyFileError

MAX_FILE: Final = 16 * 2**10

_PRIVATE_MODE: Final = 0o600
_PUBLIC_MODE: Final = 0o644
_OTHERS: Final = 0o077


def write_identity(
    identity: Identity, path: Path | str, passphrase: str | None = None
) -> None:
    """
    Create the file of an identity, readable by its owner only.

    Law: :func:`read_identity` gives back the same name and keys.

    Parameters
    ----------
    identity : Identity
        The secrets.
    path : Path or str
        A file that does not exist; its folder is made if need be.
    passphrase : str, optional
        Protects the file where the disk does not; best six random words.

    Raises
    ------
    KeyFileError
        If the file exists or cannot be created, or the passphrase is empty.
    """
    _create(Path(path), identity_text(identity, passphrase), _PRIVATE_MODE)


def read_identity(path: Path | str, passphrase: str | None = None) -> Identity:
    """
    Read an identity from a file that only its owner can read.

    Parameters
    ----------
    path : Path or str
        The file, or a symbolic link to it.
    passphrase : str, optional
        The one given to :func:`write_identity`, if any.

    Returns
    -------
    Identity
        The secrets.

    Raises
    ------
    KeyFileError
        If the file is missing, no regular file, open to others, foreign, truncated or
        altered, or the passphrase is missing, not needed or wrong.
    """
    where = _where(path)
    return parse_identity(_read(Path(path), private=True), passphrase, where)


def write_public(public: PublicIdentity, path: Path | str) -> None:
    """
    Create the file that a party gives to the others.

    Leaves the site: the file is made to be given away; it holds no secret and no data.

    Law: :func:`read_public` gives back an equal value.

    Parameters
    ----------
    public : PublicIdentity
        Such as ``identity.public``.
    path : Path or str
        A file that does not exist; its folder is made if need be.

    Raises
    ------
    KeyFileError
        If the file exists or cannot be created.
    """
    _create(Path(path), public_text(public), _PUBLIC_MODE)


def read_public(path: Path | str) -> PublicIdentity:
    """
    Read the public file of another party; compare its fingerprint before trusting it.

    Parameters
    ----------
    path : Path or str
        The file, or a symbolic link to it.

    Returns
    -------
    PublicIdentity
        Name and public keys.

    Raises
    ------
    KeyFileError
        If the file is missing, foreign or altered, or holds a key that is not usable.
    """
    return parse_public(_read(Path(path), private=False), _where(path))


def _create(path: Path, content: bytes, mode: int) -> None:
    where = _where(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise _unusable(where, error, "a folder that can be made") from None
    try:
        descriptor = os.open(path, flags, mode)
    except FileExistsError:
        msg = (
            f"{where}: an existing file was found; a new path is required, for a key "
            "is never overwritten; choose another path"
        )
        raise KeyFileError(msg) from None
    except (OSError, ValueError) as error:
        raise _unusable(where, error, "a folder that can be written to") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except BaseException as error:
        with suppress(OSError):
            path.unlink()
        if isinstance(error, OSError):
            raise _unusable(where, error, "a disk with space") from None
        raise


def _read(path: Path, *, private: bool) -> bytes:
    where = _where(path)
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _not_a_key_file(where, "no regular file")
            if private and status.st_mode & _OTHERS:
                raise _open_to_others(path, stat.S_IMODE(status.st_mode))
            content = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        raise _unusable(where, error, "a file that can be read") from None
    if len(content) > MAX_FILE:
        raise _not_a_key_file(where, f"more than {MAX_FILE} bytes")
    return content


def _open_at_once(path: str, flags: int) -> int:
    """Open a file even if it is a pipe, which otherwise waits for a writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _where(path: Path | str) -> str:
    return f"key file {str(path)!r}"


def _open_to_others(path: Path, mode: int) -> KeyFileError:
    msg = (
        f"{_where(path)}: mode {mode:04o} was found, with which others can use the "
        f"key; mode 0600 is required; run: chmod 600 {str(path)!r}, and make a new key "
        "if others could have read it"
    )
    return KeyFileError(msg)


def _not_a_key_file(where: str, found: str) -> KeyFileError:
    msg = f"{where}: {found} was found; a key file is required; give the right path"
    return KeyFileError(msg)


def _unusable(where: str, error: Exception, required: str) -> KeyFileError:
    found = error.strerror if isinstance(error, OSError) else str(error)
    msg = f"{where}: {found}; {required} is required; correct the path or its owner"
    return KeyFileError(msg)
