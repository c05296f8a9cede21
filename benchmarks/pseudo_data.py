"""
Claim: pseudo-data are made a thousand times faster than by the authors' optimiser, and
as fast for a site of a million rows as for one of ten thousand.

Ours moves rows by Gauss-Newton in the space of constraints; the peer is
:mod:`benchmarks.authors`.  A site of 850 rows with 5, 7 and 10 model columns is
simulated: continuous columns, half of them skewed, 0/1 columns and a factor of three
levels, all dependent.  The peer makes its pseudo-data from plain moments of order four,
the only set it has, so that its time stands beside our plain K=4 and beside our default
set.  It is given two lists: that of its code (all products of the p columns to order
four, indicators and their powers included, from Sobol points of a wide cube), and an
easy one (the distinct functions only, the same that we release, from a table with exact
means and covariances).

Ours is timed whole, after one run that loads the tables of Sobol.  The peer's seconds
are an estimate: its iterations are counted on the full problem by a cheap form of the
same steps, at most 100 of the 700 that it allows itself, and multiplied by the seconds
of one, timed at full size, of whose Jacobian 20 columns are timed and scaled.

Run: ``python -m benchmarks.pseudo_data`` (two minutes; one thread: set
``OMP_NUM_THREADS=1``).
"""

import time
from itertools import combinations_with_replacement

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.authors import AuthorsOptimiser, Parts, Path
from fedglmm_flower.coordinator.pseudodata import PseudoRows, generate
from fedglmm_flower.coordinator.starts import Starts
from fedglmm_flower.coordinator.targets import Targets, targets_of
from fedglmm_flower.site import NO_DISCLOSURE_CONTROL, FrameSource, release
from fedglmm_flower.study import Column, Study
from fedglmm_flower.study.offers import best_offer, write_offer

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
ROWS = 850
GROWING = (850, 10_000, 1_000_000)
# Continuous and 0/1 columns; the factor is two more.
COLUMNS = {5: (2, 1), 7: (3, 2), 10: (5, 3)}
ORDER = 4
MOST = 100
REPEATS = 5
LEVELS = ("p", "q", "r")
STARTS = Starts.for_rows(1, 4096)


def simulate(p: int, rows: int) -> pd.DataFrame:
    """Dependent columns of every kind, with a response."""
    continuous, binary = COLUMNS[p]
    rng = np.random.default_rng([20261121, p])
    level = rng.choice(3, rows, p=[0.5, 0.3, 0.2])
    common = rng.normal(size=rows)
    table: dict[str, object] = {}
    for k in range(continuous):
        z = 0.4 * common + 0.3 * (level == k % 3) + rng.normal(size=rows)
        table[f"x{k}"] = z if k % 2 == 0 else np.exp(0.4 * z)
    for k in range(binary):
        chance = 1.0 / (1.0 + np.exp(0.8 - 0.2 * k - 0.5 * common))
        table[f"b{k}"] = (rng.random(rows) < chance).astype(float)
    table["f"] = np.array(LEVELS)[level]
    chance = 1.0 / (1.0 + np.exp(1.0 - 0.3 * common - 0.4 * (level == 1)))
    table["y"] = (rng.random(rows) < chance).astype(float)
    return pd.DataFrame(table)


def make_study(p: int, release_set: str = "canonical", order: int = ORDER) -> Study:
    """A logistic model of all columns."""
    continuous, binary = COLUMNS[p]
    columns = [Column(f"b{k}", "binary") for k in range(binary)]
    columns.append(Column("f", "categorical", LEVELS))
    columns += [Column(f"x{k}", "continuous") for k in range(continuous)]
    right = " + ".join(column.name for column in columns)
    return Study(
        name="speed of pseudo-data",
        formula=f"y ~ {right} + (1 | site)",
        family="binomial",
        link="logit",
        method="laplace",
        site_column="site",
        columns=(*columns, Column("y", "binary")),
        sites=("here",),
        release_set=release_set,
        order=order,
    )


def targets_at(study: Study, table: pd.DataFrame) -> Targets:
    """What the coordinator opens of the site."""
    answer = release(study, FrameSource(table), NO_DISCLOSURE_CONTROL, site="here")
    statistics = study.statistics(answer.order, answer.release_set)
    return targets_of(study.model, statistics, answer.clusters[0], "here")


def timed(study: Study, targets: Targets) -> tuple[float, PseudoRows]:
    """Median processor seconds after a first run, and what was made."""
    model = study.model
    made, seconds = generate(model, targets, STARTS), []
    for _ in range(REPEATS):
        began = time.process_time()
        made = generate(model, targets, STARTS)
        seconds.append(time.process_time() - began)
    return float(np.median(seconds)), made


