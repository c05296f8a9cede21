"""Progress on a terminal; silence in a pipe, but for those who ask for words."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

Tell = Callable[[str, int, int], None]

WORDS = {
    "summarise": "sites have sent their summaries",
    "pseudo-data": "sites turned into pseudo-data",
    "fit": "models fitted",
    "bootstrap": "bootstrap draws fitted",
    "broadcast": "sites have stored the estimates",
}


@contextmanager
def shown_progress() -> Iterator[Tell]:
    """Yield what a long call may tell its progress to."""
    console = Console(stderr=True)
    if _is_verbose():
        yield _words()
        return
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


def _is_verbose() -> bool:
    """Whether ``fedglmm --verbose`` was called."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.find_root().params.get("_verbose"))


def _words() -> Tell:
    """A line on standard error for each stage that ends: how many, and when."""
    started = time.perf_counter()
    told = set()

    def tell(stage: str, done: int, total: int) -> None:
        if done == total and (stage, total) not in told:
            told.add((stage, total))
            words = WORDS.get(stage, stage)
            seconds = time.perf_counter() - started
            click.echo(f"fedglmm: {done} {words} ({seconds:.1f} s)", err=True)

    return tell
