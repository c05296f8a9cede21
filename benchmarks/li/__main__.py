"""
Claim: on the eight settings of Li et al. (2022), one round and a step after it are as
far from the truth as the pooled fit, and find the same effects, in 3 rounds instead
of a dozen; two sites of 30 rows need three steps.

20 data sets of each setting take turns; every record is one line of the results file,
so that a run can be stopped and taken up again.  ``benchmarks.simulation.designs`` has
the settings and the variances, which the paper leaves open.

Run: ``python -m benchmarks.li --results li.jsonl --plot docs/li.svg``.
"""

import argparse
import sys
from pathlib import Path

from threadpoolctl import threadpool_limits

from benchmarks.li.one import WAYS, records
from benchmarks.li.plot import draw
from benchmarks.li.table import markdown
from benchmarks.records import append, missing, read
from benchmarks.simulation.__main__ import progress
from benchmarks.simulation.designs import SETTINGS

NAMES = tuple(name for name in SETTINGS if name.startswith("li-"))


def main() -> None:
    """Fit what is missing, print the table, and draw the plot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.li")
    parser.add_argument("--results", type=Path, default=Path("li.jsonl"))
    parser.add_argument(
        "--known", type=Path, nargs="*", default=[], help="records of earlier runs"
    )
    parser.add_argument("--replicates", type=int, default=20)
    parser.add_argument("--settings", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    found = [r for path in (*options.known, options.results) for r in read(path)]
    todo = missing(found, options.settings, options.replicates, "way", tuple(WAYS))
    total = options.replicates * len(options.settings)
    with threadpool_limits(1), progress(total, total - len(todo)) as bar:
        for setting, replicate, ways in todo:
            new = records(SETTINGS[setting], replicate, ways)
            append(options.results, new)
            found.extend(new)
            bar.advance(bar.task_ids[0])
    sys.stdout.write(markdown(found, options.settings))
    if options.plot:
        draw(found, options.settings, options.plot)


if __name__ == "__main__":
    main()
