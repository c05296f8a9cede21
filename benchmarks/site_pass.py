"""
Claim: a site's pass costs about ten times ``X.T @ X`` of its moment functions.

The pass types and checks cells, evaluates 151 moment functions at K=5, sums them with
and without the response, and counts cells.  The peer has the same matrix of moment
functions in memory already and takes ``X.T @ X`` alone, at the speed of the BLAS: the
floor of any method that multiplies columns.

Run: ``python -m benchmarks.site_pass``.
"""

import time
from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmarks import gusto
from fedglmm_flower.glmm.evaluate import atom_rows, evaluate_monomials
from fedglmm_flower.glmm.table import typed_table
from fedglmm_flower.site import FrameSource
from fedglmm_flower.site.moments import summarise
from fedglmm_flower.study.release import moment_degrees

REPEATS = 5


def fastest(work: Callable[[], object]) -> float:
    """Least processor time of several goes."""
    seconds = []
    for _ in range(REPEATS):
        began = time.process_time()
        work()
        seconds.append(time.process_time() - began)
    return min(seconds)


def main() -> None:
    """Time both on all patients as one site, and print one ratio."""
    study, rows = gusto.load()
    model = study.model
    table = pd.concat(rows.values(), ignore_index=True)
    source = FrameSource(table)
    site = study.sites[0]
    ours = fastest(lambda: summarise(study, source, site=site))
    columns = [model.columns[name] for name in model.used_columns]
    typed = typed_table(table, columns, where="table", first_row=1)
    atoms = atom_rows(model, typed)
    functions = list(moment_degrees(model, study.order))
    X = np.ascontiguousarray(
        evaluate_monomials(atoms.values, functions, model.factors).T
    )
    peer = fastest(lambda: X.T @ X)
    print(f"{len(table)} rows, {X.shape[1]} moment functions, K={study.order}")
    print(f"site's pass from text cells: {ours:.3f} s")
    print(f"X.T @ X in memory:           {peer:.3f} s")
    print(f"ratio: {ours / peer:.2f}")


if __name__ == "__main__":
    main()
