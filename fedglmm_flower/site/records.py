"""Records of a table as noise needs them: each on its own, none that raises an error.

Elsewhere a cell that contradicts the study ends the work with an error.  Under
differential privacy an error that depends on a cell would itself tell of it, so that
here a cell that cannot be used is a missing one, and a number beyond its declared
bounds is moved to the bound.

Law: what a record becomes depends on its own cells alone, to the last bit.  Therefore
no type is inferred from a column, and functions whose vectorised forms may round by
position are applied to one value at a time.
"""

import math
from collections.abc import Callable, Mapping
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedglmm_flower.glmm.evaluate import AtomRows, evaluate_expression
from fedglmm_flower.study.atoms import Atom
from fedglmm_flower.study.columns import Column
from fedglmm_flower.study.expression import Expression, is_column
from fedglmm_flower.study.model import Model

FloatArray = npt.NDArray[np.float64]
# As for tables without noise: its exponential is still far from the largest float.
_MOST_OFFSET = 300.0


def bounded_cells(model: Model, frame: pd.DataFrame) -> dict[str, FloatArray]:
    """The used columns of a table; see :func:`column_cells`."""
    return {
        name: column_cells(frame[name], model.columns[name])
        for name in model.used_columns
    }


def bounded_rows(
    model: Model, cells: Mapping[str, FloatArray], n: int
) -> tuple[AtomRows, FloatArray]:
    """
    Every row of a table in terms of a model, usable or not.

    Parameters
    ----------
    model : Model
        The question; its columns have bounds.
    cells : mapping
        What :func:`bounded_cells` made of a batch.
    n : int
        Rows of the batch.

    Returns
    -------
    rows : AtomRows
        All rows; zeros in those that are not usable, ``kept`` says which are.
    counted : array of shape (n,)
        1 for a usable row and 0 for another.
    """
    good = np.ones(n, dtype=bool)
    for column in cells.values():
        good &= ~np.isnan(column)
    values = np.empty((n, len(model.atoms)))
    for at, atom in enumerate(model.atoms):
        values[:, at] = _atom(atom, cells, n)
    response = model.response
    y = (
        cells[response.column]
        if response.column is not None
        else _values(response.expression, cells, n, 0.0)
    )
    trials = _values(model.trials, cells, n, 1.0)
    offset = _values(model.offset, cells, n, 0.0)
    weights = _values(model.weights, cells, n, 1.0)
    good &= np.isfinite(values).all(axis=1) & (weights > 0)
    for part in (y, trials, offset, weights):
        good &= np.isfinite(part)
    good &= _in_range(model, y, trials, offset)
    rows = AtomRows(
        values=np.where(good[:, None], values, 0.0),
        response=np.where(good, y, 1.0),
        trials=np.where(good, trials, 1.0),
        offset=np.where(good, offset, 0.0),
        weights=np.where(good, weights, 0.0),
        kept=good,
        n_missing=0,
    )
    return rows, good.astype(np.float64)


def column_cells(series: pd.Series, column: Column) -> FloatArray:
    """
    Numbers moved into their bounds, or codes of declared levels; else NaN.

    Parameters
    ----------
    series : Series
        Cells of any type.
    column : Column
        What they should be.
    """
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(object)
    cells = series.to_list()
    if column.kind == "categorical":
        codes: dict[str | None, float] = {
            level: float(code) for code, level in enumerate(column.levels)
        }
        found = (codes.get(label_of(cell), math.nan) for cell in cells)
        return np.fromiter(found, dtype=np.float64, count=len(cells))
    numbers = np.fromiter(map(_number, cells), dtype=np.float64, count=len(cells))
    if column.kind == "binary":
        return np.where((numbers == 0) | (numbers == 1), numbers + 0.0, np.nan)
    low = -np.inf if column.low is None else column.low
    high = np.inf if column.high is None else column.high
    return np.clip(numbers, low, high)


def label_of(cell: object) -> str | None:
    """Text of one cell, None where it is missing; 1.0 and 1 are both ``1``."""
    if cell is None or cell is pd.NA:
        return None
    if isinstance(cell, float | np.floating):
        number = float(cell)
        if math.isnan(number):
            return None
        return str(int(number)) if number.is_integer() else str(number)
    return str(cell)


def alone(function: Callable[[FloatArray], FloatArray], x: FloatArray) -> FloatArray:
    """Values of a function, each computed by itself."""
    out = np.empty(len(x))
    for i in range(len(x)):
        out[i] = function(x[i : i + 1].copy())[0]
    return out


def _number(cell: object) -> float:
    """A finite number, or NaN."""
    if isinstance(cell, str):
        if "_" in cell:
            return math.nan
        try:
            value = float(cell)
        except ValueError:
            return math.nan
    elif isinstance(cell, int | float | Decimal | np.number | np.bool_):
        try:
            value = float(cell)
        except (OverflowError, TypeError, ValueError):
            return math.nan
    else:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _atom(atom: Atom, cells: Mapping[str, FloatArray], n: int) -> FloatArray:
    if atom.is_factor:
        return cells[atom.name]
    with np.errstate(all="ignore"):
        value = _values(atom.expression, cells, n, 0.0)
        return np.asarray((value - atom.center) / atom.scale)


def _values(
    expression: Expression | None,
    cells: Mapping[str, FloatArray],
    n: int,
    default: float,
) -> FloatArray:
    if expression is None:
        return np.full(n, default)
    if is_column(expression):
        return cells[expression.columns[0]]
    names = expression.columns
    out = np.empty(n)
    for i in range(n):
        one = {name: cells[name][i : i + 1].copy() for name in names}
        out[i] = np.broadcast_to(evaluate_expression(expression, one), (1,))[0]
    return out


def _in_range(
    model: Model, y: FloatArray, trials: FloatArray, offset: FloatArray
) -> npt.NDArray[np.bool_]:
    """Rows whose response is one of the family."""
    good = np.abs(offset) <= _MOST_OFFSET
    if model.family == "gaussian":
        return np.ones(len(y), dtype=bool)
    if model.family == "gamma":
        return np.asarray(good & (y > 0))
    good &= (y >= 0) & (y == np.floor(y))
    if model.family == "binomial":
        good &= (y <= trials) & (trials == np.floor(trials))
    return np.asarray(good)
