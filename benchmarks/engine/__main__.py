"""Run the engines in turns, and print the table of medians."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.engine.designs import DESIGNS, Design
from benchmarks.engine.one import ENGINES
from benchmarks.engine.table import markdown

RSCRIPT = Path(__file__).with_name("lme4.R")
Record = dict[str, Any]


def has_lme4() -> bool:
    """Whether R with lme4 can be called."""
    if shutil.which("Rscript") is None:
        return False
    asked = ["Rscript", "-e", "library(lme4)"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def fitted(engine: str, design: Design, path: Path) -> Record:
    """What one engine answers, from a process of its own."""
    question = [str(path), design.formula, design.family, design.method]
    if engine == "lme4":
        command = ["Rscript", str(RSCRIPT), *question]
    else:
        command = [sys.executable, "-m", "benchmarks.engine.one", engine, *question]
    single = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL")}
    done = subprocess.run(
        command,
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, **single},
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it failed without a word"]
        return {"skipped": said[-1]}
    found: Record = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def main() -> None:
    """Take turns, write each result as it comes, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine")
    parser.add_argument("--results", type=Path, default=Path("engine-speed.jsonl"))
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--engines", nargs="+", default=["lme4", *ENGINES])
    options = parser.parse_args()
    engines = list(options.engines)
    if "lme4" in engines and not has_lme4():
        print("lme4: R with lme4 is not installed; skipped")
        engines.remove("lme4")
    records: list[Record] = []
    if options.results.exists():
        lines = options.results.read_text(encoding="utf-8").splitlines()
        records = [json.loads(line) for line in lines]
    done = {(r["design"], r["engine"], r["turn"]) for r in records}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        for turn in range(options.turns):
            for design in DESIGNS:
                wanted = [e for e in engines if (design.name, e, turn) not in done]
                if wanted:
                    design.rows().to_csv(path, index=False)
                for engine in wanted:
                    key = {"design": design.name, "engine": engine, "turn": turn}
                    record = {**key, **fitted(engine, design, path)}
                    records.append(record)
                    with options.results.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(record) + "\n")
                    said = record.get("skipped") or f"{record['seconds']:.3f} s"
                    print(f"{design.name}: {engine}: {said}", file=sys.stderr)
    print(markdown(records))


if __name__ == "__main__":
    main()
