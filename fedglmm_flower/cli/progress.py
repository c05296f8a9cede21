"""Progress on a terminal; silence in a pipe."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

Tell = Callable[[str, int, int], None]

WORDS = {
    "summarise": "sites have sent their summaries",
    "pseudo-data": "sites turned into pseudo-data",
    "fit": "fits",
    "bootstrap": "bootstrap draws fitted",
    "broadcast": "sites have stored the estimates",
}


@contextmanager
def shown_progress() -> Iterator[Tell]:
    """Yield what a long call may tell its progress to."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _stage, _done, _total: None
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        tasks = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(WORDS.get(stage, stage), total=total)
            progress.update(tasks[stage], completed=done, total=total)

        yield tell
