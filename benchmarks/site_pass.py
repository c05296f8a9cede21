"""
Claim: a site sums ten million rows of a Parquet file within three times the time of
reading the file plus one ``X.T @ X``, and in less than 1 GB of memory.

The pass reads the file in batches, types and checks every cell, evaluates the moment
functions, sums them with and without the response, and watches counts, values and
largest records for the gate.  The peer reads the same columns of the same file, in
batches too, into one matrix ``X`` of the model columns and takes ``X.T @ X``: what
anybody must do who fits so much as a linear model.  Each runs in a process of its own,
whose peak memory is printed.

Run: ``python -m benchmarks.site_pass [--rows 10000000] [--columns 5] [--order 2 3]``.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fedglmm_flower.site.parquet import ParquetSource
from fedglmm_flower.site.summarise import summarise
from fedglmm_flower.study import Column, Study

WRITTEN_AT_ONCE = 1_000_000
READ_AT_ONCE = 65_536


def write_table(path: Path, rows: int, columns: int) -> None:
    """Measurements of one decimal, whole years and a 0/1 column, with a response."""
    rng = np.random.default_rng(20261121)
    writer: pq.ParquetWriter | None = None
    for start in range(0, rows, WRITTEN_AT_ONCE):
        n = min(WRITTEN_AT_ONCE, rows - start)
        table: dict[str, object] = {}
        for k in range(columns):
            if k % 3 == 0:
                table[f"x{k}"] = np.clip(rng.normal(0, 1, n), -5, 5)
            elif k % 3 == 1:
                table[f"x{k}"] = rng.integers(18, 90, n)
            else:
                table[f"x{k}"] = rng.integers(0, 2, n)
        table["y"] = rng.integers(0, 2, n)
        batch = pa.table(table)
        writer = writer or pq.ParquetWriter(path, batch.schema)
        writer.write_table(batch)
    if writer is not None:
        writer.close()


def make_study(columns: int, order: int) -> Study:
    """A logistic model of all columns."""
    declared = [Column("y", "binary")]
    for k in range(columns):
        if k % 3 == 2:
            declared.append(Column(f"x{k}", "binary"))
        elif k % 3 == 1:
            column = Column(f"x{k}", "continuous", (), "", 18.0, 90.0, 54.0, 20.0)
            declared.append(column)
        else:
            declared.append(Column(f"x{k}", "continuous", (), "", -5.0, 5.0))
    right = " + ".join(f"x{k}" for k in range(columns))
    return Study(
        name="site pass",
        formula=f"y ~ {right} + (1 | site)",
        family="binomial",
        link="logit",
        method="laplace",
        site_column="site",
        columns=tuple(sorted(declared, key=lambda c: c.name)),
        sites=("here",),
        release_set="canonical",
        order=order,
    )


def ours(path: Path, columns: int, order: int) -> None:
    """The pass of a site."""
    summarise(make_study(columns, order), ParquetSource(path), site="here")


def peer(path: Path, columns: int, _order: int) -> None:
    """The file into one matrix, and its products."""
    names = ["y", *(f"x{k}" for k in range(columns))]
    with pq.ParquetFile(path) as file:
        X = np.empty((file.metadata.num_rows, columns + 2))
        X[:, -1] = 1.0
        at = 0
        for batch in file.iter_batches(READ_AT_ONCE, columns=names):
            for j in range(columns + 1):
                X[at : at + batch.num_rows, j] = batch.column(j)
            at += batch.num_rows
    _ = X.T @ X


def read_alone(path: Path, columns: int, _order: int) -> None:
    """The file in batches, without any use of it."""
    names = ["y", *(f"x{k}" for k in range(columns))]
    with pq.ParquetFile(path) as file:
        for _ in file.iter_batches(READ_AT_ONCE, columns=names):
            pass


def measured(
    work: Callable[[Path, int, int], None], path: Path, columns: int, order: int
) -> tuple[float, float, float]:
    """Seconds of wall clock and of processor, and peak MB, in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_timed, (work, path, columns, order))


def _timed(
    work: Callable[[Path, int, int], None], path: Path, columns: int, order: int
) -> tuple[float, float, float]:
    began, processor = time.perf_counter(), time.process_time()
    work(path, columns, order)
    wall = time.perf_counter() - began
    used = time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Kilobytes, but bytes on macOS.
    return wall, used, peak / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    """Write the table, time both and print the ratio for each order."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--columns", type=int, default=5)
    parser.add_argument("--order", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--repeats", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.parquet")
        write_table(path, asked.rows, asked.columns)
        size = path.stat().st_size / 2**20
        print(f"{asked.rows} rows, {asked.columns} columns, {size:.0f} MB of Parquet")

        def best(
            work: Callable[[Path, int, int], None], order: int = 0
        ) -> tuple[float, float, float]:
            tries = [
                measured(work, path, asked.columns, order) for _ in range(asked.repeats)
            ]
            return min(tries, key=lambda seen: seen[1])

        print("                              wall s  processor s  peak MB")
        alone, floor = best(read_alone), best(peer)
        print("reading alone               {:8.2f}  {:11.2f}  {:7.0f}".format(*alone))
        print("reading and X.T @ X         {:8.2f}  {:11.2f}  {:7.0f}".format(*floor))
        for order in asked.order:
            seen = best(ours, order)
            count = len(make_study(asked.columns, order).statistics(order))
            label = f"site's pass, K={order} ({count} sums)"
            print("{:28s}{:8.2f}  {:11.2f}  {:7.0f}".format(label, *seen))
            print(
                f"ratio at K={order}: {seen[0] / floor[0]:.2f} of wall clock, "
                f"{seen[1] / floor[1]:.2f} of processor time"
            )


if __name__ == "__main__":
    main()
