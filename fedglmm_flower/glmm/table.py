"""A table as typed columns: numbers, level codes, and which cells are missing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedglmm_flower.errors import DataError
from fedglmm_flower.study.columns import Column

FloatArray = npt.NDArray[np.float64]
# Above this, neighbouring whole numbers are one and the same float.
_LARGEST_WHOLE = 2.0**53
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TypedTable:
    """
    Columns of a table after every cell was checked against its declaration.

    Parameters
    ----------
    columns : mapping
        Name to values of shape (n,): numbers, or codes of levels; NaN is missing.
    n_rows : int
        Number of rows.
    """

    columns: Mapping[str, FloatArray]
    n_rows: int


def typed_table(
    frame: pd.DataFrame,
    columns: Sequence[Column],
    *,
    where: str = "table",
    first_row: int = 1,
) -> TypedTable:
    """
    Check a table against declared columns.

    Parameters
    ----------
    frame : DataFrame
        Text as read from a file, or native values.
    columns : sequence of Column
        The columns that are needed; all others are ignored.
    where : str
        Name of the table in messages.
    first_row : int
        Number of the first row in messages.

    Raises
    ------
    DataError
        If a column is absent, or a cell is text, infinite, out of bounds or of an
        undeclared level.  No message holds the value of a cell.
    """
    require_columns(frame.columns, [column.name for column in columns], where)
    values = {}
    for column in columns:
        at = f"{where}: column {column.name!r}"
        series = frame[column.name]
        refuse_dates(series, at)
        if column.kind == "categorical":
            values[column.name] = level_codes(series, column.levels, at, first_row)
        else:
            values[column.name] = _numbers(series, column, at, first_row)
    return TypedTable(values, len(frame))


def require_columns(found: Iterable[object], needed: Sequence[str], where: str) -> None:
    """
    Check that columns are there once each.

    Raises
    ------
    DataError
        If one is absent or stands twice.
    """
    names = [str(name) for name in found]
    absent = [name for name in needed if name not in names]
    if absent:
        seen = f"found {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}"
        if any(_is_number(name) for name in names):
            seen = f"the first of {len(names)} cells look like a row and not a header"
        elif not all(map(_is_readable, names)):
            seen = (
                "its header is no readable text, as in a file that is compressed, of "
                "another format, or not in UTF-8"
            )
        raise DataError(
            f"{where}: column {', '.join(map(repr, absent))} is missing; {seen}; add "
            "the column or correct its name"
        )
    for name in needed:
        if names.count(name) > 1:
            raise DataError(
                f"{where}: column {name!r} stands {names.count(name)} times; every "
                "column may stand once; rename or remove one"
            )


def _is_readable(name: str) -> bool:
    """Whether a name can be shown: bytes that are no text may steer a terminal."""
    mark = "\N{REPLACEMENT CHARACTER}"
    return name.replace("\t", "").isprintable() and mark not in name


def refuse_dates(series: pd.Series, at: str) -> None:
    """
    Refuse a column of native dates, times or durations.

    Raises
    ------
    DataError
        If it is one: a date is neither a number nor a level.
    """
    kind = series.dtype.kind if isinstance(series.dtype, np.dtype) else ""
    zoned = isinstance(series.dtype, pd.DatetimeTZDtype | pd.PeriodDtype)
    if kind == "O":
        kinds = ("date", "datetime", "time", "timedelta", "period")
        zoned = pd.api.types.infer_dtype(series, skipna=True) in kinds
    if kind in ("M", "m") or zoned:
        raise DataError(
            f"{at}: holds dates or times; numbers or levels are required; write a date "
            "as a number, such as days since the first"
        )


def parse_numbers(series: pd.Series) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    """
    Numbers of a column, and which cells are text that is no number.

    Empty cells, ``NaN`` and None are missing.
    """
    if pd.api.types.is_bool_dtype(series.dtype):
        return series.to_numpy(dtype=np.float64, na_value=np.nan), _none(series)
    if pd.api.types.is_any_real_numeric_dtype(series.dtype):
        return series.to_numpy(dtype=np.float64, na_value=np.nan), _none(series)
    text = as_text(series)
    missing = text.isna() | text.str.fullmatch(r"(?i)\s*(nan)?\s*").fillna(value=True)
    values = pd.to_numeric(text.where(~missing), errors="coerce")
    numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
    wrong = np.isnan(numbers) & ~missing.to_numpy(dtype=bool)
    return numbers, wrong


def as_text(series: pd.Series) -> pd.Series:
    """Cells as text: 1.0 in a column of whole numbers is ``1``; missing stays so."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        names = as_text(pd.Series(series.cat.categories))
        # The code of a missing value is -1, which no category has.
        return names.reindex(series.cat.codes).set_axis(series.index)
    if pd.api.types.is_float_dtype(series.dtype):
        present = series.dropna()
        whole = (present == np.floor(present)) & (present.abs() < _LARGEST_WHOLE)
        if len(present) and bool(whole.all()):
            series = series.astype("Int64")
    if _equal_as_text(series):
        # Clusters repeat: each level is turned into text once, not once a row.
        codes, values = pd.factorize(series)
        names = pd.Series(values).astype("string")
        return names.reindex(codes).set_axis(series.index)
    return series.astype("string")


