"""A site's own log: refusals in detail, and notes; nobody else may read it."""

import os
import traceback
from datetime import UTC, datetime
from pathlib import Path

from fedglmm_flower.errors import FedglmmError

# A file, and not Python's logging: what a node prints may be captured and sent on.
LOG_NAME = "site.log"


def write_detail(log: Path, error: BaseException) -> None:
    """
    Append an error with all its detail to a site's own log.

    Stays at the site: the file is readable by its owner only.

    Parameters
    ----------
    log : Path
        The file; made if it is missing.
    error : BaseException
        A ``FedglmmError`` is told in one line, anything else with its traceback.
    """
    if isinstance(error, FedglmmError):
        write_note(log, f"refused {error.code}: {error.detail}")
    else:
        trace = "".join(traceback.format_exception(error))
        write_note(log, f"failed {type(error).__name__}\n{trace}")


def write_note(log: Path, text: str) -> None:
    """
    Append a line with the time to a site's own log; see :func:`write_detail`.

    Parameters
    ----------
    log : Path
        The file; made if it is missing.
    text : str
        The line.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        file.write(f"{now} {text}\n")
