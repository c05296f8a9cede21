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
    "information under rows": lambda s, v: -v if s.role == "information" else v,
    "not positive semidefinite": lambda s, v: (
        1e-3 * v if (s.role, s.monomial) == ("information", (2, 0)) else v
    ),
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


@pytest.mark.parametrize("measure", ["others", "events"])
def test_either_function_of_two_is_convex(measure):
    """A likelihood with two measures has an information of each."""
    study = ask(
        "died ~ age + female + (1 | hospital)",
        "binomial",
        link="probit",
        release_set="anchored",
        order=2,
    )
    statistics, cluster = sums_of(study, patients(400))
    values = [
        -v if (s.role, s.measure) == ("information", measure) else v
        for s, v in zip(statistics, cluster.values, strict=True)
    ]

    require_plausible(study.model, statistics, cluster, "north")
    with pytest.raises(WireError, match=f"information under {measure} is negative"):
        require_plausible(
            study.model, statistics, replace(cluster, values=tuple(values)), "north"
        )


ANCHORABLE = {
    name: ask(formula, family, link=link, release_set="anchored", order=2)
    for name, formula, family, link in (
        ("gamma", "cost ~ age + female", "gamma", "log"),
        ("probit", "died ~ age + female", "binomial", "probit"),
        ("cloglog", "died ~ age + female", "binomial", "cloglog"),
        ("nbinom2", "trials ~ age + female", "nbinom2", "log"),
    )
}


@pytest.mark.parametrize("name", ANCHORABLE)
@settings(max_examples=8, deadline=None)
@given(n=st.integers(1, 40), seed=st.integers(0, 999))
def test_anchored_sums_of_rows_pass(name, n, seed):
    """What happens at the anchor is judged, and never wrongly."""
    study = ANCHORABLE[name]
    statistics, cluster = sums_of(study, patients(n, seed))

    require_plausible(study.model, statistics, cluster, "north")
