"""Values of a database's driver as the cells of a table."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from fedglmm_flower.errors import DataError
from fedglmm_flower.glmm.table import refuse_dates

if TYPE_CHECKING:
    import sqlalchemy as sa

_NUMBERS = {int, float, Decimal, bool}
_DATES = ("date", "time", "timetz", "timestamp", "timestamptz", "interval")


def cells_of(values: Sequence[object], at: str) -> pd.Series:
    """
    One column of a batch: NULL is missing, truth values count as 0 and 1.

    Law: a column has the numbers, levels and labels of the same column in a CSV or
    Parquet file.  ``numeric`` becomes the nearest float, as its text in a CSV does.

    Parameters
    ----------
    values : sequence
        As the driver gave them.
    at : str
        Source and column, for messages.

    Raises
    ------
    DataError
        If they are dates, or neither numbers, truth values nor text.  No message holds
        a value.
    """
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {str}:
        return pd.Series(values, dtype="string")
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean")
    if kinds == {int} and all(v is None or -(2**63) <= v < 2**63 for v in values):  # type: ignore[operator] # kinds says so
        return pd.Series(values, dtype="Int64")
    if kinds <= _NUMBERS:
        numbers = [np.nan if value is None else float(value) for value in values]  # type: ignore[arg-type] # kinds says so
        return pd.Series(numbers, dtype=np.float64)
    refuse_dates(pd.Series(values, dtype=object), at)
    raise DataError(
        f"{at}: is of a type that is neither a number, a truth value nor text; one of "
        "these is required; cast the column in the query"
    )


def record_cells(values: Sequence[object]) -> pd.Series:
    """
    One column of a batch, each cell for itself; missing if it is of another type.

    Examples
    --------
    >>> record_cells([7, "II", b"II", None]).tolist()
    [7, 'II', None, None]
    """
    known = (int, float, Decimal, str)
    return pd.Series(
        [v if isinstance(v, known) else None for v in values], dtype=object
    )


def take_any_cell(connection: "sa.Connection") -> None:
    """
    Have a driver give what it cannot hold as a cell, and not end in an error.

    SQLite checks no text, and PostgreSQL has dates beyond Python's calendar.
    """
    driver: Any = connection.connection.dbapi_connection
    if connection.dialect.name == "sqlite":
        driver.text_factory = _text
    elif connection.dialect.name == "postgresql":
        from psycopg.types.string import TextLoader  # noqa: PLC0415 - a site with files has none

        for kind in _DATES:
            driver.adapters.register_loader(kind, TextLoader)


def _text(raw: bytes) -> str | None:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return None
