"""Fits under noise: right where noise is weak, honest where it is strong."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.noise.one import TRUTH, Setting, releases
from fedglmm_flower.coordinator.fitting import Tick, silent
from fedglmm_flower.coordinator.noise import fit_under_noise
from fedglmm_flower.coordinator.noise_blocks import noisy_sums, starting_point
from fedglmm_flower.coordinator.noise_bootstrap import Bootstrap, bootstrap
from fedglmm_flower.coordinator.noise_fit import fit_noisy, simulated
from fedglmm_flower.coordinator.noise_population import nearest
from fedglmm_flower.errors import FitError


@pytest.fixture(scope="module")
def noisy():
    """20 sites of 1,000 rows at epsilon 3, with an anchor that is off by 0.3."""
    return releases(Setting(1000, 3.0, "public", 2, 0.3), 11)


@pytest.fixture(scope="module")
def fitted(noisy):
    """Their sums and the fit."""
    sums = noisy_sums(*noisy)
    return sums, fit_noisy(sums, starting_point(noisy[0], sums))


def test_estimates_are_near_the_truth_although_the_anchor_is_not(fitted):
    """The quadratic at the anchor alone would be off by 0.06."""
    _, fit = fitted
    errors = (fit.mixed.fixed - TRUTH) / np.sqrt(np.diag(fit.mixed.covariance))
    assert fit.converged
    assert np.abs(errors).max() < 3.5
    assert 0.15 < np.sqrt(fit.mixed.sigmas[0][0, 0]) < 0.5
    assert np.all(np.diag(fit.mixed.covariance) > np.diag(fit.plain))


def test_where_the_fit_starts_does_not_matter(noisy, fitted):
    """Neither the anchor nor a point far from it decides."""
    sums, fit = fitted
    again = fit_noisy(sums, np.zeros(5))
    moved = (again.mixed.fixed - fit.mixed.fixed) / np.sqrt(np.diag(fit.plain))
    assert np.abs(moved).max() < 0.05


def test_more_noise_means_wider_intervals(fitted):
    """The covariance of the noise is part of that of the estimates."""
    sums, fit = fitted
    more = fit_noisy(replace(sums, variances=9 * sums.variances), fit.mixed.fixed)
    grown = np.diag(more.mixed.covariance) / np.diag(fit.mixed.covariance)
    assert np.all(grown > 1.05)
    assert grown[3:].min() > 1.5


def test_impossible_sums_are_projected_onto_possible_ones(fitted):
    """Whatever the noise did, what is fitted is a measure on records."""
    sums, fit = fitted
    records, center = sums.records[0], sums.design @ fit.mixed.fixed
    pooled = np.sum(sums.sums, axis=0)
    absurd = pooled.copy()
    absurd[records.of_columns] *= -3.0
    absurd[-1] = pooled[-1]
    variance = np.full(len(pooled), float(sums.variances.sum()))
    for goal in (pooled, absurd):
        shares = nearest(records, center, goal, variance)
        assert np.all(shares >= 0)
        assert shares.sum() == pytest.approx(1.0)
    near = records.expected(center) @ nearest(records, center, pooled, variance)
    at = records.of_columns
    missed = pooled[at] - near[at] / near[-1] * pooled[-1]
    # Within a few standard deviations of the noise of each sum.
    assert np.abs(missed).max() < 6 * np.sqrt(variance[0])


def test_simulated_sums_are_like_the_released_ones(fitted):
    """The bootstrap draws from what was fitted: mean and size of the noise agree."""
    sums, fit = fitted
    rng = np.random.default_rng(1)
    drawn = [simulated(sums, fit, rng).sums for _ in range(10)]
    ours = np.array(drawn).mean(axis=(0, 1))
    theirs = np.mean(sums.sums, axis=0)
    spread = np.std(drawn[0], axis=0) / np.sqrt(len(sums.sums))
    assert np.abs((ours - theirs) / spread).max() < 5.0


def test_a_bootstrap_goes_on_where_it_was_interrupted(fitted, tmp_path):
    """Draws are kept one by one; a line that was cut off is drawn again."""
    sums, fit = fitted
    store = tmp_path / "draws.jsonl"
    told: list[tuple[int, int]] = []

    def tick(_stage: str, done: int, total: int) -> None:
        told.append((done, total))

    def run(draws: int, store: Path | None, tick: Tick = silent) -> Bootstrap:
        return bootstrap(
            sums, fit, draws=draws, seed=5, tick=tick, store=store, workers=1
        )

    run(2, store)
    kept = store.read_text().splitlines()[0]
    store.write_text(store.read_text() + '{"key": "cut')
    resumed = run(3, store, tick)
    fresh = run(3, None)
    assert told[0] == (2, 3)
    assert np.array_equal(resumed.fixed, fresh.fixed)
    assert json.loads(kept)["draw"] == 0
    assert resumed.failed == 0


def test_what_the_draws_are_off_by_is_taken_off():
    """Bias correction, and refusal where too many draws failed."""
    draws = Bootstrap(np.array([[1.2], [1.4]]), np.array([[0.2], [0.2]]), 0)
    assert draws.corrected(np.array([1.0])) == pytest.approx([0.7])
    assert draws.corrected_sds(np.array([0.3])) == pytest.approx([0.45])
    assert draws.usable
    assert not replace(draws, failed=3).usable


def test_an_outcome_by_draws_uses_them(noisy):
    """Estimates are corrected and intervals are those of the draws."""
    study, opened = noisy
    outcome = fit_under_noise(study, opened, 3, silent, draws=3)
    assert outcome.draws is not None
    assert np.allclose(outcome.covariance, outcome.draws.covariance)
    assert np.allclose(
        outcome.fixed + outcome.draws.fixed.mean(axis=0), 2 * outcome.fit.mixed.fixed
    )


def test_noise_that_leaves_nothing_is_an_error_or_a_wide_interval(fitted):
    """Never a narrow one."""
    sums, fit = fitted
    drowned = replace(
        simulated(
            replace(sums, variances=1e6 * sums.variances),
            fit,
            np.random.default_rng(2),
        )
    )
    try:
        lost = fit_noisy(drowned, fit.mixed.fixed)
    except FitError:
        return
    grown = np.diag(lost.mixed.covariance) / np.diag(fit.mixed.covariance)
    assert grown.min() > 4.0 or not lost.converged
