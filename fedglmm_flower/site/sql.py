"""A site's rows from a database, streamed in batches of one consistent reading."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import pandas as pd

from fedglmm_flower.errors import DataError
from fedglmm_flower.glmm.table import require_columns
from fedglmm_flower.site.database import Database
from fedglmm_flower.site.sql_cells import cells_of, record_cells, take_any_cell
from fedglmm_flower.site.sql_errors import data_free

if TYPE_CHECKING:
    import sqlalchemy as sa

_ROWS_AT_ONCE = 8192
_BEGINS = re.compile(
    r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*(?:select|with)\b", re.IGNORECASE | re.DOTALL
)
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class SqlSource:
    """
    The rows of a query; only the columns that are needed leave the database.

    Each call of :meth:`batches` is one read-only transaction, in which all rows are of
    one moment.  Rows come in the order of the database, which need not be the same
    twice: sums then differ by rounding, and the snapshot does not.

    Parameters
    ----------
    database : Database
        Where it is.
    query : str
        One SELECT; see :func:`require_query`.
    label : str
        Name of the query or table for local messages.
    """

    database: Database
    query: str
    label: str = "query"

    @property
    def name(self) -> str:
        """What is read, and of which database."""
        return f"{self.label} of {self.database.name}"

    @property
    def _query(self) -> str:
        return self.query.strip().removesuffix(";")

    def header(self) -> list[str]:
        """
        Names of the columns.

        Raises
        ------
        DataError
            If the database or the query fails.
        """
        with self.database.reading() as connection:
            return self._header(connection, _Clock(self.database.seconds, self.name))

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
        """See :class:`~fedglmm_flower.site.source.TableSource`."""
        for found in self._read(columns, rows):
            yield _frame(
                columns, found, lambda cells, at: cells_of(cells, f"{self.name}: {at}")
            )

    def records(self, columns: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
        """See :class:`~fedglmm_flower.site.source.RecordSource`."""
        for found in self._read(columns, rows, prepare=take_any_cell):
            yield _frame(columns, found, lambda cells, _: record_cells(cells))

    def _read(
        self,
        columns: Sequence[str],
        rows: int,
        prepare: "Callable[[sa.Connection], object]" = lambda _: None,
    ) -> Iterator[list[Sequence[object]]]:
        """Rows in batches, as the driver gives them."""
        clock = _Clock(self.database.seconds, self.name)
        with self.database.reading() as connection:
            prepare(connection)
            found = self._header(connection, clock)
            require_columns(found, columns, self.name)
            quoted = [_quoted(connection, name) for name in columns]
            # The names are quoted by the dialect, and the query is the officer's.
            wanted = f"SELECT {', '.join(quoted)} FROM ({self._query}\n) asked"  # noqa: S608 - see above
            with _asked(connection, wanted, clock) as result:
                yield from _fetched(result, clock, rows)

    def _header(self, connection: "sa.Connection", clock: "_Clock") -> list[str]:
        # A query of no rows tells the names and reads nothing.
        empty = f"SELECT * FROM ({self._query}\n) asked WHERE 1 = 0"  # noqa: S608 - the same
        with _asked(connection, empty, clock) as result:
            return list(map(str, result.keys()))


class _Clock:
    """Time left to wait for the database; what we do with its rows does not count."""

    def __init__(self, seconds: float, where: str) -> None:
        self._left = seconds
        self._where = where

    def wait(self, work: Callable[[], ResultT]) -> ResultT:
        began = time.monotonic()
        done = data_free(self._where, work)
        self._left -= time.monotonic() - began
        if self._left < 0:
            raise DataError(
                f"{self._where}: the database was too slow; all rows are required "
                "within the timeout; raise timeout in site.toml, or simplify the query"
            )
        return done


def _fetched(
    result: "sa.CursorResult[object]", clock: _Clock, rows: int
) -> Iterator[list[Sequence[object]]]:
    waiting: list[Sequence[object]] = []
    while True:
        size = min(_ROWS_AT_ONCE, rows - len(waiting))
        read = clock.wait(partial(result.fetchmany, size))
        waiting += read
        if waiting and (not read or len(waiting) == rows):
            yield waiting
            waiting = []
        if not read:
            return


def require_query(query: str) -> None:
    """
    Check that a query is one statement that reads.

    Semicolons are refused wherever they stand: in which of a database's quotes one
    would be harmless is for its own parser to say.  A ``WITH`` that writes is refused
    by the read-only transaction.

    Raises
    ------
    ValueError
        If it is none.
    """
    if ";" in query.strip().removesuffix(";"):
        raise ValueError(
            "holds a semicolon before its end; one statement is required; write a "
            "character ';' as chr(59), or make a view"
        )
    if not _BEGINS.match(query):
        raise ValueError("is no SELECT; one SELECT or WITH ... SELECT is required")


def query_of_table(table: str) -> str:
    """
    The query of all rows of a table.

    Examples
    --------
    >>> query_of_table("registry.patients")
    'SELECT * FROM "registry"."patients"'
    """
    parts = [part.replace('"', '""') for part in table.split(".")]
    return "SELECT * FROM " + ".".join(f'"{part}"' for part in parts)  # noqa: S608 - quoted


@contextmanager
def _asked(
    connection: "sa.Connection", statement: str, clock: _Clock
) -> Iterator["sa.CursorResult[object]"]:
    # Without parameters a driver leaves the percent signs of a query alone.
    options = {
        "stream_results": True,
        "no_parameters": True,
        "sqlite_raw_colnames": True,
    }
    run = connection.exec_driver_sql
    result = clock.wait(lambda: run(statement, execution_options=options))
    try:
        yield result
    finally:
        with suppress(Exception):  # of a broken connection, which was told before
            result.close()


def _quoted(connection: "sa.Connection", name: str) -> str:
    # Not its own method, which doubles percent signs for a driver with parameters.
    marks = connection.dialect.identifier_preparer
    inside = name.replace(marks.final_quote, marks.final_quote * 2)
    return f"{marks.initial_quote}{inside}{marks.final_quote}"


def _frame(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    read: Callable[[Sequence[object], str], pd.Series],
) -> pd.DataFrame:
    cells = zip(columns, zip(*rows, strict=True), strict=True)
    return pd.DataFrame(
        {name: read(values, f"column {name!r}") for name, values in cells}
    )
