"""
Gaussian with slopes: recovery after surgery, in fifteen simulated hospitals.

    python -m examples.slopes.recovery FOLDER

Writes ``recovery.csv``, the run and its report into the folder. The data are simulated:
a day adds 2 points to the score on average, with a standard deviation of 0.6 between
hospitals. The fit from sums is that of the pooled rows, to rounding.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from fedglmm_flower import Result, simulate

FORMULA = "score ~ day + age10 + (1 + day | hospital)"
TRUTH = {"day": 2.0, "age10": -1.5}


def table(patients: int = 200, seed: int = 12) -> pd.DataFrame:
    """Patients of fifteen hospitals, seen once, on some day after surgery."""
    rng = np.random.default_rng(seed)
    hospital = np.repeat([f"h{k:02d}" for k in range(1, 16)], patients)
    n = len(hospital)
    day = rng.integers(0, 15, n)
    age10 = np.clip(rng.normal(6.5, 1.2, n), 3.0, 10.0).round(2)
    level = np.repeat(rng.normal(0.0, 4.0, 15), patients)
    slope = np.repeat(rng.normal(0.0, 0.6, 15), patients)
    mean = 40 + (TRUTH["day"] + slope) * day + TRUTH["age10"] * (age10 - 6.5) + level
    score = (mean + rng.normal(0.0, 8.0, n)).round(1)
    return pd.DataFrame(
        {"hospital": hospital, "day": day, "age10": age10, "score": score}
    )


def run(folder: Path) -> Result:
    """One round over the fifteen hospitals, with its report."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = folder / "recovery.csv"
    table().to_csv(rows, index=False)
    result = simulate(
        rows,
        FORMULA,
        "gaussian",
        compare_pooled=True,
        out=folder / "run",
        overwrite=True,
    )
    (folder / "report.html").write_text(result.report(), encoding="utf-8")
    return result


if __name__ == "__main__":
    where = Path(sys.argv[1] if len(sys.argv) > 1 else "recovery-output")
    print(run(where).summary())
    print(where / "report.html")
