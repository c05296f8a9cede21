"""The guard on which every sensitivity rests: integers of bounded norm, exactly."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedglmm_flower.site.fixed_point import BITS, guarded, radius
from fedglmm_flower.site.privacy import MAX_COORDINATES, MAX_NORM

# fmt: off
NASTY = [
    0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, -5e-324, 2.2e-308, 1e308, -1e308,
    1.7976931348623157e308, 1e154, 1.5, -1.5, 2.0**-20, 2.0**-21, 1e-200,
]
# fmt: on
NUMBERS = st.one_of(st.sampled_from(NASTY), st.floats(width=64), st.floats(-3, 3))
NORMS = st.one_of(st.sampled_from([2.0**-8, 1.0, 1.5, MAX_NORM]), st.floats(0.01, 8.0))
ROWS = st.integers(1, 6).flatmap(
    lambda width: arrays(
        np.float64, st.tuples(st.integers(1, 5), st.just(width)), elements=NUMBERS
    )
)


def squares(row) -> int:
    """Sum of squares in Python's unbounded integers."""
    return sum(int(v) ** 2 for v in row)


@given(ROWS, NORMS)
@example(np.array(NASTY)[None], 1.5)
@settings(max_examples=400, deadline=None)
def test_no_floats_whatever_break_the_norm(features, norm):
    """NaN, infinities, the largest and the smallest numbers, and minus zero."""
    for row in guarded(features, norm):
        assert squares(row) <= radius(norm) ** 2


@given(ROWS, NORMS)
@settings(max_examples=200, deadline=None)
def test_neighbours_differ_by_no_more_than_each_relation_says(features, norm):
    """One record emptied, added or taken away: the norm; one exchanged: twice that."""
    whole = guarded(features, norm)
    for one in whole:
        for other in whole:
            difference = [int(a) - int(b) for a, b in zip(one, other, strict=True)]
            assert squares(one) <= radius(norm) ** 2
            assert squares(difference) <= (2 * radius(norm)) ** 2


@given(ROWS, NORMS)
@settings(max_examples=200, deadline=None)
def test_a_record_becomes_the_same_wherever_it_stands(features, norm):
    """Else one record more would move the last bit of others."""
    whole = guarded(features, norm)
    for i, row in enumerate(features):
        assert (guarded(row[None], norm)[0] == whole[i]).all()
        assert (guarded(np.asfortranarray(features), norm)[i] == whole[i]).all()


def test_short_records_are_kept_to_a_step_and_long_ones_keep_their_direction():
    """Clipping is no more than it has to be."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(500, 12))
    features /= np.linalg.norm(features, axis=1)[:, None]
    features *= np.linspace(0.1, 4.0, 500)[:, None]
    lengths = np.linalg.norm(features, axis=1)
    expected = features * np.minimum(1.0, 1.5 / lengths)[:, None]
    found = guarded(features, 1.5) * 2.0**-BITS

    assert np.abs(found - expected).max() < 2.5 * 2.0**-BITS


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e307])
def test_scale_alone_does_not_empty_a_record(scale):
    """Squares of such numbers vanish or overflow; the record must do neither."""
    found = guarded(np.array([[3.0, 4.0]]) * scale, 1.0)[0]
    expected = [0.6, 0.8] if scale > 1 else [0.0, 0.0]

    assert found * 2.0**-BITS == pytest.approx(expected, abs=2e-6)


def test_the_widest_record_cannot_overflow_the_integers():
    """The largest norm and most coordinates at once."""
    widest = np.full((1, MAX_COORDINATES), 1e300)

    assert squares(guarded(widest, MAX_NORM)[0]) <= radius(MAX_NORM) ** 2
    with pytest.raises(ValueError, match="out of range"):
        guarded(np.zeros((1, MAX_COORDINATES + 1)), 1.0)
    with pytest.raises(ValueError, match="out of range"):
        guarded(np.zeros((1, 1)), 2 * MAX_NORM)
