"""
Poisson with exposure: falls of inpatients, in twelve simulated hospitals.

    python -m examples.exposure.falls FOLDER

Writes ``falls.csv``, the run and its report into the folder. The data are simulated;
the rate ratios that made them are 1.35 for ten years of age and 1.6 for a sedative.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from fedglmm_flower import Result, simulate

FORMULA = "falls ~ age10 + sedative + offset(log(days)) + (1 | hospital)"
TRUTH = {"age10": float(np.log(1.35)), "sedative": float(np.log(1.6))}


def table(patients: int = 400, seed: int = 11) -> pd.DataFrame:
    """Patients of twelve hospitals: falls in the days of their stay."""
    rng = np.random.default_rng(seed)
    hospital = np.repeat([f"h{k:02d}" for k in range(1, 13)], patients)
    n = len(hospital)
    age10 = np.clip(rng.normal(7.0, 1.1, n), 4.0, 10.0).round(2)
    sedative = rng.integers(0, 2, n)
    days = rng.integers(1, 30, n)
    shift = np.repeat(rng.normal(0.0, 0.3, 12), patients)
    eta = -5.5 + TRUTH["age10"] * (age10 - 7) + TRUTH["sedative"] * sedative + shift
    return pd.DataFrame(
        {
            "hospital": hospital,
            "age10": age10,
            "sedative": sedative,
            "days": days,
            "falls": rng.poisson(days * np.exp(eta)),
        }
    )


def run(folder: Path) -> Result:
    """One round over the twelve hospitals, with its report."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = folder / "falls.csv"
    table().to_csv(rows, index=False)
    result = simulate(
        rows,
        FORMULA,
        "poisson",
        compare_pooled=True,
        out=folder / "run",
        overwrite=True,
    )
    (folder / "report.html").write_text(result.report(), encoding="utf-8")
    return result


if __name__ == "__main__":
    where = Path(sys.argv[1] if len(sys.argv) > 1 else "falls-output")
    print(run(where).summary())
    print(where / "report.html")
