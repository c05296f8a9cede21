"""Marks of numbers: equal for equal ones, and hardly ever for others."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedglmm_flower.glmm.evaluate import atom_rows
from fedglmm_flower.glmm.table import typed_table
from fedglmm_flower.site.column_marks import Marker, is_copy, marked_columns
from tests.site.conftest import COLUMNS, ask, patients


@given(st.lists(st.floats(allow_nan=False), min_size=1), st.binary(max_size=64))
def test_equal_numbers_have_equal_marks(numbers, key):
    """Wherever they stand; both zeros are one number."""
    marker, values = Marker.of(key), np.array(numbers)
    zeros = np.where(values == 0, -values, values)

    np.testing.assert_array_equal(marker.marks(values), marker.marks(zeros))
    np.testing.assert_array_equal(
        marker.marks(values)[::-1], marker.marks(values[::-1])
    )


def test_other_numbers_have_other_marks_but_for_one_in_65536(rng):
    """Neighbouring floats, whole numbers, and ages to a tenth of a year."""
    marker, n = Marker.of(b"k" * 32), 2_000_000
    normal = rng.normal(size=n)
    for one, two in (
        (normal, normal * (1 + 2.0**-52)),
        (np.arange(n) + 0.0, np.arange(n) + 1.0),
    ):
        # Of independent draws 30.5 are expected.
        first, second = (marker.marks(np.asarray(x, np.float64)) for x in (one, two))
        assert (first == second).sum() < 30.5 + 6 * 5.5

    ages = np.arange(0, 120, 0.1)
    marks = marker.marks(np.round(ages, 1))
    assert len(np.unique(marks)) > len(ages) - 40


def test_without_the_secret_a_mark_is_another(rng):
    """Two sites share no marks, so that one's record is no key to another's."""
    values = rng.normal(size=100_000)
    one, two = (Marker.of(key).marks(values) for key in (b"north", b"south"))

    assert np.mean(one == two) < 1e-4


def test_everything_that_is_summed_is_marked_at_its_raw_scale():
    """Columns, expressions, response, weights, trials and offset; no level."""
    study = ask(
        "cbind(count, trials - count) ~ log(age) + female + stage "
        "+ offset(log(exposure))",
        "binomial",
        weights="weight",
    )
    model, frame = study.moment_model, patients(20)
    table = typed_table(frame, [c for c in COLUMNS if c.name in model.used_columns])
    found = marked_columns(model, table.columns, atom_rows(model, table))

    raw = {"age", "count", "trials", "exposure", "weight", "female"}
    assert raw | {"log(age)", "log(exposure)", "weights weight"} <= set(found)
    assert "stage" not in found
    np.testing.assert_array_equal(found["log(age)"], np.log(frame.age))


def test_a_corrected_column_is_a_copy_and_another_is_none(rng):
    """Unlike two small counts, which are equal in many rows by chance."""
    marker = Marker.of(b"")
    drawn = [rng.normal(60, 9, (2, 500)), *rng.poisson([[[1.5]], [[0.1]]], (2, 2, 500))]
    for column, other in drawn:
        corrected = column + np.where(np.arange(500) % 50 == 0, 1.0, 0.0)
        one, two, three = map(marker.marks, (column + 0.0, corrected, other + 0.0))
        assert is_copy(one, two)
        assert not is_copy(one, three)


def test_columns_of_two_values_are_no_copies():
    """Of a level and an event, half of either being the other is chance."""
    one = np.repeat([0.0, 1.0], 50)
    first, second = (Marker.of(b"").marks(x) for x in (one, np.roll(one, 3)))

    assert not is_copy(first, second)
