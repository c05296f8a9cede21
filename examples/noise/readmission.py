"""
Differential privacy: readmission to ten simulated hospitals, with noise at each site.

    python -m examples.noise.readmission FOLDER

Writes ``readmission.csv``, the run and its report into the folder. Every hospital adds
noise of epsilon 1 to its sums, and the intervals hold it. The data are simulated; the
odds ratios that made them are 1.5 for ten years of age and 1.8 for an emergency. The
anchor in ``study.toml`` stands for published estimates, which are somewhat off.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from fedglmm_flower import Privacy, Result, simulate

STUDY = Path(__file__).with_name("study.toml")
TRUTH = {"age10": float(np.log(1.5)), "emergency[T.yes]": float(np.log(1.8))}
PRIVACY = Privacy(
    dataset="admissions-2025",
    epsilon=1.0,
    delta=1e-6,
    budget_epsilon=3.0,
    relation="zero_out",
)


def table(patients: int = 1500, seed: int = 13) -> pd.DataFrame:
    """Admissions to ten hospitals, and whether the patient came back."""
    rng = np.random.default_rng(seed)
    hospital = np.repeat([f"h{k:02d}" for k in range(1, 11)], patients)
    n = len(hospital)
    age10 = np.clip(rng.normal(6.5, 1.2, n), 3.0, 10.0).round(2)
    emergency = rng.integers(0, 2, n)
    shift = np.repeat(rng.normal(0.0, 0.3, 10), patients)
    eta = -1.5 + TRUTH["age10"] * (age10 - 6.5) + shift
    eta += TRUTH["emergency[T.yes]"] * emergency
    return pd.DataFrame(
        {
            "hospital": hospital,
            "age10": age10,
            "emergency": np.where(emergency == 1, "yes", "no"),
            "readmitted": rng.binomial(1, 1 / (1 + np.exp(-eta))),
        }
    )


def run(folder: Path) -> Result:
    """One round over the ten hospitals under noise, with its report."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = folder / "readmission.csv"
    table().to_csv(rows, index=False)
    result = simulate(
        rows,
        study=STUDY,
        privacy=PRIVACY,
        compare_pooled=True,
        out=folder / "run",
        overwrite=True,
    )
    (folder / "report.html").write_text(result.report(), encoding="utf-8")
    return result


if __name__ == "__main__":
    where = Path(sys.argv[1] if len(sys.argv) > 1 else "readmission-output")
    print(run(where).summary())
    print(where / "report.html")
