"""A site's own log: the detail of a refusal, which nobody else may read."""

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
    now = datetime.now(UTC).isoformat(timespec="seconds")
    if isinstance(error, FedglmmError):
        text = f"{now} refused {error.code}: {error.detail}\n"
    else:
        trace = "".join(traceback.format_exception(error))
        text = f"{now} failed {type(error).__name__}\n{trace}\n"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "a", encoding="utf-8") as file:
        file.write(text)
