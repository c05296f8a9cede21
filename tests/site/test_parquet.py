"""Parquet files: the same rows, the same release, in batches of bounded size."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.envelope import encode_release
from fedglmm_flower.errors import DataError, EmptySiteError
from fedglmm_flower.glmm.table import typed_table
from fedglmm_flower.site import NO_DISCLOSURE_CONTROL, file_source, release
from fedglmm_flower.site.parquet import ParquetSource
from fedglmm_flower.site.summarise import summarise
from fedglmm_flower.site.whole_table import read_table, study_of_table
from fedglmm_flower.study.columns import Column
from tests.site.conftest import STUDIES, patients

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def written(tmp_path, columns, **options):
    """A Parquet file of some columns."""
    path = tmp_path / "export.parquet"
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    pq.write_table(table, path, **options)
    return path


def read(path, columns, rows=1000):
    """All cells of the columns as one frame, with batches of the size asked."""
    batches = list(ParquetSource(path).batches(columns, rows))
    assert all(len(batch) <= rows for batch in batches)
    assert all(len(batch) == rows for batch in batches[:-1])
    assert all(list(batch.columns) == list(columns) for batch in batches)
    return pd.concat(batches, ignore_index=True)


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("groups", [7, 10_000])
def test_a_release_is_the_same_from_csv_and_from_parquet(name, groups, tmp_path):
    """Byte for byte, whatever the row groups: the format is no part of the answer."""
    study, table = STUDIES[name], patients(300, 5)
    table.to_csv(tmp_path / "rows.csv", index=False)
    table.to_parquet(tmp_path / "rows.parquet", row_group_size=groups)
    answers = [
        release(
            study,
            file_source(tmp_path / f"rows.{kind}"),
            NO_DISCLOSURE_CONTROL,
            site=study.sites[0],
        )
        for kind in ("csv", "parquet")
    ]

    assert encode_release(answers[0]) == encode_release(answers[1])


@pytest.mark.parametrize("rows", [1, 3, 4, 7, 100])
@pytest.mark.parametrize("group", [2, 3, 50])
def test_batches_are_of_the_size_that_was_asked(tmp_path, rows, group):
    """Across row groups, and in the order of the file."""
    path = written(
        tmp_path,
        {"x": range(11), "other": range(11), "s": [*"abcabcabcab"]},
        row_group_size=group,
    )

    found = read(path, ["s", "x"], rows)

    assert found["x"].tolist() == list(range(11))
    assert "".join(found["s"].astype(str)) == "abcabcabcab"


NUMBER = Column("x", "continuous")
FACTOR = Column("x", "categorical", ("1", "2"))
WORDS = Column("x", "categorical", ("b", "a"))
BINARY = Column("x", "binary")


@pytest.mark.parametrize(
    ("cells", "column", "expected"),
    [
        (pa.array([1, None, 2], pa.int8()), NUMBER, [1, None, 2]),
        (pa.array([1, None, 2], pa.uint32()), FACTOR, [0, None, 1]),
        (pa.array([1, 2, 1]), FACTOR, [0, 1, 0]),
        (pa.array([1.0, 2.0, None]), FACTOR, [0, 1, None]),
        (pa.array([True, False, None]), BINARY, [1, 0, None]),
        (pa.array([True, False]), BINARY, [1, 0]),
        (pa.array(["a", "b", None, ""]), WORDS, [1, 0, None, None]),
        (pa.array(["a", "b"], pa.large_string()), WORDS, [1, 0]),
        (pa.array(["a", None, "b"]).dictionary_encode(), WORDS, [1, None, 0]),
        (pa.array([2, 1, 2]).dictionary_encode(), FACTOR, [1, 0, 1]),
        (pa.array([1.5, None]).cast(pa.decimal128(5, 2)), NUMBER, [1.5, None]),
        (pa.array([0.5, np.nan], pa.float32()), NUMBER, [0.5, None]),
        (pa.array([0.5, 2.0]).cast(pa.float16()), NUMBER, [0.5, 2.0]),
        (pa.array([None, None], pa.null()), NUMBER, [None, None]),
        (pa.array(["1.5", " ", None]), NUMBER, [1.5, None, None]),
    ],
)
def test_cells_of_every_type_mean_what_they_mean_in_a_table(
    tmp_path, cells, column, expected
):
    """Nulls are missing, truth values are 0 and 1, text and dictionaries are levels."""
    path = written(tmp_path, {"x": cells})

    typed = typed_table(read(path, ["x"], 2), [column])

    wanted = [np.nan if value is None else value for value in expected]
    np.testing.assert_array_equal(typed.columns["x"], wanted)


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (pa.array([date(2020, 1, 1)]), "holds dates or times"),
        (pa.array([1], pa.timestamp("s")), "holds dates or times"),
        (pa.array([1], pa.timestamp("s", tz="UTC")), "holds dates or times"),
        (pa.array([1], pa.time32("s")), "holds dates or times"),
        (pa.array([1], pa.duration("s")), "holds dates or times"),
        (pa.array([[1, 2]]), "is of type list"),
        (pa.array([{"a": 1}]), "is of type struct"),
        (pa.array([b"a"]), "is of type binary"),
        (pa.array(["north"]), "text that is no number"),
        (pa.array([np.inf]), "an infinite number"),
    ],
)
def test_what_is_no_cell_of_a_number_is_refused(tmp_path, cells, says):
    """In one sentence, by the column and without the value."""
    path = written(tmp_path, {"x": cells})

    with pytest.raises(DataError, match=says) as caught:
        typed_table(read(path, ["x"]), [NUMBER], where="export.parquet")

    assert "export.parquet: column 'x'" in str(caught.value)
    assert "north" not in str(caught.value)


def test_a_column_that_is_absent_or_stands_twice_is_refused(tmp_path):
    """As in a CSV file."""
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    path = written(tmp_path, {"x": [1]})
    with pytest.raises(DataError, match="column 'z' is missing; found x"):
        read(path, ["z"])
    path = written(tmp_path, twice)
    with pytest.raises(DataError, match="column 'x' stands 2 times"):
        read(path, ["x"])


def test_names_with_dots_are_names(tmp_path):
    """And no paths into records."""
    path = written(tmp_path, {"a.b": [1, 2], "a": [3, 4]})

    assert read(path, ["a"])["a"].tolist() == [3, 4]
    assert read(path, ["a.b"])["a.b"].tolist() == [1, 2]


@pytest.mark.parametrize("where", [0.0, 0.3, 0.9, 0.999])
def test_a_file_that_was_cut_off_is_refused(tmp_path, where):
    """Wherever the copy stopped."""
    path = written(tmp_path, {"x": np.random.default_rng(1).random(5000)})
    content = path.read_bytes()
    path.write_bytes(content[: int(where * len(content))])

    with pytest.raises(DataError, match="no whole Parquet file"):
        read(path, ["x"])


def test_a_file_that_was_altered_is_refused_or_read(tmp_path):
    """Never with a traceback of the library."""
    path = written(tmp_path, {"x": np.random.default_rng(1).random(5000)})
    content = bytearray(path.read_bytes())
    rng = np.random.default_rng(2)
    refused = 0
    for _ in range(40):
        changed = bytearray(content)
        for at in rng.integers(0, len(content), 60):
            changed[at] = int(rng.integers(256))
        path.write_bytes(changed)
        try:
            read(path, ["x"])
        except DataError:
            refused += 1

    assert refused > 0


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    """By name, not by the whole path."""
    for path in (tmp_path / "none.parquet", tmp_path):
        with pytest.raises(DataError, match=rf"^{path.name}: cannot be read"):
            list(ParquetSource(path).batches(["x"], 10))


def test_a_file_without_rows_is_refused(tmp_path):
    """At a site, and in a simulation."""
    study, empty = STUDIES["logit"], patients(5, 1).head(0)
    path = tmp_path / "export.parquet"
    empty.to_parquet(path)

    with pytest.raises(EmptySiteError, match="no complete row"):
        summarise(study, ParquetSource(path), site=study.sites[0])
    with pytest.raises(DataError, match="has no rows"):
        read_table(path)


def test_a_simulation_proposes_the_same_study_from_both_formats(tmp_path):
    """Levels, bounds, centres and scales, with columns nobody asked for beside."""
    rng = np.random.default_rng(3)
    table = pd.DataFrame(
        {
            "y": rng.integers(0, 2, 300),
            "x": rng.normal(size=300).round(3),
            "s": rng.choice(["b", "a", "c"], 300),
            "hospital": rng.integers(1, 4, 300),
        }
    )
    table.to_csv(tmp_path / "t.csv", index=False)
    more = table.assign(seen=pd.Timestamp("2020-01-01"), notes=pd.Series([["a"]] * 300))
    more.to_parquet(tmp_path / "t.parquet")
    asked = [
        study_of_table(
            read_table(tmp_path / f"t.{kind}"),
            "y ~ x + s + (1 | hospital)",
            "binomial",
            **dict.fromkeys(
                ("link", "site_column", "trials", "offset", "weights", "study")
            ),
            levels={},
            order=None,
            release_set=None,
            method=None,
        ).study
        for kind in ("csv", "parquet")
    ]

    assert asked[0].digest == asked[1].digest
