"""What single records contribute to sums: facts for the gate."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fedglmm_flower.glmm.evaluate import AtomRows, evaluate_expression
from fedglmm_flower.study.model import Model

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Dominance:
    """
    The sum of ``|x|`` of a column, its two largest contributions, and of squares.

    A contribution is that of a row, or of all rows of a unit.
    """

    total: float
    largest: float
    second: float
    squares: float = 0.0

    @property
    def rows(self) -> float:
        """How many equal contributions are spread as widely (Kish 1965)."""
        if not 0 < self.squares < np.inf:
            return 0.0  # what overflows is spread over nobody
        return self.total * (self.total / self.squares)


def watched_columns(
    model: Model, columns: Mapping[str, FloatArray], rows: AtomRows
) -> dict[str, FloatArray]:
    """Single columns at their raw scale, and what is computed of them."""
    watched = {
        name: columns[name]
        for name in model.used_columns
        if model.columns[name].kind == "continuous"
    }
    for atom in model.atoms:
        if atom.expression is not None and atom.name not in columns:
            watched[atom.name] = evaluate_expression(atom.expression, columns)
    if model.response.expression is not None and model.response.name not in columns:
        watched[f"response {model.response.name}"] = rows.response
    for what, expression, values in (
        ("weights", model.weights, rows.weights),
        ("trials", model.trials, rows.trials),
        ("offset", model.offset, rows.offset),
    ):
        if expression is not None:
            watched[f"{what} {expression.text}"] = values
    return watched


def valued_columns(model: Model, watched: Mapping[str, FloatArray]) -> list[str]:
    """
    Columns whose single values a release may determine.

    A count of events enters to the first power only; its cells are judged by rows.
    Not so where its logarithms or gamma functions are summed as well.
    """
    counts: set[str] = set()
    if (
        model.family in ("binomial", "poisson")
        and model.response.expression is not None
    ):
        counts.update(model.response.expression.columns)
        counts.add(f"response {model.response.name}")
        for atom in model.atoms:
            counts.difference_update({atom.name})
    return [name for name in watched if name not in counts]


def update_dominance(
    known: dict[str, Dominance],
    columns: Mapping[str, FloatArray] | Iterator[tuple[str, FloatArray]],
) -> None:
    """Add a batch."""
    pairs = columns.items() if isinstance(columns, Mapping) else columns
    for name, column in pairs:
        size = np.abs(column)
        total = float(size.sum())
        with np.errstate(over="ignore", under="ignore"):
            squares = float(size @ size)
        old = known.get(name, Dominance(0.0, 0.0, 0.0))
        both = [old.largest, old.second]
        for _ in range(min(2, len(size))):
            at = int(size.argmax())
            both.append(float(size[at]))
            size[at] = -1.0
        both = sorted(both)[-2:]
        known[name] = Dominance(
            old.total + total, both[1], both[0], old.squares + squares
        )


@dataclass
class Contributions:
    """
    Contributions to sums in the making: by row, or by unit where rows have units.

    Memory is that of the names, or of names by units.  Does not leave the site.
    """

    by_row: dict[str, Dominance] = field(default_factory=dict)
    by_unit: dict[str, tuple[IntArray, FloatArray]] = field(default_factory=dict)

    def add(
        self,
        columns: Mapping[str, FloatArray] | Iterator[tuple[str, FloatArray]],
        units: IntArray | None,
    ) -> None:
        """Add a batch of rows."""
        if units is None:
            update_dominance(self.by_row, columns)
            return
        pairs = columns.items() if isinstance(columns, Mapping) else columns
        none: IntArray = np.zeros(0, dtype=np.int64)
        for name, column in pairs:
            ids, totals = self.by_unit.get(name, (none, np.zeros(0)))
            every = np.concatenate([ids, units])
            sizes = np.concatenate([totals, np.abs(column)])
            ids, at = np.unique(every, return_inverse=True)
            totals = np.bincount(at, sizes, len(ids)).astype(np.float64)
            self.by_unit[name] = ids, totals

    def found(self) -> dict[str, Dominance]:
        """What all rows so far come to."""
        out = dict(self.by_row)
        update_dominance(
            out, {name: totals for name, (_, totals) in self.by_unit.items()}
        )
        return out
