"""Files that are whole: a reader finds all of one or nothing, also after a crash."""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

from fedglmm_flower.errors import StorageError

PRIVATE: Final = 0o600
SHARED: Final = 0o644


def write_whole(path: Path, content: bytes, mode: int = PRIVATE) -> None:
    """
    Write a file, or leave what stood there.

    Law: after a return the content is on the disk; after an error, a crash or a full
    disk the file is what it was before, and nothing else is left in the folder but,
    after a crash, a file whose name begins with a dot.

    Parameters
    ----------
    path : Path
        Target; its folder is made if it is missing.
    content : bytes
        What the file holds afterwards.
    mode : int
        Who can read it: its owner alone, unless said otherwise.

    Raises
    ------
    StorageError
        If it cannot be written.
    """
    try:
        scratch = _scratch(path, content, mode)
        try:
            scratch.replace(path)
            _sync_folder(path.parent)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise
    except OSError as error:
        _refuse(path, error)


def write_new(path: Path, content: bytes) -> None:
    """
    Write a file that does not exist yet; one that does is never replaced.

    Parameters
    ----------
    path : Path
        Target; its folder is made if it is missing.
    content : bytes
        What the file holds afterwards.

    Raises
    ------
    StorageError
        If it exists or cannot be written.
    """
    try:
        scratch = _scratch(path, content, PRIVATE)
        try:
            _link(scratch, path)
            _sync_folder(path.parent)
        finally:
            scratch.unlink(missing_ok=True)
    except FileExistsError:
        raise StorageError(
            f"{path}: exists; a new name is required, for it is never overwritten; "
            "choose another name, or move the file away"
        ) from None
    except OSError as error:
        _refuse(path, error)


def _scratch(path: Path, content: bytes, mode: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name[:40]}.{secrets.token_hex(8)}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    return scratch


def _link(scratch: Path, path: Path) -> None:
    """Give a name that is free; unlike a renaming a link never replaces a file."""
    try:
        os.link(scratch, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if path.exists():
            raise FileExistsError(path) from None
        scratch.rename(path)


def _sync_folder(folder: Path) -> None:
    """Make the name last through a power cut too, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _refuse(path: Path, error: OSError) -> NoReturn:
    raise StorageError(
        f"{path}: cannot be written ({error.strerror or type(error).__name__}); a "
        "writable folder on a disk with space is required; nothing was changed there; "
        "make room, or correct path and permissions, and do it again"
    ) from None