def floats(study: Study, table: pd.DataFrame) -> tuple[FloatArray, list[int]]:
    """Columns as the peer sees them, and the first one of each atom."""
    columns: list[FloatArray] = []
    first = []
    for atom in study.model.atoms:
        first.append(len(columns))
        values = table[atom.name].to_numpy()
        if values.dtype == np.float64:
            columns.append(values)
        else:
            columns += [(values == level).astype(float) for level in atom.levels[1:]]
    return np.column_stack(columns), first


def distinct(study: Study, targets: Targets, first: list[int], p: int) -> IntArray:
    """Our moment functions as powers of the peer's columns."""
    factors = study.model.factors
    out = np.zeros((len(targets.moments), p), dtype=np.int64)
    for row, monomial in zip(out, targets.moments, strict=True):
        for at, e, factor in zip(first, monomial, factors, strict=True):
            if e and factor:
                row[at + e - 1] = 1
            elif e:
                row[at] = e
    return out[out.any(axis=1)]


def everything(p: int) -> IntArray:
    """All products of p columns to order four."""
    chosen = [
        combination
        for order in range(1, ORDER + 1)
        for combination in combinations_with_replacement(range(p), order)
    ]
    return np.array([np.bincount(c, minlength=p) for c in chosen])


def tell(name: str, moments: int, path: Path, parts: Parts) -> float:
    """Print a peer's line; its seconds."""
    total = parts.total(path)
    most = ", stopped there" if path.iterations == MOST else ""
    print(
        f"  {name}: {moments} moments, {path.iterations} iterations{most}, residual "
        f"{path.residual:.0e}; Jacobian {parts.jacobian:.1f} s, J'J "
        f"{parts.product:.1f} s, inverse {parts.inverse:.1f} s: {total:.0f} s"
    )
    return total


def compare(p: int) -> list[str]:
    """Rows of the table for one number of columns."""
    table = simulate(p, ROWS)
    plain = make_study(p)
    columns, first = floats(plain, table)
    targets = targets_at(plain, table)
    print(f"{p} columns, {ROWS} rows")
    letter = AuthorsOptimiser(columns, everything(p))
    slow_path = letter.path(letter.far_start(), MOST)
    slow = tell("peer, its list", len(letter.goal), slow_path, letter.parts())
    easy = AuthorsOptimiser(columns, distinct(plain, targets, first, p))
    fast_path = easy.path(easy.near_start(), MOST)
    fast = tell("peer, easy list", len(easy.goal), fast_path, easy.parts())
    lines = []
    for study in (plain, make_study(p, *best_offer(plain.model))):
        goal = targets_at(study, table)
        seconds, made = timed(study, goal)
        name = write_offer((study.release_set, study.order))
        numbers = len(study.statistics(study.order, study.release_set))
        lines.append(
            f"| {p} | {name} | {numbers} | {seconds:.3f} | {made.residual:.0e} "
            f"| {slow:.0f} | {slow_path.residual:.0e} | {slow / seconds:,.0f} "
            f"| {fast:.0f} | {fast_path.residual:.0e} | {fast / seconds:,.0f} |"
        )
    return lines


def grow(p: int) -> list[str]:
    """Rows of the table of sites of several sizes."""
    lines = []
    plain = make_study(p)
    for study in (plain, make_study(p, *best_offer(plain.model))):
        name = write_offer((study.release_set, study.order))
        for rows in GROWING:
            table = simulate(p, rows)
            began = time.process_time()
            goal = targets_at(study, table)
            its_pass = time.process_time() - began
            seconds, made = timed(study, goal)
            lines.append(
                f"| {p} | {name} | {rows:,} | {its_pass:.2f} | {len(made.weights)} "
                f"| {seconds:.3f} | {made.residual:.0e} |"
            )
    return lines


def main() -> None:
    """Print both tables."""
    compared = [line for p in COLUMNS for line in compare(p)]
    print(
        "\n| columns | set | numbers | ours, s | residual | peer, its list, s "
        "| residual | ratio | peer, easy list, s | residual | ratio |"
    )
    print("|---:|---|" + "---:|" * 9)
    print(*compared, sep="\n")
    print(
        "\n| columns | set | rows | site's pass, s | pseudo-rows | ours, s | residual |"
    )
    print("|---:|---|" + "---:|" * 5)
    print(*grow(7), sep="\n")


if __name__ == "__main__":
    main()
