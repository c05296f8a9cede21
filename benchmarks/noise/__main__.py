"""
Run what is missing, and print the table.

A run can be stopped at any time and taken up again: every record is one line of the
results file, and the settings take turns.

Run: ``python -m benchmarks.noise --replicates 200 --draws 0 --results noise.jsonl``.
"""

import argparse
import json
import time
from pathlib import Path

from threadpoolctl import threadpool_limits

from benchmarks.noise.one import Setting, record
from benchmarks.noise.table import markdown
from benchmarks.records import read

SETTINGS = (
    Setting(1000, 1.0, "public", 2),
    Setting(1000, 3.0, "public", 2),
    Setting(1000, 1.0, "public", 2, 0.3),
    Setting(1000, 3.0, "public", 2, 0.3),
    Setting(5000, 1.0, "public", 2),
    Setting(5000, 3.0, "public", 2),
    Setting(1000, 1.0, "canonical", 2),
    Setting(1000, 3.0, "canonical", 2),
    Setting(5000, 1.0, "canonical", 2),
    Setting(5000, 3.0, "canonical", 2),
)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--draws", type=int, default=0)
    parser.add_argument("--settings", default="", help="numbers, as 0,2; all if empty")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--results", type=Path, default=Path("noise.jsonl"))
    parser.add_argument(
        "--known", type=Path, nargs="*", default=[], help="records of earlier runs"
    )
    asked = parser.parse_args()
    records = [r for path in (*asked.known, asked.results) for r in read(path)]
    done = {(r["setting"], r["replicate"]) for r in records}
    chosen = [int(k) for k in asked.settings.split(",") if k] or range(len(SETTINGS))
    end = time.monotonic() + asked.seconds
    with threadpool_limits(1), asked.results.open("a", encoding="utf-8") as file:
        for replicate in range(asked.replicates):
            for setting in (SETTINGS[k] for k in chosen):
                if (setting.name, replicate) in done or time.monotonic() > end:
                    continue
                found = record(setting, replicate, asked.draws)
                records.append(found)
                file.write(json.dumps(found) + "\n")
                file.flush()
    print(markdown(records))


if __name__ == "__main__":
    main()
