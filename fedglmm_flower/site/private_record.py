"""Small records of what a site answered, for its owner alone."""

from pathlib import Path

from fedglmm_flower.errors import PolicyError, StorageError
from fedglmm_flower.study.whole_file import write_new, write_whole


def write_record(path: Path, text: str, *, replace: bool) -> None:
    """
    Write a record whole, or not at all.

    Leaves the site: nothing; the folder and the file are their owner's alone.

    Parameters
    ----------
    path : Path
        Target; its folder is made if it is missing.
    text : str
        One line of ASCII.
    replace : bool
        Whether it takes the place of an earlier one; otherwise that one stays.

    Raises
    ------
    PolicyError
        If it cannot be written.
    """
    content = f"{text}\n".encode("ascii")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if replace:
            write_whole(path, content)
        elif not path.exists():
            write_new(path, content)
    except (OSError, StorageError) as error:
        if not replace and path.exists():
            return  # Another process was quicker; the caller reads what it wrote.
        raise PolicyError(
            f"{path}: cannot be written; what is answered must be recorded first; "
            f"check the disk and the permissions of the folder ({error})"
        ) from None
