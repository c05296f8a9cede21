"""Pseudo-data that meet moments and what is known at the anchor together."""

from dataclasses import replace

import numpy as np
import pytest

from fedglmm_flower.coordinator.anchored import AnchoredMoments
from fedglmm_flower.coordinator.pooling import fit_pseudo, pseudo_site
from fedglmm_flower.coordinator.pseudodata import generate
from fedglmm_flower.coordinator.starts import Starts
from fedglmm_flower.coordinator.targets import targets_of
from fedglmm_flower.coordinator.transport import HermiteMoments
from fedglmm_flower.errors import WireError
from tests.coordinator.questions import (
    SITES,
    pooled_fit,
    released_of,
    study_of,
    table_of,
)

STARTS = Starts.for_rows(3, 1024)
QUESTIONS = {
    "binomial": "y ~ a + b + h + (1 | site)",
    "poisson": "y ~ a + f + offset(log(t)) + (1 | site)",
}


def targets_at(study, frame, site):
    """A site's anchored sums."""
    answer = released_of(study, frame, site)
    statistics = study.statistics(answer.order, answer.release_set)
    return targets_of(study.model, statistics, answer.clusters[0], site)


@pytest.fixture(params=QUESTIONS)
def asked(request, rng):
    """A study with an anchored release, and its table."""
    study = study_of(
        QUESTIONS[request.param], request.param, order=2, release_set="anchored"
    )
    return study, table_of(request.param, rng, n=200)


def test_the_sums_at_the_anchor_are_met(asked):
    """Value, score, information and bend of pseudo-rows are the released ones."""
    study, frame = asked
    targets = targets_at(study, frame, "north")

    rows = generate(study.model, targets, STARTS)

    assert targets.anchored is not None
    functions = targets.anchored.expansion.values(rows.values)
    means = functions @ rows.weights / targets.total
    size = np.sqrt((functions**2) @ rows.weights / targets.total)
    assert np.abs((means - targets.anchored.means) / size).max() < 1e-6


def test_gradients_are_those_of_the_values(asked, rng):
    """Moments and anchored functions alike."""
    study, frame = asked
    anchored = targets_at(study, frame, "north").anchored
    assert anchored is not None
    factors = study.model.factors
    moving = [i for i, factor in enumerate(factors) if not factor]
    d = len(moving)
    moments = HermiteMoments(
        np.eye(d, dtype=int), np.ones((d, 1)), np.zeros(9, int), np.full(9, 1 / 9)
    )

    def place(points):
        values = np.zeros((9, len(factors)))
        values[:, moving] = points * 0.7
        return values

    start = rng.normal(size=(9, d))
    sds = np.full(d, 0.7)
    both = AnchoredMoments(moments, anchored, place, moving, sds, start)
    slopes = both.slopes(start)
    for row, k in ((0, 0), (4, d - 1)):
        step = np.zeros_like(start)
        step[row, k] = 1e-6
        change = (both.values(start + step) - both.values(start - step)) / 2e-6
        np.testing.assert_allclose(slopes[:, k, row] / 9, change, atol=1e-7)


def test_estimates_come_closer_than_by_moments_alone(asked):
    """The same order with an anchor is several times as accurate."""
    study, frame = asked
    pooled = pooled_fit(study, frame)
    shifts = []
    for bare in (False, True):
        targets = {site: targets_at(study, frame, site) for site in SITES}
        if bare:
            targets = {s: replace(t, anchored=None) for s, t in targets.items()}
        draws = {
            site: [pseudo_site(study.model, t, STARTS, k)]
            for k, (site, t) in enumerate(targets.items())
        }
        fit = fit_pseudo(study.model, targets, draws, "laplace", {"site": "site"})
        shifts.append(
            float(np.abs((fit.estimates - pooled.estimates) / pooled.se).max())
        )

    assert shifts[0] < 0.02
    assert shifts[0] < shifts[1] / 3


def test_a_damaged_release_names_the_site(asked):
    """An information matrix that no rows can have is refused."""
    study, frame = asked
    answer = released_of(study, frame, "north")
    statistics = study.statistics(2, "anchored")
    damaged = [
        -abs(v) * 1e6 if s.role == "information" else v
        for s, v in zip(statistics, answer.clusters[0].values, strict=True)
    ]
    cluster = type(answer.clusters[0])((), 200, tuple(damaged))

    with pytest.raises(WireError, match=r"'north'.*positive definite"):
        targets_of(study.model, statistics, cluster, "north")
