"""Under noise no row of a table stands in the way, whatever it is read from."""

import sqlite3

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedglmm_flower.errors import DataError
from fedglmm_flower.site import CsvSource, FrameSource, Privacy
from fedglmm_flower.site.database import Database
from fedglmm_flower.site.features import Features
from fedglmm_flower.site.fixed_point import radius
from fedglmm_flower.site.parquet import ParquetSource
from fedglmm_flower.site.private_sums import private_sums
from fedglmm_flower.site.public_scales import public_weights
from fedglmm_flower.site.sql import SqlSource, query_of_table
from tests.site.test_private_sums import PRIVACY, distance, rows_of, study_of

STUDY = study_of()
FEATURES = Features(STUDY.model, STUDY.statistics(2, "canonical"), None)
WEIGHTS = public_weights(FEATURES)
PATIENTS = Privacy("people", 1.0, 1e-6, 3.0, unit_column="patient")
ROWS = rows_of(12).assign(patient=[f"p{i // 2}" for i in range(12)])
LINES = ROWS.to_csv(index=False).encode().splitlines()


def summed(source, privacy=PRIVACY):
    """Integer sums of a source."""
    return private_sums(STUDY, source, FEATURES, WEIGHTS, privacy)


def same(one, other) -> bool:
    """To the last bit, counts too."""
    return bool((one.sums == other.sums).all()) and one.records == other.records


def csv_of(path, *lines: bytes) -> CsvSource:
    """A file with some more lines in its middle."""
    path.write_bytes(b"\n".join([*LINES[:5], *lines, *LINES[5:]]) + b"\n")
    return CsvSource(path)


DAMAGE = {
    "too few cells": b"60,I",
    "too many cells": b"60,I,1,p1,surplus",
    "open quote": b'60,"I,1,p1',
    "text after a quote": b'60,"I"I,1,p1',
    "one cell": b"a line of an export program",
    "no number": b"sixty,I,1,p1",
    "nothing": b",,,",
    "NUL": b"60\x00,I,1,p1",
    "no UTF-8": b"60,\xc9tage,1,p1",
    "endless cell": b'60,"' + b"I" * 200_000 + b'",1,p1',
    "carriage return": b"60,I\r,1,p1",
}


