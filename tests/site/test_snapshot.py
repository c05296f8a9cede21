"""The fingerprint of rows: equal for equal rows, however read; else different."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedglmm_flower.errors import SnapshotError
from fedglmm_flower.site import FrameSource, Policy, SiteMemory, release
from fedglmm_flower.site.snapshot import Snapshot
from fedglmm_flower.site.summarise import summarise_clusters
from tests.site.conftest import LENIENT, STUDIES, ask


def digest(columns, labels=None, key=b"k", cuts=()):
    """The digest of columns, added in parts that end at the cuts."""
    snapshot = Snapshot(key)
    n = len(next(iter(columns.values())))
    labels = pd.DataFrame(labels or {}, index=range(n))
    for start, end in zip([0, *cuts], [*cuts, n], strict=True):
        part = {name: np.array(v[start:end], float) for name, v in columns.items()}
        snapshot.add(part, labels.iloc[start:end].reset_index(drop=True))
    return snapshot.digest()


def snapshot_of(table, study, **options):
    """The digest that a site would find."""
    source = FrameSource(table.reset_index(drop=True))
    return summarise_clusters(study, source, site="north", **options).snapshot


def test_order_and_batches_of_the_rows_do_not_matter(rng):
    """A database keeps no order, and a batch is a matter of memory."""
    x, y = rng.normal(size=(2, 20_000))
    moved = rng.permutation(20_000)
    whole = digest({"x": x, "y": y})

    assert digest({"y": y[moved], "x": x[moved]}, cuts=(1, 8192, 9000)) == whole
    assert digest({"x": x, "y": y[moved]}) != whole


cell = st.floats(allow_nan=False) | st.integers(-5, 5).map(float) | st.just(np.nan)
rows = st.lists(st.tuples(cell, cell, cell), min_size=1, max_size=8)


@given(rows, rows)
def test_two_tables_have_one_digest_if_their_rows_are_the_same(one, other):
    """As multisets of rows: zero has one sign, and missing is one value."""

    def plain(table):
        return sorted(tuple(repr(value + 0.0) for value in row) for row in table)

    found = [
        digest(dict(zip("abc", map(list, zip(*table, strict=True)), strict=True)))
        for table in (one, other)
    ]

    assert (found[0] == found[1]) == (plain(one) == plain(other))


def test_a_change_of_any_one_cell_changes_the_digest():
    """Of numbers that differ in few of their highest bits, too."""
    values = [0.0, 1.0, -1.0, 2.0, 4.0, 8.0, 0.5, 1e300, -1e300, np.nan, 3.0]
    grid = np.array(np.meshgrid(values, values)).reshape(2, -1)
    digests = {digest({"x": [a], "y": [b]}) for a, b in grid.T}

    assert len(digests) == len(values) ** 2


def test_rows_that_stand_twice_count_twice():
    """And no two of them cancel."""
    assert len({digest({"x": [1.0] * n}) for n in range(1, 9)}) == 8
    assert digest({"x": [1.0, 1.0, 2.0]}) != digest({"x": [1.0, 2.0, 2.0]})


def test_columns_are_told_apart_by_name_and_labels_by_text():
    """One value is not the same in another column; a missing label is none."""
    x = {"x": [1.0, 2.0]}
    seen = [
        digest(x),
        digest({"y": [1.0, 2.0]}),
        digest(x, {"c": ["a", "b"]}),
        digest(x, {"c": ["b", "a"]}),
        digest(x, {"c": ["a", None]}),
        digest(x, {"d": ["a", "b"]}),
        digest(x, {"c": ["a", "b"]}, key=b"other"),
    ]

    assert len(set(seen)) == len(seen)
    assert digest(x, {"c": ["a", ""]}) == digest(x, {"c": ["a", None]})
    assert digest(x, {"c": ["1", "2"]}) == digest(x, {"c": [1, 2]})


def test_every_used_cell_counts_and_no_other(table):
    """A cell of a row that is dropped too: how many are, leaves."""
    study = STUDIES["logit"]
    table = table.astype({"age": float})
    table.loc[3, "age"] = np.nan
    whole = snapshot_of(table, study)

    for column, value in (("age", 1.0), ("died", 0), ("female", 0), ("stage", "III")):
        for row in (2, 3):
            other = table.copy()
            other.loc[row, column] = value
            same = other[column].equals(table[column])
            assert (snapshot_of(other, study) == whole) == same
    assert snapshot_of(table.assign(cost=0.0), study) == whole
    assert snapshot_of(table.sample(frac=1, random_state=1), study) == whole
    assert snapshot_of(table.drop(index=399), study) != whole


def test_a_cluster_column_counts(table):
    """A patient who moves to another clinic changes the sums."""
    study = ask("cost ~ age + (1 | hospital/clinic)", clusters=("clinic",))
    table = table.assign(clinic=["a", "b"] * 200)
    other = table.copy()
    other.loc[0, "clinic"] = "b"

    assert snapshot_of(table, study) != snapshot_of(other, study)


@pytest.fixture
def memory(tmp_path):
    """A site's record, before any study."""
    return SiteMemory(tmp_path / "snapshots")


def test_a_study_is_answered_from_one_table_alone(table, memory):
    """Until it is another study, which the officer has to approve."""
    study, other = STUDIES["logit"], STUDIES["gaussian"]
    changed = table.assign(died=[1 - table["died"][0], *table["died"][1:]])

    first = release(study, FrameSource(table), LENIENT, site="north", memory=memory)
    again = release(study, FrameSource(table), LENIENT, site="north", memory=memory)
    with pytest.raises(SnapshotError, match="restore the table") as caught:
        release(study, FrameSource(changed), LENIENT, site="north", memory=memory)
    release(other, FrameSource(changed), LENIENT, site="north", memory=memory)

    assert first.clusters == again.clusters
    assert caught.value.code == "data-changed"
    assert memory.snapshot_of(study.digest) == snapshot_of(
        table, study, key=memory.key()
    )


def test_what_the_gate_refuses_freezes_nothing(table, memory):
    """Nothing has left: the table may still be corrected."""
    strict = Policy(min_rows=10_000)
    with pytest.raises(Exception, match="rows"):
        release(
            STUDIES["logit"], FrameSource(table), strict, site="north", memory=memory
        )

    assert memory.snapshot_of(STUDIES["logit"].digest) is None
