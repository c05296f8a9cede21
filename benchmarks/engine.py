"""
Claim: the engine fits a Laplace logistic mixed model faster than lme4, to its numbers.

Both fit ``y ~ x1 + ... + x5 + (1 | g)`` (six columns with the intercept) to the same
simulated rows, 100 groups of 1,000 and 1,000 groups of 200.  lme4 runs in R on the
same machine, timed inside R around ``glmer`` alone.  Skipped where R or lme4 is absent.

Run: ``python -m benchmarks.engine``.
"""

import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from fedglmm_flower.glmm import fit

FORMULA = "y ~ x1 + x2 + x3 + x4 + x5 + (1 | g)"
SIZES = ((100, 1000), (1000, 200))
SCRIPT = """
args <- commandArgs(TRUE)
suppressMessages(library(lme4))
d <- read.csv(args[1]); d$g <- factor(d$g)
t <- system.time(f <- glmer(%s, d, binomial))
s <- coef(summary(f))
cat(sprintf("{\\"s\\": %%.6f, \\"fixed\\": [%%s], \\"se\\": [%%s]}\\n",
  t[["user.self"]] + t[["sys.self"]], paste(sprintf("%%.12g", s[, 1]), collapse = ","),
  paste(sprintf("%%.12g", s[, 2]), collapse = ",")))
"""


def has_lme4() -> bool:
    """Whether R with lme4 can be called."""
    if shutil.which("Rscript") is None:
        return False
    asked = ["Rscript", "-e", "library(lme4)"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


def rows(groups: int, each: int) -> pd.DataFrame:
    """A logistic model with five columns and group effects of sd 0.7."""
    rng = np.random.default_rng(groups)
    n = groups * each
    g = np.repeat(np.arange(groups), each)
    X = rng.normal(size=(n, 5))
    X[:, 4] = X[:, 4] > 0.5
    eta = -0.5 + X @ [0.5, -0.4, 0.3, 0.0, 0.6] + 0.7 * rng.normal(size=groups)[g]
    frame = pd.DataFrame(X, columns=[f"x{k}" for k in range(1, 6)])
    return frame.assign(g=g, y=(rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int))


def main() -> None:
    """Fit by both in one run, and print a ratio for each size."""
    peer = has_lme4()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "lme4.R"
        script.write_text(SCRIPT % FORMULA)
        for groups, each in SIZES:
            table = rows(groups, each)
            began = time.process_time()
            ours = fit(FORMULA, table, family="binomial")
            seconds = time.process_time() - began
            name = f"{groups} x {each}"
            if not peer:
                print(f"{name}: ours {seconds:.2f} s; R with lme4 is not installed")
                continue
            path = Path(folder) / "rows.csv"
            table.to_csv(path, index=False)
            out = subprocess.run(
                ["Rscript", str(script), str(path)],
                capture_output=True,
                check=True,
                text=True,
            ).stdout
            theirs = json.loads(out)
            se = np.array(theirs["se"])
            shift = np.abs(ours.estimates - theirs["fixed"]) / se
            spread = np.abs(ours.se / se - 1)
            print(
                f"{name}: ours {seconds:.2f} s, lme4 {theirs['s']:.2f} s, ratio "
                f"{theirs['s'] / seconds:.1f}; largest difference: estimates "
                f"{shift.max():.1e} SE, standard errors {spread.max():.1e} relative"
            )


if __name__ == "__main__":
    main()
