"""Rows to sums: equal to direct sums, and additive over any division of the rows."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import gammaln

from fedglmm_flower.errors import DataError, EmptySiteError
from fedglmm_flower.site import summarise as module
from fedglmm_flower.site.source import CsvSource, FrameSource
from fedglmm_flower.study.shapes import SHAPES
from tests.site.conftest import STUDIES, ask, moments_of, patients


def direct(study, t):
    """The sums of a study, written out by hand for each row."""
    model = study.model
    y = t["count"] if study.family == "poisson" or model.trials else t["died"]
    if study.family in ("gamma", "nbinom2"):
        y = t[model.response.name]
    if study.family == "gaussian":
        response = model.response
        log = response.name.startswith("log")
        y = (
            np.log(t["exposure"])
            if log
            else t["cost"] - (t["exposure"] if model.offset else 0)
        )
        y = (y - response.center) / response.scale
    w = t["weight"] if model.weights else np.ones(len(t))
    offset = np.log(t["exposure"])
    m = t["trials"] if model.trials else 1
    if study.family in ("poisson", "nbinom2"):
        constant = -gammaln(y + 1)
    elif study.family == "gamma":
        constant = -np.log(y)
    else:
        constant = gammaln(m + 1) - gammaln(y + 1) - gammaln(m - y + 1)
    measures = {"rows": 1.0, "trials": m, "exposure": np.exp(offset)}
    measures["amount"] = y * np.exp(-offset if model.offset else 0.0)
    values = []
    for s in study.statistics(study.order):
        function = np.ones(len(t))
        for atom, e in zip(model.atoms, s.monomial, strict=True):
            if atom.name in ("female", "stage") and e:
                function = function * (t[atom.name].astype(str) == atom.levels[e])
            elif e:
                raw = {"log(cost + 1)": np.log(t["cost"] + 1), "log(exposure)": offset}
                x = raw.get(atom.name, t.get(atom.name))
                function = function * ((x - atom.center) / atom.scale) ** e
        role = {
            "x": measures[s.measure],
            "y": y,
            "yy": y * y,
            "y_offset": y * offset,
            "offset": offset,
            "shape": gammaln(y + SHAPES[s.column]) - gammaln(SHAPES[s.column]),
            "constant": constant,
        }
        values.append(float(np.sum(w * function * role[s.role])))
    return values


@pytest.mark.parametrize("name", STUDIES)
def test_sums_equal_direct_sums_over_all_rows(name, table):
    """Each family's own sums, with weights, trials and exposure where they belong."""
    study = STUDIES[name]
    found = moments_of(study, table)

    assert (len(table), 0) == (found.n_rows, found.n_missing)
    # At large shapes the differences of gamma functions written out lose digits.
    far = 1e-6 if study.family == "nbinom2" else 1e-10
    np.testing.assert_allclose(found.values, direct(study, table), rtol=far)


@pytest.mark.parametrize("name", STUDIES)
@settings(max_examples=15, deadline=None)
@given(cut=st.integers(1, 59), size=st.integers(1, 61), seed=st.integers(0, 999))
def test_sums_are_additive_and_do_not_know_the_batch(name, cut, size, seed):
    """Any division of the rows, in any order, has the same sums and counts."""
    study, frame = STUDIES[name], patients(60, seed)
    shuffled = frame.sample(frac=1, random_state=seed)
    whole = moments_of(study, frame)
    first, second = moments_of(study, shuffled[:cut]), moments_of(study, shuffled[cut:])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FrameSource, "batches", small_batches(size))
        batched = moments_of(study, frame)

    for found in (first.values + second.values, batched.values):
        np.testing.assert_allclose(found, whole.values, rtol=1e-9, atol=1e-9)
    assert first.n_rows + second.n_rows == batched.n_rows == 60
    for known, one in whole.dominance.items():
        other = batched.dominance[known]
        assert (one.largest, one.second) == (other.largest, other.second)
        assert one.total == pytest.approx(other.total)
    np.testing.assert_array_equal(batched.cells.codes, whole.cells.codes)
    np.testing.assert_array_equal(batched.cells.rows, whole.cells.rows)


def small_batches(size):
    """Batches of another size than was asked for."""

    def batches(self, columns, rows):
        for start in range(0, len(self.frame), size):
            yield self.frame.iloc[start : start + size][list(columns)]

    return batches


