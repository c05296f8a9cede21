"""A site's rows from a Parquet file, batch by batch in bounded memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from fedglmm_flower.errors import DataError
from fedglmm_flower.glmm.table import require_columns

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SUFFIXES = (".parquet", ".pq")
# Pages are read as they are needed, so that a file of one row group needs no more.
_READ_AT_ONCE = 1 << 20
_ROWS_AT_ONCE = 65_536


@dataclass(frozen=True)
class ParquetSource:
    """
    A Parquet file; only the columns that are needed are read.

    Parameters
    ----------
    path : Path
        The file.  Cells keep their types: truth values count as 0 and 1, nulls are
        missing, text and dictionaries are levels.
    """

    path: Path

    @property
    def name(self) -> str:
        """File name."""
        return self.path.name

    def header(self) -> list[str]:
        """
        Names of the columns.

        Raises
        ------
        DataError
            If the file cannot be read.
        """
        with self._open() as file:
            return [str(name) for name in file.schema_arrow.names]

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
        """See :class:`~fedglmm_flower.site.source.TableSource`."""
        with self._open() as file:
            require_columns(file.schema_arrow.names, columns, self.name)
            texts = []
            for name in columns:
                field = file.schema_arrow.field(name)
                self._require_cells(field)
                if _is_text(field.type):
                    texts.append(name)
        # Levels repeat: their text is read once a page and not once a row.
        with self._open(texts) as file:
            for table in self._tables(file, columns, rows):
                yield self._read(table)

    def records(self, columns: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
        """See :class:`~fedglmm_flower.site.source.RecordSource`."""
        with self._open() as file:
            require_columns(file.schema_arrow.names, columns, self.name)
            for table in self._tables(file, columns, rows):
                yield pd.DataFrame(
                    {name: _records(table.column(name)) for name in columns}
                )

    def whole(self) -> pd.DataFrame:
        """
        The whole table, for a simulation; columns of lists or bytes are left out.

        Raises
        ------
        DataError
            If the file cannot be read or a name stands twice.
        """
        with self._open() as file:
            fields = [f for f in file.schema_arrow if not _is_nested(f.type)]
            names = [str(field.name) for field in fields]
            require_columns(file.schema_arrow.names, names, self.name)
            every = max(1, file.metadata.num_rows)
            for table in self._tables(file, names, every):
                return self._read(table)
        return pd.DataFrame()

    def _open(self, dictionaries: Sequence[str] = ()) -> "pq.ParquetFile":
        # Here and not above: it takes a while, and a site with a CSV has no need.
        import pyarrow as pa  # noqa: PLC0415
        import pyarrow.parquet as pq  # noqa: PLC0415

        try:
            with self.path.open("rb"):
                pass
            return pq.ParquetFile(
                str(self.path),
                read_dictionary=list(dictionaries),
                buffer_size=_READ_AT_ONCE,
                pre_buffer=False,
            )
        except pa.ArrowException:
            raise self._damaged() from None
        except OSError as error:
            if error.errno is None:
                raise self._damaged() from None
            raise DataError(
                f"{self.name}: cannot be read ({error.strerror}); a readable file is "
                "required; check the path and its permissions"
            ) from None

    def _tables(
        self, file: "pq.ParquetFile", columns: Sequence[str], rows: int
    ) -> Iterator["pa.Table"]:
        """Tables of ``rows`` rows, the last one shorter, whatever the row groups."""
        import pyarrow as pa  # noqa: PLC0415 - see above

        names = list(columns)
        at_once = min(rows, _ROWS_AT_ONCE)
        try:
            waiting: list[pa.RecordBatch] = []
            count = 0
            for read in file.iter_batches(at_once, columns=names):
                batch = read.select(names)
                while count + batch.num_rows >= rows:
                    taken = rows - count
                    yield pa.Table.from_batches([*waiting, batch.slice(0, taken)])
                    batch, waiting, count = batch.slice(taken), [], 0
                if batch.num_rows:
                    waiting.append(batch)
                    count += batch.num_rows
            if waiting:
                yield pa.Table.from_batches(waiting)
        except (pa.ArrowException, OSError):
            raise self._damaged() from None

    def _read(self, table: "pa.Table") -> pd.DataFrame:
        import pyarrow as pa  # noqa: PLC0415 - see above

        try:
            pairs = zip(table.column_names, table.columns, strict=True)
            return pd.DataFrame({name: _series(column) for name, column in pairs})
        except (pa.ArrowException, UnicodeDecodeError):
            pass  # their messages quote the cell
        raise DataError(
            f"{self.name}: a cell is no text in UTF-8; text of a Parquet file is "
            "required to be; export it again"
        )

    def _require_cells(self, field: "pa.Field") -> None:
        if _is_nested(field.type):
            raise DataError(
                f"{self.name}: column {field.name!r} is of type {field.type}; numbers, "
                "truth values or text are required; convert the column"
            )

    def _damaged(self) -> DataError:
        return DataError(
            f"{self.name}: is no whole Parquet file; one that was written to its end "
            "is required; check whether it was cut off, and export it again"
        )


def _series(column: "pa.ChunkedArray") -> pd.Series:
    """Cells as pandas holds them; whole numbers with nulls stay whole numbers."""
    import pyarrow as pa  # noqa: PLC0415 - see above

    kind, types = column.type, pa.types
    values = column
    if types.is_decimal(kind):
        # By way of text: the direct way is off by one last digit in every fifth.
        values = column.cast(pa.string()).cast(pa.float64())
    elif types.is_float16(kind) or types.is_null(kind):
        values = column.cast(pa.float64())
    elif types.is_dictionary(kind):
        values = column.unify_dictionaries()
    native: dict[Any, Any] = {}
    if column.null_count and types.is_integer(kind):
        signed = types.is_signed_integer(kind)
        native = {kind: pd.Int64Dtype() if signed else pd.UInt64Dtype()}
    elif column.null_count and types.is_boolean(kind):
        native = {kind: pd.BooleanDtype()}
    found = values.to_pandas(types_mapper=native.get, date_as_object=False)
    return pd.Series(found).reset_index(drop=True)


def _records(column: "pa.ChunkedArray") -> pd.Series:
    """Cells that depend on nothing but themselves; missing if they cannot be read."""
    import pyarrow as pa  # noqa: PLC0415 - see above

    if _is_nested(column.type) or pa.types.is_temporal(column.type):
        return pd.Series([None] * len(column), dtype=object)
    try:
        return _series(column)
    except (pa.ArrowException, UnicodeDecodeError):
        return pd.Series([_cell(scalar) for scalar in column], dtype=object)


def _cell(scalar: "pa.Scalar") -> object:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return None


def _is_text(kind: "pa.DataType") -> bool:
    import pyarrow as pa  # noqa: PLC0415 - see above

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_nested(kind: "pa.DataType") -> bool:
    """Lists, records and bytes: no cells of a table of patients."""
    import pyarrow as pa  # noqa: PLC0415 - see above

    types = pa.types
    binary = types.is_binary(kind) or types.is_large_binary(kind)
    fixed = types.is_fixed_size_binary(kind) and not types.is_decimal(kind)
    return bool(types.is_nested(kind) or types.is_map(kind) or binary or fixed)
