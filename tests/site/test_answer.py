"""A site's whole answer: who is asked, what is approved, what is released."""

import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from fedglmm_flower.errors import StudyMismatchError
from fedglmm_flower.site import (
    ClusterRelease,
    FrameSource,
    Policy,
    Spent,
    check_approved,
    release,
)
from tests.site.conftest import STUDIES, ask, moments_of

STUDY = ask("died ~ age + female + (1 | hospital)", "binomial", order=3)


def answer(frame, study=STUDY, site="north"):
    """What the default policy lets out."""
    return release(study, FrameSource(frame), Policy(), site=site)


def test_a_release_holds_sums_counts_and_names(table):
    """Every field, and nothing else."""
    table.loc[:4, "age"] = np.nan
    released = answer(table)
    values = moments_of(STUDY, table).values

    assert asdict(replace(released, software="")) == {
        "site": "north",
        "study_digest": STUDY.digest,
        "release_set": "canonical",
        "order": 3,
        "n_missing": 5,
        "clusters": (asdict(ClusterRelease((), 395, tuple(values.tolist()))),),
        "spent": asdict(Spent("none", math.inf, 0.0, "none")),
        "software": "",
        "small": None,
        "noise": None,
    }
    assert released.software.startswith("fedglmm-flower")


@pytest.mark.parametrize("name", STUDIES)
def test_the_size_of_a_release_does_not_depend_on_the_rows(table, name):
    """Numbers are sums over all rows, so there is none for a single row."""
    study = STUDIES[name]
    if name == "gaussian, log":
        study = replace(study, order=2)
    for frame in (table[:200], table):
        values = answer(frame, study).clusters[0].values

        assert len(values) == len(study.statistics(answer(frame, study).order))
        assert all(type(value) is float for value in values)


def test_the_order_of_the_rows_does_not_leave(table):
    """A release of shuffled rows is the same up to rounding."""
    one = answer(table)
    other = answer(table.sample(frac=1, random_state=1))

    assert replace(one, clusters=()) == replace(other, clusters=())
    np.testing.assert_allclose(
        one.clusters[0].values, other.clusters[0].values, rtol=1e-9
    )


def test_a_lowered_order_is_told(table):
    """The coordinator must know which sums it holds."""
    policy = Policy(rows_per_statistic=400 / len(STUDY.statistics(2)))
    released = release(STUDY, FrameSource(table), policy, site="north")

    assert released.order == 2
    assert len(released.clusters[0].values) == len(STUDY.statistics(2))


def test_a_site_that_the_study_does_not_expect_stays_silent(table):
    """Before any row is read."""

    class Untouchable:
        name = "untouchable"

        def batches(self, columns, rows):
            raise AssertionError

    with pytest.raises(StudyMismatchError, match="does not expect the site 'west'"):
        release(STUDY, Untouchable(), Policy(), site="west")


def test_only_approved_digests_are_answered():
    """The whole digest counts, and none approved means none."""
    check_approved(STUDY.digest, ("0" * 64, STUDY.digest))
    for approved in ((), ("0" * 64,), (STUDY.digest[:16],), (STUDY.digest.upper(),)):
        with pytest.raises(StudyMismatchError, match="is not approved here"):
            check_approved(STUDY.digest, approved)
    with pytest.raises(StudyMismatchError):
        check_approved(replace(STUDY, order=2).digest, (STUDY.digest,))
