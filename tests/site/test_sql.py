"""Rows from PostgreSQL: the same answer as from files, streamed, of one moment."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.envelope import encode_release
from fedglmm_flower.errors import DataError
from fedglmm_flower.glmm.table import typed_table
from fedglmm_flower.site import NO_DISCLOSURE_CONTROL, file_source, release
from fedglmm_flower.site.database import Database
from fedglmm_flower.site.sql import SqlSource, query_of_table
from fedglmm_flower.site.summarise import summarise, summarise_clusters
from fedglmm_flower.study.columns import Column
from tests.site.conftest import STUDIES, ask, patients

ROOT = Path(__file__).resolve().parents[2]
TYPES = {
    "int64": "bigint",
    "float64": "double precision",
    "object": "text",
    "str": "text",
}


@pytest.fixture(autouse=True)
def password(monkeypatch):
    """As an officer gives it to the node's environment."""
    from tests.site.postgres import PASSWORD

    monkeypatch.setenv("READER_PASSWORD", PASSWORD)


def rows_of(server, query="SELECT * FROM t", **options):
    """The source of a query."""
    return SqlSource(Database(server.url, "READER_PASSWORD", **options), query)


def put(server, table, name="t", **kinds):
    """A frame as a table of the database."""
    types = {c: kinds.get(c, TYPES[str(table[c].dtype)]) for c in table.columns}
    plain = table.astype(object).where(table.notna(), None)
    server.fill(name, types, plain.itertuples(index=False))


def cells(server, declared, values, column):
    """One column of a type through the database, typed as the study says."""
    server.execute("DROP TABLE IF EXISTS cells")
    server.execute(f"CREATE TABLE cells (n int, x {declared})")
    for n, value in enumerate(values):
        server.execute(f"INSERT INTO cells VALUES ({n}, {value})")
    source = rows_of(server, "SELECT x FROM cells ORDER BY n")
    frame = pd.concat(source.batches(["x"], 2), ignore_index=True)
    return typed_table(frame, [column], where=source.name).columns["x"]


@pytest.mark.parametrize("name", STUDIES)
def test_a_release_and_its_snapshot_are_the_same_from_every_source(
    server, name, tmp_path
):
    """Byte for byte, where the rows come in one order: the source is no part of it."""
    study, table = STUDIES[name], patients(300, 5)
    put(server, table)
    table.to_csv(tmp_path / "rows.csv", index=False)
    table.to_parquet(tmp_path / "rows.parquet")
    sources = [
        file_source(tmp_path / "rows.csv"),
        file_source(tmp_path / "rows.parquet"),
        rows_of(server),
    ]
    site = study.sites[0]
    answers = [release(study, s, NO_DISCLOSURE_CONTROL, site=site) for s in sources]
    found = [summarise_clusters(study, s, site=site).snapshot for s in sources]

    assert len({encode_release(answer) for answer in answers}) == 1
    assert len(set(found)) == 1


