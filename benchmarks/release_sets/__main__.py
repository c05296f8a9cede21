"""
Measure every set on every case, write the records, and draw the plot.

Run: ``python -m benchmarks.release_sets --results release-sets.jsonl --plot
docs/release-sets.svg``.  What stands in the results file is not measured again.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from benchmarks.records import read
from benchmarks.release_sets.cases import NAMES, case
from benchmarks.release_sets.fitting import drawn, shift_of
from benchmarks.release_sets.principles import PRINCIPLES, by_principle
from benchmarks.release_sets.submodels import QUESTIONS, from_one_release
from benchmarks.release_sets.table import markdown
from benchmarks.release_sets.variants import VARIANTS
from fedglmm_flower.errors import FedglmmError

Record = dict[str, Any]
# With more numbers than this a site of a thousand rows tells too much of each.
MOST = 320
# Draws of pseudo-data, fewer where rows are many; chance is less than a tenth.
DRAWS_ROWS = 20_000


def measure(name: str, kind: str, label: str) -> Record:
    """One record; what cannot be had says why."""
    began = time.process_time()
    record: Record = {"case": name, "kind": kind, "label": label}
    try:
        record |= _measured(name, kind, label)
    except FedglmmError as error:
        record["failed"] = str(error)
    return {**record, "seconds": round(time.process_time() - began, 2)}


def _measured(name: str, kind: str, label: str) -> Record:
    if kind == "later model":
        return from_one_release(name, label)
    one = _cached(name)
    if kind == "principle":
        shift, missed = by_principle(one, 3, label)
        return {**vars(shift), "missed": missed}
    asked = VARIANTS[label](one)
    if asked.statistics > MOST:
        return {"statistics": asked.statistics, "failed": f"more than {MOST} numbers"}
    rows = sum(t.n_rows for t in asked.targets.values())
    draws = 1 if rows > DRAWS_ROWS else 2
    shift = shift_of(one, asked.targets, drawn(one, asked.targets, draws))
    return {"statistics": asked.statistics, **vars(shift)}


_CASES: dict[str, Any] = {}


def _cached(name: str) -> Any:
    if name not in _CASES:
        _CASES.clear()
        _CASES[name] = case(name)
    return _CASES[name]


def main() -> None:
    """Measure what is missing, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.release_sets")
    parser.add_argument("--results", type=Path, default=Path("release-sets.jsonl"))
    parser.add_argument("--cases", nargs="+", default=list(NAMES))
    parser.add_argument("--sets", nargs="+", default=list(VARIANTS))
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--print-only", action="store_true")
    options = parser.parse_args()
    found = read(options.results)
    have = {(r["case"], r["kind"], r["label"]) for r in found}
    wanted = [(c, "set", s) for c in options.cases for s in options.sets]
    wanted += [(c, "principle", p) for c in options.cases for p in PRINCIPLES]
    wanted += [
        (c, "later model", q) for c in options.cases for q in QUESTIONS.get(c, ())
    ]
    with threadpool_limits(1):
        for key in wanted:
            if key in have or options.print_only:
                continue
            record = measure(*key)
            found.append(record)
            with options.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
    place = {key: i for i, key in enumerate(wanted)}
    found = [r for r in found if (r["case"], r["kind"], r["label"]) in place]
    found.sort(key=lambda r: place[r["case"], r["kind"], r["label"]])
    sys.stdout.write(markdown(found))
    if options.plot is not None:
        from benchmarks.release_sets.plot import draw

        draw(found, options.plot)


if __name__ == "__main__":
    main()
