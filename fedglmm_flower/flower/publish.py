"""The folder of a simulation: replaced as a whole, and only by a finished run."""

import os
import shutil
from pathlib import Path

from fedglmm_flower.coordinator.result import NAME as RESULT
from fedglmm_flower.errors import StorageError, UsageError

KEY = Path("keys", "coordinator.key")
RUN = (RESULT, "run.json", "study.toml", "sealed")
STALE = (
    "sealed/*.sealed",
    "further/*/*.sealed",
    "results/*.sealed",
    "sites/*/estimates.json",
    "sites/*/fit_check.json",
    "keys/sites/*.pub",
)


def require_no_run(folder: Path) -> None:
    """
    Refuse a folder that holds a run, or a study that somebody wrote.

    Raises
    ------
    UsageError
        It names what is there.
    """
    for name in RUN:
        if (folder / name).exists():
            raise UsageError(
                f"{folder}: holds {name} of an earlier run; a folder without a run is "
                "required; choose another, or add --overwrite to replace that run"
            )


def checked_target(folder: Path) -> Path:
    """
    A folder that results can be put into; nothing is made or changed yet.

    Parameters
    ----------
    folder : Path
        The folder that was asked for; need not exist.

    Raises
    ------
    UsageError
        If it cannot be made or written, or holds a key that is not a simulation's.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(
            f"{folder}: is a file; a folder for the results is required; choose "
            "another name"
        )
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise UsageError(
            f"{folder}: cannot be made or written; a writable folder is required; "
            "choose another place"
        )
    if (folder / KEY).exists() and not (folder / "run.json").exists():
        raise UsageError(
            f"{folder / KEY}: exists and is not a simulation's; a simulation would "
            "replace it by a key of its own; choose another folder"
        )
    return folder


def publish(made: Path, folder: Path) -> None:
    """
    Move the files of a finished run to their folder, the result last.

    All files are copied before one of an earlier run is touched, so that a full disk
    loses nothing.  An earlier run's result then goes first, so that it never stands
    beside releases that are not its own.

    Parameters
    ----------
    made : Path
        Where the run has written.
    folder : Path
        Where its files shall be.

    Raises
    ------
    StorageError
        If the files cannot be copied; the folder holds what it held before.
    """
    files = [path.relative_to(made) for path in made.rglob("*") if path.is_file()]
    parts = {name: (folder / name).with_name(f".{name.name}.part") for name in files}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, part in parts.items():
            part.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(made / name, part)
    except OSError as error:
        for part in parts.values():
            part.unlink(missing_ok=True)
        raise StorageError(
            f"{folder}: the results cannot be written ({error.strerror}); a writable "
            "folder on a disk with space is required; nothing was changed there; make "
            "room and run again"
        ) from None
    (folder / RESULT).unlink(missing_ok=True)
    for pattern in STALE:
        for old in folder.glob(pattern):
            old.unlink()
    for name in sorted(files, key=lambda name: (name == Path(RESULT), name)):
        parts[name].replace(folder / name)