def test_decimals_are_the_same_numbers_from_every_source(server, tmp_path):
    """Of every digit: neither Arrow's nor anybody's shortcut moves a last one."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rng = np.random.default_rng(3)
    texts = [f"{value:.7f}" for value in rng.normal(size=2000) * 1000]
    server.fill("t", {"x": "numeric(20, 7)"}, ([text] for text in texts))
    (tmp_path / "t.csv").write_text("\n".join(["x", *texts]) + "\n")
    exact = pa.array(texts).cast(pa.decimal128(20, 7))
    pq.write_table(pa.table({"x": exact}), tmp_path / "t.parquet")
    read = [
        typed_table(
            pd.concat(source.batches(["x"], 700)), [Column("x", "continuous")]
        ).columns["x"]
        for source in (
            file_source(tmp_path / "t.csv"),
            file_source(tmp_path / "t.parquet"),
            rows_of(server),
        )
    ]

    np.testing.assert_array_equal(read[0], [float(text) for text in texts])
    np.testing.assert_array_equal(read[1], read[0])
    np.testing.assert_array_equal(read[2], read[0])


NUMBER = Column("x", "continuous")
BINARY = Column("x", "binary")
FACTOR = Column("x", "categorical", ("1", "2"))
WORDS = Column("x", "categorical", ("b", "a"))


@pytest.mark.parametrize(
    ("declared", "values", "column", "expected"),
    [
        ("smallint", ["1", "NULL", "2"], NUMBER, [1, np.nan, 2]),
        ("bigint", ["1", "NULL", "2"], FACTOR, [0, np.nan, 1]),
        ("bigint", ["9007199254740993"], NUMBER, [9007199254740992.0]),
        ("numeric", ["0.1", "NULL", "'NaN'"], NUMBER, [0.1, np.nan, np.nan]),
        ("numeric(3, 0)", ["1", "2", "NULL"], FACTOR, [0, 1, np.nan]),
        ("numeric(30)", ["123456789012345678901"], NUMBER, [123456789012345678901.0]),
        ("float8", ["1e-300", "NULL", "'NaN'"], NUMBER, [1e-300, *[np.nan] * 2]),
        ("real", ["0.1", "0.25"], NUMBER, [0.1, 0.25]),
        ("boolean", ["true", "NULL", "false"], BINARY, [1, np.nan, 0]),
        ("text", ["'a'", "NULL", "''", "'b'"], WORDS, [1, np.nan, np.nan, 0]),
        ("varchar(9)", ["'a'", "NULL", "NULL", "'b'"], WORDS, [1, *[np.nan] * 2, 0]),
        ("text", ["'1.5'", "NULL", "' '"], NUMBER, [1.5, np.nan, np.nan]),
        ("date", ["NULL", "NULL"], NUMBER, [np.nan, np.nan]),
    ],
)  # fmt: skip
def test_cells_of_every_type_mean_what_they_mean_in_a_file(
    server, declared, values, column, expected
):
    """NULL is missing, truth values are 0 and 1, ``numeric`` is the nearest float."""
    found = cells(server, declared, values, column)

    np.testing.assert_array_equal(found, expected)


def test_an_enumeration_is_text(server):
    """And so it is levels."""
    server.execute("DROP TABLE IF EXISTS cells; DROP TYPE IF EXISTS grade")
    server.execute("CREATE TYPE grade AS ENUM ('b', 'a')")

    assert cells(server, "grade", ["'a'", "NULL", "'b'"], WORDS)[[0, 2]].tolist() == [
        1,
        0,
    ]


@pytest.mark.parametrize(
    ("declared", "value", "says"),
    [
        ("date", "'1950-02-28'", "holds dates or times"),
        ("timestamptz", "'1950-02-28'", "holds dates or times"),
        ("time", "'19:50'", "holds dates or times"),
        ("interval", "'1950 days'", "holds dates or times"),
        ("bytea", "'1950'", "neither a number, a truth value nor text"),
        ("int[]", "'{1950}'", "neither a number, a truth value nor text"),
        ("jsonb", "'{\"a\": 1950}'", "neither a number, a truth value nor text"),
        ("uuid", "gen_random_uuid()", "neither a number, a truth value nor text"),
        ("text", "'born 1950'", "text that is no number"),
        ("double precision", "'inf'", "an infinite number"),
        ("numeric", "'Infinity'", "an infinite number"),
    ],
)
def test_what_is_no_cell_of_a_number_is_refused(server, declared, value, says):
    """In one sentence, by the column and without the value."""
    with pytest.raises(DataError, match=says) as caught:
        cells(server, declared, [value], NUMBER)

    assert str(caught.value).startswith("query of registry: column 'x'")
    assert "1950" not in str(caught.value)


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 10_000])
def test_batches_are_of_the_size_that_was_asked(server, rows):
    """All rows, in the order of the query, and the columns in the order asked."""
    query = "SELECT n, 2 * n AS twice, now() AS unused FROM generate_series(1, 20) n"
    batches = list(rows_of(server, query).batches(["twice", "n"], rows))

    assert [len(batch) for batch in batches[:-1]] == [rows] * (len(batches) - 1)
    assert 0 < len(batches[-1]) <= rows
    assert all(list(batch.columns) == ["twice", "n"] for batch in batches)
    assert pd.concat(batches)["n"].tolist() == list(range(1, 21))


def test_a_query_is_taken_as_it_is(server):
    """Percent signs, colons, comments, a semicolon at its end and names in quotes."""
    server.fill('od"d', {'Ä "x"': "int"}, [[1], [2], [3]])
    query = (
        '-- which rows\nWITH few AS (SELECT * FROM "od""d") /* all */\n'
        """SELECT *, 5 % 3 AS "%s", '1'::int AS ":y" FROM few -- the end\n;"""
    )
    source = rows_of(server, query)

    assert source.header() == ['Ä "x"', "%s", ":y"]
    (batch,) = source.batches([":y", "%s", 'Ä "x"'], 10)
    assert batch.to_numpy().tolist() == [[1, 2, 1], [1, 2, 2], [1, 2, 3]]
    (table,) = rows_of(server, query_of_table('public.od"d')).batches(['Ä "x"'], 10)
    assert len(table) == 3


def test_a_column_that_is_absent_or_stands_twice_is_refused(server):
    """As in a file; only a column that is used need stand once."""
    source = rows_of(server, "SELECT 1 AS x, 2 AS y, 3 AS y")

    with pytest.raises(DataError, match="column 'z' is missing; found x, y, y"):
        list(source.batches(["z"], 10))
    with pytest.raises(DataError, match="column 'y' stands 2 times"):
        list(source.batches(["y"], 10))
    assert [len(batch) for batch in source.batches(["x"], 10)] == [1]


def test_all_batches_are_of_one_moment(server):
    """What others commit while a site reads is not seen until it reads again."""
    server.fill("t", {"x": "int"}, ([n] for n in range(20_000)))
    source = rows_of(server)
    seen: list[int] = []
    for batch in source.batches(["x"], 1000):
        if not seen:
            server.execute("UPDATE t SET x = x + 1000000")
            server.execute("DELETE FROM t WHERE x % 2 = 0")
        seen += batch["x"].tolist()

    assert sorted(seen) == list(range(20_000))
    assert sum(len(batch) for batch in source.batches(["x"], 1000)) == 10_000


def test_a_table_that_changes_between_passes_is_refused(server):
    """An anchor takes several passes, and all have to be of the same rows."""
    study = ask(
        "died ~ age + female + (1 | hospital)",
        "binomial",
        release_set="anchored",
        order=1,
    )
    put(server, patients(300, 5))
    source = rows_of(server)

    class Changing:
        name = source.name
        passes = 0

        def batches(self, columns, rows):
            yield from source.batches(columns, rows)
            self.passes += 1
            server.execute("UPDATE t SET age = age + 1 WHERE ctid = '(0,1)'")

    changing = Changing()
    import fedglmm_flower.site.summarise as module

    kept = module._KEPT_CELLS
    module._KEPT_CELLS = 1
    try:
        with pytest.raises(DataError, match="the table changed while it was read"):
            summarise(study, changing, site="north")
    finally:
        module._KEPT_CELLS = kept
    assert changing.passes == 2


_PEAK = """
import resource, sys
from fedglmm_flower.site.database import Database
from fedglmm_flower.site.sql import SqlSource