@pytest.mark.parametrize("privacy", [PRIVACY, PATIENTS], ids=["rows", "patients"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_line_that_cannot_be_read_is_an_empty_record(damage, privacy, tmp_path):
    """It is counted, adds nothing, and takes nothing from its neighbours."""
    source = csv_of(tmp_path / "rows.csv", DAMAGE[damage])
    lines = DAMAGE[damage].count(b"\r") + 1
    empty = pd.DataFrame([dict.fromkeys(ROWS.columns)] * lines, dtype=object)
    whole = pd.concat([ROWS.astype(object), empty], ignore_index=True)

    assert same(summed(source, privacy), summed(FrameSource(whole), privacy))
    if damage not in ("no number", "nothing", "NUL", "carriage return"):
        with pytest.raises(DataError):
            list(source.batches([*ROWS.columns], 100))


@given(st.binary(max_size=60).filter(lambda line: line.strip(b"\r\n")))
@settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_whatever_bytes_a_line_has_it_moves_the_sums_by_itself_alone(tmp_path, line):
    """Quotes, commas and bytes that are no text included; line ends make more lines."""
    own = b"".join(line.split(b"\n")).replace(b"\r", b"") or b"x"
    alone = csv_of(tmp_path / "rows.csv", own)
    clean = summed(csv_of(tmp_path / "clean.csv", b",,,"))
    twice = csv_of(tmp_path / "twice.csv", own, own)
    moved = summed(alone).sums - clean.sums

    assert summed(alone).records == clean.records == (13,)
    assert distance(summed(alone), clean) <= radius(PRIVACY.clipping_norm) ** 2
    assert (summed(twice).sums - clean.sums == 2 * moved).all()


def test_a_whole_file_is_read_as_without_noise(tmp_path):
    """Quotes, commas and quotes in quotes, blank lines, and a byte order mark."""
    path = tmp_path / "rows.csv"
    path.write_bytes(
        b'\xef\xbb\xbfage,"the, note",stage\r\n60,"a ""b"", c",I\r\n\r\n61, 5" ,II\r\n'
    )
    source, names = CsvSource(path), ["the, note", "age", "stage"]
    (records,), (rows,) = (
        list(read(names, 9)) for read in (source.records, source.batches)
    )

    pd.testing.assert_frame_equal(records, rows)
    assert rows["the, note"].tolist() == ['a "b", c', ' 5" ']


def test_what_concerns_a_table_as_a_whole_is_an_error(tmp_path):
    """A file that is not there, is empty, is no table, or lacks a column."""
    path = tmp_path / "rows"
    for source in (CsvSource(path), ParquetSource(path)):
        with pytest.raises(DataError, match="cannot be read"):
            list(source.records(["age"], 9))
    path.write_bytes(b"")
    with pytest.raises(DataError, match="the file is empty"):
        list(CsvSource(path).records(["age"], 9))
    path.write_bytes(b"stage,y\nI,1\n")
    with pytest.raises(DataError, match="column 'age' is missing"):
        list(CsvSource(path).records(["age"], 9))
    with pytest.raises(DataError, match="no whole Parquet file"):
        list(ParquetSource(path).records(["age"], 9))


def no_text(at: int, labels: list[str]) -> pa.Array:
    """Text of which one cell is no UTF-8."""
    cells = [label.encode() for label in labels]
    cells[at] = b"\xff\xfe"
    ends = np.cumsum([0, *map(len, cells)]).astype(np.int32)
    buffers = [None, pa.py_buffer(ends), pa.py_buffer(b"".join(cells))]
    return pa.Array.from_buffers(pa.string(), len(cells), buffers)


def test_a_parquet_cell_that_is_no_text_empties_its_row(tmp_path):
    """Without noise it is an error, and one that does not quote the cell."""
    table = pa.Table.from_pandas(ROWS)
    broken = no_text(3, ROWS["stage"].tolist())
    pq.write_table(table.set_column(1, "stage", broken), tmp_path / "rows.parquet")
    source = ParquetSource(tmp_path / "rows.parquet")
    empty = ROWS.assign(stage=ROWS["stage"].where(ROWS.index != 3))

    assert same(summed(source), summed(FrameSource(empty)))
    assert same(summed(source, PATIENTS), summed(FrameSource(empty), PATIENTS))
    with pytest.raises(DataError, match="no text in UTF-8") as caught:
        list(source.batches(["stage"], 100))
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_parquet_columns_of_no_cells_are_unusable_and_no_error(tmp_path):
    """Lists, dates far off and durations, of which one row may be the reason."""
    n = len(ROWS)
    kinds = {
        "list": pa.array([[1.0]] * n),
        "far": pa.array([2**60] * n, pa.timestamp("ms")),
        "duration": pa.array([60] * n, pa.duration("s")),
    }
    for kind, cells in kinds.items():
        table = pa.Table.from_pandas(ROWS).set_column(0, "age", cells)
        path = tmp_path / f"{kind}.parquet"
        pq.write_table(table, path)
        found = summed(ParquetSource(path))

        assert (found.records, bool(found.sums.any())) == ((n,), False)


def test_database_cells_of_any_type_are_cells(tmp_path):
    """SQLite lets every cell have its own type, and its text be none."""
    path = tmp_path / "rows.sqlite"
    with sqlite3.connect(path) as connection:
        ROWS.to_sql("rows", connection, index=False)
        for change in (
            "age = x'00ff' WHERE rowid = 1",
            "age = 'sixty' WHERE rowid = 2",
            "stage = CAST(x'fffe' AS TEXT) WHERE rowid = 3",
            "y = 'yes', patient = x'01' WHERE rowid = 4",
        ):
            connection.execute(f"UPDATE rows SET {change}")
    connection.close()
    source = SqlSource(
        Database(f"sqlite:///{path}").inside(tmp_path), query_of_table("rows")
    )
    empty = ROWS.astype(object)
    empty.loc[:3, ["age", "stage", "y"]] = None
    empty.loc[3, "patient"] = None

    assert same(summed(source), summed(FrameSource(empty)))
    assert same(summed(source, PATIENTS), summed(FrameSource(empty), PATIENTS))
    with pytest.raises(DataError):
        list(source.batches([*ROWS.columns], 100))
