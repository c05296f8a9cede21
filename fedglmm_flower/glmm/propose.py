"""Propose the columns of a study from a table that may be seen as a whole.

For a simulation, or for a first draft of ``study.toml``: levels, bounds, centre and
scale are read off the data.  In a consortium they are agreed upon beforehand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedglmm_flower.errors import DataError, StudyError
from fedglmm_flower.glmm.evaluate import evaluate_expression
from fedglmm_flower.glmm.table import (
    FloatArray,
    as_text,
    level_codes,
    missing_text,
    parse_numbers,
    refuse_dates,
    require_columns,
)
from fedglmm_flower.study.columns import Column
from fedglmm_flower.study.expression import Expression, is_column, parse_expression
from fedglmm_flower.study.formula import Formula
from fedglmm_flower.study.model import build_model
from fedglmm_flower.study.terms import (
    calculated_columns,
    factor_columns,
    used_columns,
)

# A column that mixes numbers and text and has more values than this is a numeric
# column with faulty cells rather than a factor.
_FACTOR_LEVELS = 20


@dataclass(frozen=True)
class Question:
    """
    The parts of a question that name columns.

    Parameters
    ----------
    formula : Formula
        Parsed formula.
    family, link : str
        Names.
    trials, offset, weights : str or None
        Expressions of columns.
    levels : mapping
        Declared levels of categorical columns.
    """

    formula: Formula
    family: str
    link: str
    trials: str | None
    offset: str | None
    weights: str | None
    levels: Mapping[str, Sequence[str]]


def propose_columns(
    question: Question, frame: pd.DataFrame, *, where: str = "table"
) -> tuple[tuple[Column, ...], tuple[tuple[str, float, float], ...]]:
    """
    Columns and scales of expressions, with the constants of a whole table.

    Parameters
    ----------
    question : Question
        What will be asked.
    frame : DataFrame
        All rows, as text or native values.
    where : str
        Name of the table in messages.

    Returns
    -------
    columns : tuple of Column
        Sorted by name.
    scales : tuple of (text, center, scale)
        For each atom that is no bare column.

    Raises
    ------
    DataError
        If a column is absent, constant, or mixes numbers with text.
    """
    calculated = _calculated(question)
    numeric = _numeric_names(question) | calculated
    factors = _factor_names(question)
    response = question.formula.response
    names = sorted({*numeric, *factors, *_free_names(question)})
    require_columns(frame.columns, names, where)
    unknown = sorted(set(question.levels) - set(map(str, frame.columns)))
    if unknown:
        require_columns(frame.columns, unknown, where)
    varying = {*factors, *_free_names(question), *response.columns}
    columns = []
    for name in names:
        at = f"{where}: column {name!r}"
        series = frame[name]
        refuse_dates(series, at)
        if name in question.levels:
            declared = Column(name, "categorical", tuple(question.levels[name]))
            level_codes(series, declared.levels, at)
            columns.append(declared)
            continue
        must = name in numeric and not (
            is_column(response)
            and name == response.columns[0]
            and question.family == "binomial"
        )
        # Ten trials in every row are a design; a constant predictor is a mistake.
        varies = name in varying
        column = _column(
            series, name, at, factor=name in factors, numeric=must, varies=varies
        )
        if column.kind == "binary" and name in calculated:
            column = _continuous(name, parse_numbers(series)[0], at, varies=varies)
        if name not in response.columns and name not in factors:
            _require_repetition(column, at, len(series))
        columns.append(column)
    return tuple(columns), _scales(question, columns, frame)


def _column(
    series: pd.Series, name: str, at: str, *, factor: bool, numeric: bool, varies: bool
) -> Column:
    numbers, wrong = parse_numbers(series)
    categorical = isinstance(series.dtype, pd.CategoricalDtype)
    if not wrong.any() and not factor and (numeric or not categorical):
        finite = numbers[~np.isnan(numbers)]
        if np.isinf(finite).any():
            raise DataError(
                f"{at}: {_cells(np.isinf(numbers))} an infinite number; finite numbers "
                "are required; correct the cells or leave them empty"
            )
        if len(finite) == 0:
            raise DataError(
                f"{at}: has no value; values are required; remove the column from the "
                "formula or fill it"
            )
        both = float(finite.min()) == 0.0 and float(finite.max()) == 1.0
        if both and bool(((finite == 0.0) | (finite == 1.0)).all()):
            return Column(name, "binary", low=0.0, high=1.0)
        return _continuous(name, numbers, at, varies=varies)
    text = as_text(series)  # of factors only: text of every number is slow to make
    present = text[~missing_text(text)]
    levels = sorted(present.unique().tolist())
    mixed = bool(wrong.any()) and bool((~wrong & ~np.isnan(numbers)).any())
    if numeric or (mixed and len(levels) > _FACTOR_LEVELS and not factor):
        raise DataError(
            f"{at}: {_cells(wrong)} text; a "
            "numeric column is required here; correct the cells (a missing value is an "
            "empty cell), or declare the column's levels"
        )
    if categorical:
        order = as_text(pd.Series(series.cat.categories)).tolist()
        levels = [level for level in order if level in set(levels)]
    elif factor and not wrong.any():
        by_number = dict(zip(text[~text.isna()], numbers[~text.isna()], strict=True))
        levels = sorted(levels, key=lambda level: by_number[level])
    if len(levels) < 2:
        raise DataError(
            f"{at}: is constant over all sites; a column must vary; remove it from the "
            "formula, or check the column if it is the response"
        )
    return Column(name, "categorical", tuple(levels))


def _require_repetition(column: Column, at: str, rows: int) -> None:
    """A text that hardly repeats is a name or a date of a row, and no factor."""
    count = len(column.levels)
    if count > _FACTOR_LEVELS and 2 * count > rows:
        raise DataError(
            f"{at}: holds {count} different texts in {rows} rows; the levels of a "
            "factor must repeat; leave an identifier out of the formula, write a date "
            "as a number, or declare the levels"
        )


def _cells(flags: npt.NDArray[np.bool_]) -> str:
    count, first = int(flags.sum()), int(np.argmax(flags)) + 1
    if count == 1:
        return f"the cell in row {first} holds"
    return f"{count} cells (the first in row {first}) hold"


def _continuous(name: str, numbers: FloatArray, at: str, *, varies: bool) -> Column:
    finite = numbers[~np.isnan(numbers)]
    low, high = float(finite.min()), float(finite.max())
    if low == high and not varies:
        return Column(name, "continuous", center=low)
    if low == high:
        raise DataError(
            f"{at}: is constant over all sites; a column must vary; remove it from the "
            "formula, or check the column if it is the response"
        )
    center, scale = _constants(finite, at)
    return Column(name, "continuous", low=low, high=high, center=center, scale=scale)


def _constants(values: FloatArray, at: str) -> tuple[float, float]:
    """Mean and standard deviation to four digits: constants, not estimates."""
    with np.errstate(over="ignore", invalid="ignore"):
        center = float(f"{np.mean(values):.4g}")
        scale = float(f"{np.std(values):.4g}")
    if not np.isfinite(center) or not np.isfinite(scale):
        raise DataError(
            f"{at}: holds numbers too large to be squared; numbers up to about 1e150 "
            "are required; use other units, or a logarithm"
        )
    return center, scale if scale > 0 else 1.0


def _scales(
    question: Question, columns: Sequence[Column], frame: pd.DataFrame
) -> tuple[tuple[str, float, float], ...]:
    model = build_model(
        question.formula,
        columns,
        family=question.family,
        link=question.link,
        trials=question.trials,
        offset=question.offset,
        weights=question.weights,
    )
    wanted: dict[str, Expression] = {
        atom.name: atom.expression
        for atom in model.atoms
        if atom.expression is not None and not is_column(atom.expression)
    }
    response = model.response.expression
    if question.family == "gaussian" and response and not is_column(response):
        wanted[response.text] = response
    scales = []
    for text, expression in sorted(wanted.items()):
        read = {n: parse_numbers(frame[n])[0] for n in expression.columns}
        values = evaluate_expression(expression, read)
        finite = values[np.isfinite(values)]
        if len(finite):
            scales.append((text, *_constants(finite, f"term {text!r}")))
    return tuple(scales)


def _expressions(question: Question) -> list[Expression]:
    formula = question.formula
    options = (question.trials, question.offset, question.weights)
    found = [parse_expression(text) for text in options if text is not None]
    found += [e for e in (formula.trials, formula.offset) if e is not None]
    return [*found, formula.response]


def _numeric_names(question: Question) -> set[str]:
    return {name for e in _expressions(question) for name in e.columns}


def _calculated(question: Question) -> set[str]:
    """Columns that are calculated with: numbers even where only 0 and 1 occur."""
    found = {name for e in _expressions(question)[:-1] for name in e.columns}
    for rhs in _rhs(question):
        found |= calculated_columns(rhs)
    return found


def _rhs(question: Question) -> list[str]:
    return [question.formula.fixed, *(part.terms for part in question.formula.random)]


def _factor_names(question: Question) -> set[str]:
    names: set[str] = set()
    for rhs in _rhs(question):
        names |= factor_columns(rhs)
    if names & _numeric_names(question):
        raise StudyError(
            f"formula: column {min(names)!r} is used as a number and as a factor;"
            " one of the two is required; add a copy of the column to the table"
        )
    return names


def _free_names(question: Question) -> set[str]:
    return {name for rhs in _rhs(question) for name in used_columns(rhs)}
