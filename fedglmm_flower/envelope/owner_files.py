"""Small files that hold keys: whole or absent, and private ones for the owner only."""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from fedglmm_flower.errors import KeyFileError

MAX_FILE: Final = 16 * 2**10
PRIVATE_MODE: Final = 0o600
PUBLIC_MODE: Final = 0o644

_OTHERS: Final = 0o077


def create_file(path: Path, content: bytes, mode: int) -> None:
    """
    Create a file that does not exist, with all of its content or not at all.

    Raises
    ------
    KeyFileError
        If it exists or cannot be written.
    """
    where = where_of(path)
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


def replace_file(path: Path, content: bytes, mode: int) -> None:
    """
    Replace a file at once: a reader finds the old content or the new.

    Raises
    ------
    KeyFileError
        If it cannot be written; the old file is untouched then.
    """
    scratch = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}")
    create_file(scratch, content, mode)
    try:
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise _unusable(where_of(path), error, "a file that can be replaced") from None


def read_file(path: Path, *, private: bool) -> bytes:
    """
    Read a small regular file; a private one must be its owner's alone.

    Raises
    ------
    KeyFileError
        If it is missing, no regular file, too large, or private and open to others.
    """
    where = where_of(path)
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


def where_of(path: Path | str) -> str:
    """Return the first words of an error message about a file."""
    return f"key file {str(path)!r}"


def _open_to_others(path: Path, mode: int) -> KeyFileError:
    msg = (
        f"{where_of(path)}: mode {mode:04o} was found, with which others can use the "
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
