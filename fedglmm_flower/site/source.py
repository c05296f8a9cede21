"""Where a site's rows come from, in batches of bounded size."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import pandas as pd

from fedglmm_flower.errors import DataError
from fedglmm_flower.glmm.table import require_columns
from fedglmm_flower.site.csv_lines import ENCODING, lines_of, record_of
from fedglmm_flower.site.parquet import SUFFIXES, ParquetSource


class TableSource(Protocol):
    """A table that can be read in batches of named columns, always in one order."""

    @property
    def name(self) -> str:
        """Name for local messages."""
        ...

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
        """
        Batches of at most ``rows`` rows of the named columns.

        Raises
        ------
        DataError
            If the table cannot be read or a column is absent.
        """
        ...


class RecordSource(TableSource, Protocol):
    """A table that can also be read row by row, where no row may stand in the way."""

    def records(self, columns: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
        """
        Batches as of :meth:`batches`; what cannot be read of a row is missing.

        Law: every row is there, and its cells depend on this row alone.

        Raises
        ------
        DataError
            If the table as a whole cannot be read or a column is absent: never because
            of a row.
        """
        ...


@dataclass(frozen=True)
class CsvSource:
    """
    A CSV file with a header line, in UTF-8.

    Parameters
    ----------
    path : Path
        The file.  Cells are read as text; the study says what they mean.
    """

    path: Path

    @property
    def name(self) -> str:
        """File name."""
        return self.path.name

    def header(self) -> list[str]:
        """
        Column names of the file.

        Raises
        ------
        DataError
            If the file cannot be read or is empty.
        """
        with _reading(self.path), self.path.open(encoding=ENCODING, newline="") as file:
            for line in csv.reader(file, strict=True):
                return line
        raise self._empty()

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
        """See :class:`TableSource`."""
        header = self.header()
        require_columns(header, columns, self.name)
        wanted = {name: header.index(name) for name in columns}
        first = 1
        with _reading(self.path), self.path.open(encoding=ENCODING, newline="") as file:
            # csv and not pandas: read_csv fills up short rows and cuts long ones.
            reader = csv.reader(file, strict=True)
            next(reader)
            # A blank line is no row, except where a row is a single cell.
            lines = (line or [""] for line in reader if line or len(header) == 1)
            while batch := list(islice(lines, rows)):
                self._require_whole_rows(batch, len(header), first)
                cells = list(zip(*batch, strict=True))
                first += len(batch)
                yield pd.DataFrame(
                    {name: cells[at] for name, at in wanted.items()}, dtype="string"
                )

    def records(self, columns: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
        """See :class:`RecordSource`; a record is a line, see :mod:`.csv_lines`."""
        with _reading(self.path):
            lines = lines_of(self.path)
            header = next(csv.reader(lines, strict=True), None)
            if header is None:
                raise self._empty()
            require_columns(header, columns, self.name)
            wanted = {name: header.index(name) for name in columns}
            bare = (line.rstrip("\r\n") for line in lines)
            filled = (line for line in bare if line or len(header) == 1)
            found = (record_of(line, len(header)) for line in filled)
            while batch := list(islice(found, rows)):
                yield pd.DataFrame(
                    {name: [row[at] for row in batch] for name, at in wanted.items()},
                    dtype="string",
                )

    def _empty(self) -> DataError:
        return DataError(
            f"{self.name}: the file is empty; a header line and rows are required; "
            "check the export that wrote it"
        )

    def _require_whole_rows(
        self, batch: Sequence[Sequence[str]], cells: int, first: int
    ) -> None:
        for row, line in enumerate(batch, start=first):
            if len(line) != cells:
                raise DataError(
                    f"{self.name}: row {row} has {len(line)} cells and the header has "
                    f"{cells}; every row needs as many; check whether the file was "
                    "cut off, and put cells with commas in quotes"
                )


@dataclass(frozen=True)
class FrameSource:
    """
    Rows that are in memory already, as in a simulation.

    Parameters
    ----------
    frame : DataFrame
        The table.
    label : str
        Name for local messages.
    """

    frame: pd.DataFrame
    label: str = "table"

    @property
    def name(self) -> str:
        """Label of the table."""
        return self.label

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
        """See :class:`TableSource`."""
        require_columns(self.frame.columns, columns, self.name)
        for start in range(0, len(self.frame), rows):
            yield self.frame.iloc[start : start + rows][list(columns)]

    def records(self, columns: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
        """See :class:`RecordSource`: no cell is read here."""
        return self.batches(columns, rows)


def file_source(path: Path, kind: str | None = None) -> CsvSource | ParquetSource:
    """
    The source that reads a file.

    Parameters
    ----------
    path : Path
        The file; it need not exist yet.
    kind : {"csv", "parquet"} or None
        None tells by the name: ``.parquet`` and ``.pq``, else CSV.
    """
    if kind is None:
        kind = "parquet" if path.suffix.lower() in SUFFIXES else "csv"
    return ParquetSource(path) if kind == "parquet" else CsvSource(path)


class _reading:  # noqa: N801 - a context manager, used as a verb
    """Turn what can go wrong with a file into one clear error without its content."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None or isinstance(error, DataError):
            return
        name = self.path.name
        if isinstance(error, OSError):
            raise DataError(
                f"{name}: cannot be read ({error.strerror}); a readable file is "
                "required; check the path and its permissions"
            ) from None
        if isinstance(error, UnicodeDecodeError):
            raise DataError(
                f"{name}: is not in UTF-8; a CSV file in UTF-8 is required; convert it"
            ) from None
        if isinstance(error, csv.Error | ValueError):
            raise DataError(
                f"{name}: is no valid CSV table; every row needs as many cells as the "
                "header, separated by commas; check quotes and separators"
            ) from None
