"""
Run what is missing, and print the tables.

Replicates of all settings take turns, so that a run can be stopped at any time and
taken up again: every record is one line of the results file.

Run: ``python -m benchmarks.simulation --replicates 200 --results simulation.jsonl``.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from threadpoolctl import threadpool_limits

from benchmarks.records import append, missing, read
from benchmarks.simulation.designs import SETTINGS
from benchmarks.simulation.one import POOLED, records
from benchmarks.simulation.tables import markdown
from fedglmm_flower.coordinator.drawing import MOST_DRAWS

SETS = ("canonical:2", "canonical:3", "canonical:4", "anchored:3")


@contextmanager
def progress(total: int, done: int) -> Iterator[Progress]:
    """A bar on a terminal; silence in a pipe."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        bar.add_task("replicates", total=total, completed=done)
        yield bar


def main() -> None:
    """Take turns, write each record as it comes, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation")
    parser.add_argument("--results", type=Path, default=Path("simulation.jsonl"))
    parser.add_argument(
        "--known", type=Path, nargs="*", default=[], help="records of earlier runs"
    )
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS))
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument(
        "--canonical-draws",
        type=int,
        default=MOST_DRAWS,
        help="most draws of pseudo-data for canonical sets",
    )
    parser.add_argument(
        "--estimates-only",
        action="store_true",
        help="leave out the fits that judge each fit; the estimates are the same",
    )
    options = parser.parse_args()
    for name in set(options.settings) - set(SETTINGS):
        parser.error(f"setting {name!r} is not known; one of {', '.join(SETTINGS)}")
    draws = {"canonical": options.canonical_draws, "anchored": MOST_DRAWS}
    found = [r for path in (*options.known, options.results) for r in read(path)]
    wanted = [POOLED, *options.sets]
    todo = missing(found, options.settings, options.replicates, "set", wanted)
    total = options.replicates * len(options.settings)
    with threadpool_limits(1), progress(total, total - len(todo)) as bar:
        for setting, replicate, sets in todo:
            new = records(
                SETTINGS[setting],
                replicate,
                sets,
                draws,
                judged=not options.estimates_only,
            )
            append(options.results, new)
            found.extend(new)
            bar.advance(bar.task_ids[0])
    sys.stdout.write(markdown(found, options.settings, wanted))


if __name__ == "__main__":
    main()
