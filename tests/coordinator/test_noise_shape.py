"""What low moments leave open under noise, and how far the answer moves."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.noise.one import Setting, releases
from fedglmm_flower.coordinator.noise_blocks import noisy_sums, starting_point
from fedglmm_flower.coordinator.noise_fit import fit_noisy
from fedglmm_flower.coordinator.noise_population import nearest, records_of
from fedglmm_flower.coordinator.noise_shape import shape_error, shape_missed, skewed
from fedglmm_flower.site.features import Features
from fedglmm_flower.site.public_scales import public_weights
from fedglmm_flower.study import read_study

STUDY = Path(__file__).parents[2] / "examples" / "noise" / "study.toml"


@pytest.fixture(scope="module")
def records():
    """Of a rare outcome: clipping makes the count depend on the population."""
    study = read_study(STUDY)
    features = Features(study.model, study.statistics(2, "public"), study.anchor_values)
    return records_of(study, "public", 2, public_weights(features), 1.25)


@pytest.mark.parametrize("noise", [1e-4, 1e2])
def test_sums_of_a_skewed_population_are_matched(records, noise):
    """In proportion to the count, whose expectation is another one there."""
    center = np.zeros(records.columns.shape[1])
    truth = records.expected(center) @ skewed(records)
    shares = nearest(records, center, 1e5 * truth, np.full(len(truth), noise))
    found = records.expected(center) @ shares
    at = records.of_columns

    assert found[at] / found[-1] == pytest.approx(truth[at] / truth[-1], abs=1e-3)


def test_what_sums_tell_of_is_not_missed(records):
    """One number and a 0/1 column: order 2 tells their shape at an anchor."""
    center = np.zeros(records.columns.shape[1])
    missed = shape_missed(records, center)
    spread = records.expected(center).std(axis=1) + 1e-9

    assert np.abs(missed / spread).max() < 1e-3


def test_the_stated_error_is_that_of_the_shape():
    """Canonical sums leave it open, and those at an anchor do not."""
    found = {}
    for name in ("canonical", "public"):
        study, opened = releases(Setting(1000, 3.0, name, 2), 11)
        sums = noisy_sums(study, opened)
        fit = fit_noisy(sums, starting_point(study, sums))
        errors = np.sqrt(np.diag(fit.mixed.covariance))
        found[name] = (shape_error(sums, fit) / errors).max()

    assert found["public"] < 0.1
    assert found["canonical"] > 5 * found["public"]
