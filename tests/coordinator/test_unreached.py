"""Sites whose sums no smooth pseudo-data reach."""

from dataclasses import replace

import numpy as np
import pytest

from fedglmm_flower.coordinator.advice import missed_warnings
from fedglmm_flower.coordinator.drawing import met
from fedglmm_flower.coordinator.fitting import fit_releases, silent
from fedglmm_flower.coordinator.opening import Opened
from fedglmm_flower.coordinator.pooling import PseudoSite, pseudo_site
from fedglmm_flower.coordinator.pseudodata import PseudoRows
from fedglmm_flower.coordinator.starts import Starts
from fedglmm_flower.coordinator.targets import targets_of
from fedglmm_flower.coordinator.unreached import (
    UNMATCHED,
    UNREACHED,
    fewer_sums,
    with_unmet,
    within_reach,
)
from fedglmm_flower.study.release import moment_degrees
from tests.coordinator.questions import (
    pooled_fit,
    released_of,
    study_of,
    table_of,
)

FORMULA = "y ~ c + h + (1 | site)"


def drawn(residual):
    """Pseudo-data that miss their sums by so much."""
    nothing = np.zeros(0)
    rows = PseudoRows(np.zeros((0, 1)), nothing, residual, exact=False)
    return PseudoSite(rows, nothing, residual)


@pytest.mark.parametrize(
    ("residuals", "kept"),
    [
        ([0.0, 0.005, 0.009], [0.0, 0.005, 0.009]),
        ([0.0, 0.005, 0.011], [0.0, 0.005]),
        ([0.02, 0.039, 0.041, 0.5], [0.02, 0.039]),
        ([0.3], [0.3]),
    ],
)
def test_draws_that_miss_far_more_than_others_are_left_out(residuals, kept):
    """Twice the best, or what counts as met, whichever is more."""
    assert UNMATCHED == 0.01
    assert [d.residual for d in met([drawn(r) for r in residuals])] == kept


def federation(*, outlier):
    """Opened releases of four sites, one of which may have a patient far off."""
    study = study_of(FORMULA, "poisson", release_set="anchored", order=2)
    frame = table_of("poisson", np.random.default_rng(0), n=80)
    if outlier:
        frame.loc[frame.index[5], ["c", "y"]] = [25.0, 20.0]
    opened = {}
    for site in study.sites:
        released = released_of(study, frame, site)
        statistics = study.statistics(2, "anchored")
        targets = targets_of(study.model, statistics, released.clusters[0], site)
        opened[site] = Opened(released, (targets,), 0)
    return study, frame, opened


def fitted(study, opened):
    """The fit of one round."""
    return fit_releases(study, opened, "laplace", 1, silent)


def worst_shift(study, frame, found):
    """Largest distance of a coefficient from the pooled fit, in standard errors."""
    pooled = pooled_fit(study, frame)
    return float((np.abs(found.model.estimates - pooled.estimates) / pooled.se).max())


def test_a_patient_far_off_leaves_what_is_known_at_the_anchor():
    """The site is named, what it misses is told, and the fit stays near the pooled."""
    study, frame, opened = federation(outlier=True)
    found = fitted(study, opened)

    assert found.reduced == ("east",)
    assert worst_shift(study, frame, found) < 0.05
    assert found.residuals["east",] > UNMATCHED
    (warning, reduced) = missed_warnings(study, found)
    assert "the pseudo-data of 'east' miss" in warning
    assert "the moments of 'east' are out of reach" in reduced
    # Its columns have no bounds.
    assert "take its logarithm, or declare the bounds of 'c')" in warning


def test_sites_within_reach_lose_nothing():
    """Without such a patient all sums are used, and met."""
    study, frame, opened = federation(outlier=False)
    found = fitted(study, opened)

    assert found.reduced == ()
    assert missed_warnings(study, found) == []
    assert found.residual < UNMATCHED
    assert worst_shift(study, frame, found) < 0.05


def test_the_largest_selection_that_is_met_is_taken():
    """Without the bend, then first moments, then both; None where none is needed."""
    study, _, opened = federation(outlier=False)
    (targets,) = opened["east"].targets
    degrees = moment_degrees(study.model, 2)
    selections = [fewer for _, fewer in fewer_sums(targets, degrees)]
    sizes = [len(t.moments) + len(t.anchored.means) for t in selections if t.anchored]

    def found(*residuals):
        draws = iter([drawn(r) for r in residuals])
        return within_reach(drawn(1.0), targets, degrees, lambda _: next(draws))

    assert [order for order, _ in fewer_sums(targets, degrees)] == [2, 1, 1]
    assert targets.anchored is not None
    assert len(targets.moments) + len(targets.anchored.means) > max(sizes)
    assert sizes[2] == min(sizes)
    assert within_reach(drawn(UNREACHED), targets, degrees, drawn) is None
    assert found(0.5, 0.5, 0.5) is None
    taken = found(0.5, 0.001)
    assert taken is not None
    assert (taken[0].residual, taken[1]) == (0.001, 1)
    assert not list(fewer_sums(replace(targets, anchored=None), degrees))


def test_what_is_left_out_at_the_anchor_counts_as_missed():
    """Pseudo-data that meet everything but the bend do not meet everything."""
    study, _, opened = federation(outlier=False)
    (targets,) = opened["east"].targets
    bend = np.full_like(targets.anchored.bend, 9.0)
    other = replace(targets, anchored=replace(targets.anchored, bend=bend))
    made = pseudo_site(study.model, other.unbent(), Starts.for_rows(1, 500), 0)

    assert made.residual < UNMATCHED
    assert with_unmet(made, targets.unbent()).residual < UNMATCHED
    assert with_unmet(made, other).residual > 1.0
    assert with_unmet(made, replace(targets, anchored=None)) is made
