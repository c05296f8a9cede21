"""Sums that no rows can have are refused, and those of any rows are not."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedglmm_flower.coordinator.plausible import require_plausible
from fedglmm_flower.errors import WireError
from fedglmm_flower.site import NO_DISCLOSURE_CONTROL, FrameSource, release
from tests.site.conftest import STUDIES, ask, patients

ANCHORED = ask(
    "died ~ age + female + (1 | hospital)", "binomial", release_set="anchored", order=3
)


def sums_of(study, frame):
    """Statistics and a cluster's values."""
    answer = release(study, FrameSource(frame), NO_DISCLOSURE_CONTROL, site="north")
    return study.statistics(answer.order, answer.release_set), answer.clusters[0]


@pytest.mark.parametrize("name", STUDIES)
@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 40), seed=st.integers(0, 999))
def test_sums_of_rows_pass(name, n, seed):
    """However few the rows are and whatever is constant in them."""
    study = STUDIES[name]
    statistics, cluster = sums_of(study, patients(n, seed))

    require_plausible(study.model, statistics, cluster, "north")


FAULTS = {
    "combination of levels has": lambda s, v: (
        500.0 if s.role == "x" and s.monomial == (0, 1) else v
    ),
    "sum of squares": lambda s, v: -9.0 if s.monomial == (2, 0) else v,
    "contradict": lambda s, v: 1e-3 * v if s.monomial == (2, 0) else v,
    "mean of 'age'": lambda s, v: 4e4 if s.role == "x" and s.monomial == (1, 0) else v,
    "events in": lambda s, v: 401.0 if (s.role, s.monomial) == ("y", (0, 0)) else v,
    "is negative": lambda s, v: -3.0 if (s.role, s.monomial) == ("y", (0, 1)) else v,
    "positive functions": lambda s, v: -v if s.role == "value" else v,
}


@pytest.mark.parametrize("what", FAULTS)
def test_what_no_rows_have_is_named(what):
    """The site and the violated condition, and no number of another site."""
    statistics, cluster = sums_of(ANCHORED, patients(400))
    assert ANCHORED.model.factors == (False, True)
    values = zip(statistics, cluster.values, strict=True)
    broken = replace(cluster, values=tuple(FAULTS[what](s, v) for s, v in values))

    with pytest.raises(WireError, match=f"'north'.*{what}"):
        require_plausible(ANCHORED.model, statistics, broken, "north")