def _equal_as_text(series: pd.Series) -> bool:
    """Whether equal cells have equal text, unlike 1 and 1.0 in a column of objects."""
    dtype = series.dtype
    if pd.api.types.is_integer_dtype(dtype):
        return True
    return pd.api.types.infer_dtype(series, skipna=True) == "string"


def as_labels(series: pd.Series) -> pd.Categorical:
    """Cells of an undeclared grouping column as text; a missing one has no level."""
    if _equal_as_text(series):
        codes, values = pd.factorize(series)
        names = pd.Series(values).astype("string")
    else:
        codes, values = pd.factorize(as_text(series))
        names = pd.Series(values)
    labels = pd.Categorical.from_codes(codes, categories=pd.Index(names.astype(object)))
    absent = names[missing_text(names).to_numpy(dtype=bool)]
    return labels.remove_categories(absent.tolist())


def missing_text(text: pd.Series) -> pd.Series:
    """Which cells of an undeclared text column are missing: empty or ``NaN``."""
    return text.isna() | (text == "") | (text == "NaN")


def level_codes(
    series: pd.Series, levels: Sequence[str], at: str, first_row: int = 1
) -> FloatArray:
    """
    Codes of declared levels, NaN where missing.

    Raises
    ------
    DataError
        If a cell holds an undeclared level.
    """
    positions = None
    if isinstance(series.dtype, pd.CategoricalDtype):
        positions, series = (
            series.cat.codes.to_numpy(),
            pd.Series(series.cat.categories),
        )
    elif _equal_as_text(series):
        # Levels repeat: each is looked up once, not once a row.
        positions, values = pd.factorize(series)
        series = pd.Series(values)
    text = as_text(series)
    codes = pd.Index(list(levels)).get_indexer(pd.Index(text.fillna("").astype(object)))
    out = codes.astype(np.float64)
    out[codes < 0] = np.nan
    # A declared level is text and never missing, even one spelled "" or "NaN".
    unknown = (codes < 0) & ~missing_text(text).to_numpy(dtype=bool)
    out[text.isna().to_numpy(dtype=bool)] = np.nan
    if positions is not None:
        # The position of a missing cell is -1: the last of what is appended.
        out = np.append(out, np.nan)[positions]
        unknown = np.append(unknown, False)[positions]
    if unknown.any():
        raise DataError(
            f"{at}: {_rows(unknown, first_row)} no declared level; declared are "
            f"{', '.join(map(repr, levels[:20]))}{', ...' if len(levels) > 20 else ''}"
            "; correct the cells or declare the level"
        )
    return out


def _numbers(series: pd.Series, column: Column, at: str, first_row: int) -> FloatArray:
    numbers, wrong = parse_numbers(series)
    if wrong.any():
        raise DataError(
            f"{at}: {_rows(wrong, first_row)} text that is no number; the column is "
            f"declared {column.kind}; correct the cells (a missing value is an empty "
            "cell) or declare the column categorical"
        )
    infinite = np.isinf(numbers)
    if infinite.any():
        raise DataError(
            f"{at}: {_rows(infinite, first_row)} an infinite number; finite numbers "
            "are required; correct the cells or leave them empty"
        )
    if column.kind == "binary":
        outside = ~np.isnan(numbers) & (numbers != 0) & (numbers != 1)
        allowed = "0 and 1"
    else:
        low = -np.inf if column.low is None else column.low
        high = np.inf if column.high is None else column.high
        outside = (numbers < low) | (numbers > high)
        allowed = f"the declared bounds [{low:g}, {high:g}]"
    if outside.any():
        raise DataError(
            f"{at}: {_rows(outside, first_row)} a number outside {allowed}; correct "
            "the cells, leave them empty, or widen the bounds in the study"
        )
    return numbers


def _rows(flags: npt.NDArray[np.bool_], first_row: int) -> str:
    count, first = int(flags.sum()), int(np.argmax(flags)) + first_row
    if count == 1:
        return f"row {first} holds"
    return f"{count} rows (the first is row {first}) hold"


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _none(series: pd.Series) -> npt.NDArray[np.bool_]:
    return np.zeros(len(series), dtype=bool)
