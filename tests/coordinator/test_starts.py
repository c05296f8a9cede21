"""Quasi-random scores from which pseudo-rows start."""

import numpy as np
import pytest
from scipy.stats import kstest

from fedglmm_flower.coordinator.starts import Starts


def test_scores_are_standard_normal():
    """Each coordinate of a block is closer to a Gaussian than a random sample is."""
    scores = Starts.for_rows(1, 1000).scores(1000, 3, block=5)

    assert scores.shape == (1000, 3)
    for column in scores.T:
        assert kstest(column, "norm").statistic < 0.02
    assert np.abs(np.corrcoef(scores.T) - np.eye(3)).max() < 0.05


def test_seed_and_block_alone_decide():
    """The same seed and block give the same scores; another of either, others."""
    starts = Starts.for_rows(1, 100)
    first = starts.scores(100, 2, block=3)

    np.testing.assert_array_equal(Starts.for_rows(1, 100).scores(100, 2, 3), first)
    assert np.abs(starts.scores(100, 2, 4) - first).min() > 0
    assert np.abs(Starts.for_rows(2, 100).scores(100, 2, 3) - first).min() > 0


def test_blocks_of_one_sequence_complement_each_other():
    """Together, blocks fill the strata that each one leaves open."""
    starts = Starts.for_rows(1, 64)
    together = np.concatenate([starts.scores(64, 1, block) for block in range(8)])

    # 512 points of one Sobol sequence: one in each of 512 equal strata.
    ranks = kstest(together[:, 0], "norm").statistic

    assert ranks <= 1 / 512 + 1e-9


def test_a_prefix_of_the_rows_is_spread_as_the_whole():
    """Any run of rows is dealt out evenly, as cells take runs of them."""
    scores = Starts.for_rows(1, 1024).scores(1024, 2, block=0)

    for part in np.array_split(scores, 8):
        assert np.abs(part.mean(axis=0)).max() < 0.25


@pytest.mark.parametrize("rows", [1, 2, 3, 63, 64, 65, 200])
def test_any_number_of_rows_is_served(rows):
    """Also more rows than a block holds, without a warning."""
    scores = Starts(1, 64).scores(rows, 2, block=1)

    assert scores.shape == (rows, 2)
    assert np.isfinite(scores).all()


def test_far_blocks_are_scrambled_anew():
    """Beyond the longest sequence another one begins, and nothing repeats."""
    starts = Starts(1, 2**20)

    assert np.abs(starts.scores(4, 1, 0) - starts.scores(4, 1, 4)).min() > 0


def test_skewed_scores_have_the_same_mean_and_variance():
    """A skewed start differs in what sums to order two leave open, and in no more."""
    starts = Starts(seed=1, block_size=1024, skewed=True)
    scores = starts.scores(1000, 2, block=5)

    np.testing.assert_allclose(scores.mean(axis=0), 0.0, atol=0.03)
    np.testing.assert_allclose(scores.std(axis=0), 1.0, atol=0.05)
    assert ((scores**3).mean(axis=0) > 1.5).all()