def test_a_batch_is_bounded_by_the_number_of_sums(table, monkeypatch):
    """Memory follows the batch, not the table."""
    asked = []
    original = FrameSource.batches

    def spy(self, columns, rows):
        asked.append(rows)
        return original(self, columns, rows)

    monkeypatch.setattr(FrameSource, "batches", spy)
    monkeypatch.setattr(module, "_CELLS_PER_BATCH", 100_000)
    study = STUDIES["logit"]
    moments_of(study, table)

    assert len(asked) == 1
    assert asked[0] * len(study.statistics(study.order)) <= 100_000


def test_a_file_and_a_frame_have_the_same_sums(table, tmp_path):
    """Text and native values are one table."""
    table.to_csv(tmp_path / "t.csv", index=False)
    study = STUDIES["logit"]
    by_file = module.summarise(study, CsvSource(tmp_path / "t.csv"), site="north")

    np.testing.assert_array_equal(by_file.values, moments_of(study, table).values)


def test_missing_rows_are_dropped_counted_and_summed_nowhere(table):
    """A missing value in a used column drops the row; in another it does not."""
    study = STUDIES["poisson"]
    broken = table.assign(cost=np.nan)
    broken.loc[:9, "age"] = np.nan
    broken.loc[5:14, "stage"] = None
    found = moments_of(study, broken)
    complete = moments_of(study, table[15:])

    assert (found.n_rows, found.n_missing) == (385, 15)
    np.testing.assert_allclose(found.values, complete.values, rtol=1e-12)
    assert found.dominance == pytest.approx(complete.dominance)


def test_a_row_of_zero_weight_is_absent(table):
    """From sums, counts, cells and dominance."""
    study = STUDIES["gaussian, weights"]
    light = table.copy()
    light.loc[:99, "weight"] = 0.0
    light.loc[0, "cost"] = 1e9
    found, expected = moments_of(study, light), moments_of(study, table[100:])

    assert (found.n_rows, found.n_missing) == (300, 0)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-12)
    np.testing.assert_array_equal(found.cells.rows, expected.cells.rows)
    assert found.dominance["cost"].largest == expected.dominance["cost"].largest


@pytest.mark.parametrize("rows", [0, 3])
def test_a_site_without_a_complete_row_is_empty(table, rows):
    """A refusal of its own, not sums of zero."""
    empty = table[:rows].assign(age=np.nan)
    with pytest.raises(EmptySiteError, match="no complete row"):
        moments_of(STUDIES["logit"], empty)


def test_a_sum_that_overflows_is_refused(table):
    """With the way out: centre and scale."""
    huge = table.assign(cost=1e200)
    with pytest.raises(DataError, match="overflows"):
        moments_of(ask("count ~ cost", "poisson", order=4), huge)


@pytest.mark.parametrize("value", [-1.0, -0.5])
def test_a_negative_weight_is_refused(table, value):
    """It would take rows away from sums that others can subtract."""
    with pytest.raises(DataError, match="1 row with a negative weight"):
        moments_of(
            STUDIES["gaussian, weights"],
            table.assign(weight=[value] + [1.0] * 399),
        )


def test_fewer_trials_than_events_are_refused(table):
    """In whichever batch they stand."""
    study = ask("count ~ age", "binomial", trials="trials")
    table.loc[399, "count"] = 99.0
    with pytest.raises(DataError, match="1 row with more events than trials"):
        moments_of(study, table)


def test_a_faulty_cell_of_a_later_batch_is_found_by_its_row(table, monkeypatch):
    """Rows are counted over batches."""
    monkeypatch.setattr(FrameSource, "batches", small_batches(50))
    table["age"] = table["age"].astype(object)
    table.loc[320, "age"] = "old"
    with pytest.raises(DataError, match="row 321 holds text"):
        moments_of(STUDIES["logit"], table)


def test_events_are_counted_where_the_response_is_one(table):
    """Events and the others of each cell; trials count as often as they are."""
    study = ask("died ~ female", "binomial")
    cells = moments_of(study, table).cells
    expected = pd.crosstab(table["female"], table["died"])

    np.testing.assert_array_equal(np.c_[cells.others, cells.events], expected)
    assert moments_of(ask("died ~ female"), table).cells.events is not None
    assert moments_of(ask("cost ~ female"), table).cells.events is None
    with_trials = ask("count ~ female", "binomial", trials="trials")
    cells = moments_of(replace(with_trials, order=2), table).cells
    rest = (table["trials"] - table["count"]).groupby(table["female"]).sum()

    np.testing.assert_array_equal(cells.others, rest)
