"""Released sums by role."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import gammaln

from fedglmm_flower.coordinator.targets import targets_of
from fedglmm_flower.errors import WireError
from fedglmm_flower.site import ClusterRelease
from fedglmm_flower.study.release import moment_degrees
from tests.coordinator.questions import (
    released_of,
    rows_of,
    study_of,
    table_of,
    targets_at,
)


def test_moments_are_means_under_the_weights(rng):
    """With prior weights, a moment is the weighted mean and the total their sum."""
    study = study_of("y ~ a + f + (1 | site)", "binomial", order=2, weights="w")
    frame = table_of("binomial", rng)

    found = targets_at(study, frame, "north")

    rows = rows_of(frame, "north")
    a, w = (rows["a"] - 1.0) / 2.0, rows["w"]
    assert found.total == pytest.approx(w.sum())
    assert found.weight_sum == pytest.approx(w.sum())
    assert found.n_rows == len(rows)
    assert found.moments[2, 0] == pytest.approx(np.average(a**2, weights=w))
    q = rows["f"] == "q"
    assert found.moments[1, 1] == pytest.approx(np.average(a * q, weights=w))
    assert found.responses[0, 1] == pytest.approx((w * rows["y"] * q).sum())


def test_poisson_measure_is_the_exposure(rng):
    """With an offset, rows count by their exposure; y * offset goes to the constant."""
    study = study_of("y ~ a + (1 | site)", "poisson", order=2, offset="log(t)")
    frame = table_of("poisson", rng)

    found = targets_at(study, frame, "north")

    rows = rows_of(frame, "north")
    y, logs = rows["y"], np.log(rows["t"])
    assert found.total == pytest.approx(rows["t"].sum())
    assert found.weight_sum == len(rows)
    assert found.constant == pytest.approx((y * logs - gammaln(y + 1)).sum())


def test_poisson_with_an_offset_has_a_lowest_order(rng):
    """Order 1 is a release like any other, with an offset too."""
    study = study_of("y ~ a + (1 | site)", "poisson", order=1, offset="log(t)")

    targets_at(study, table_of("poisson", rng), "north")


def test_lower_order_keeps_what_it_would_have_released(rng):
    """Lowering drops exactly the moments of a higher degree."""
    study = study_of("y ~ a + f + (1 | site)", "binomial", order=3)
    frame = table_of("binomial", rng)
    degrees = moment_degrees(study.model, 3)

    below = targets_at(study, frame, "north").lower(degrees, 2)

    direct = targets_at(study, frame, "north", order=2)
    assert dict(below.moments) == pytest.approx(dict(direct.moments))
    assert below.responses == direct.responses


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda c: replace(c, values=c.values[:-1]), "values; the study has"),
        (lambda c: replace(c, values=(*c.values, 0.0)), "values; the study has"),
        (lambda c: replace(c, n_rows=None), "values"),
        (lambda c: replace(c, n_rows=0), "0 rows"),
    ],
)
def test_a_release_of_another_shape_is_refused(change, match, rng):
    """Too few, too many or no rows behind the values: nothing is guessed."""
    study = study_of("y ~ a + (1 | site)", "binomial", order=2)
    answer = released_of(study, table_of("binomial", rng), "north")

    with pytest.raises(WireError, match=match):
        targets_of(
            study.model, study.statistics(2), change(answer.clusters[0]), "north"
        )


def test_a_measure_without_mass_is_refused():
    """Trials that sum to nothing leave no distribution to reproduce."""
    study = study_of("y ~ a + (1 | site)", "binomial", order=1, trials="m")
    statistics = study.statistics(1)
    cluster = ClusterRelease((), 5, (0.0,) * len(statistics))

    with pytest.raises(WireError, match="mass of its measure is 0"):
        targets_of(study.model, statistics, cluster, "north")