def read(n):
    query = f"SELECT n, n / 7.0 AS x, 'l' || n % 9 AS s FROM generate_series(1, {n}) n"
    source = SqlSource(Database(sys.argv[1], "READER_PASSWORD"), query)
    count = sum(len(b) for b in source.batches(["n", "x", "s"], 65_536))
    assert count == n
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

few = read(100_000)
print(read(300_000) - few)
"""


def test_rows_stream_in_bounded_memory(server):
    """Three times the rows need no more memory: the rows wait in the server."""
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, server.url],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 15  # MB; all of these rows take more than 60


@pytest.mark.parametrize("at", ["sqlite:///rows.db", "sqlite+pysqlite:///rows.db"])
def test_a_file_of_sqlite_is_read_and_never_written(at, tmp_path):
    """Any database of SQLAlchemy; a relative path starts at ``site.toml``."""
    table = patients(300, 5)
    with contextlib.closing(sqlite3.connect(tmp_path / "rows.db")) as connection:
        table.to_sql("t", connection, index=False)
    table.to_csv(tmp_path / "rows.csv", index=False)
    source = SqlSource(Database(at).inside(tmp_path), "SELECT * FROM t")
    wrong = SqlSource(source.database, "WITH a AS (SELECT 1 AS x) SELECT * FROM b")
    answers = [
        release(STUDIES["logit"], s, NO_DISCLOSURE_CONTROL, site="north")
        for s in (source, file_source(tmp_path / "rows.csv"))
    ]

    assert encode_release(answers[0]) == encode_release(answers[1])
    assert source.name == "query of rows.db"
    with pytest.raises(DataError, match="names a table that does not exist"):
        list(wrong.batches(["x"], 10))
    absent = SqlSource(Database("sqlite:///none.db").inside(tmp_path), "SELECT 1 AS x")
    with pytest.raises(DataError, match="cannot be opened"):
        list(absent.batches(["x"], 10))
    assert not (tmp_path / "none.db").exists()


def test_under_noise_dates_beyond_the_drivers_calendar_are_cells(server):
    """Without noise a native date is refused, whatever it is."""
    rows = [("infinity", 1), ("2024-02-29", 1), (None, 0)]
    server.fill("t", {"age": "date", "y": "int"}, rows)
    source = rows_of(server)
    (found,) = source.records(["age", "y"], 9)

    assert found["age"].tolist() == ["infinity", "2024-02-29", None]
    assert found["y"].tolist() == [1, 1, 0]
    with pytest.raises(DataError):
        list(source.batches(["age"], 9))
