"""Weights that take up what movement leaves."""

import numpy as np
import pytest

from fedglmm_flower.coordinator.tilting import tilt


@pytest.fixture
def cloud(rng):
    """Points with a few functions, and equal weights."""
    x = rng.normal(size=(2, 300))
    return np.vstack([x, x**2, x[:1] * x[1:]]), np.full(300, 1 / 300)


def test_a_small_gap_is_closed_by_a_small_correction(cloud):
    """The means are met, weights stay positive and near to equal."""
    functions, weights = cloud
    means = functions @ weights + 0.02

    found = tilt(weights, functions, means)

    assert found.mild
    np.testing.assert_allclose(functions @ found.weights, means, atol=1e-10)
    assert found.weights.sum() == pytest.approx(1.0, abs=1e-10)
    assert (found.weights > 0).all()
    assert found.strength < 1.5


def test_no_gap_is_no_correction(cloud):
    """What is met already is left as it is."""
    functions, weights = cloud

    found = tilt(weights, functions, functions @ weights)

    np.testing.assert_allclose(found.weights, weights, rtol=1e-10)


def test_repeated_functions_do_no_harm(cloud):
    """A function that says what another says is no contradiction."""
    functions, weights = cloud
    twice = np.vstack([functions, functions[:1], np.zeros((1, 300))])

    found = tilt(weights, twice, twice @ weights + [0.01, 0, 0, 0, 0, 0.01, 0])

    assert found.mild


def test_means_out_of_reach_are_no_correction(cloud):
    """Beyond the largest value of a function there is no weight to find."""
    functions, weights = cloud
    means = functions @ weights
    means[0] = functions[0].max() + 1.0

    assert not tilt(weights, functions, means).mild
