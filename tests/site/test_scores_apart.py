"""A likelihood beside an earlier answer: what their difference tells."""

from dataclasses import replace

import numpy as np
import pytest

from fedglmm_flower.errors import DisclosureError
from fedglmm_flower.glmm.frame import Frame
from fedglmm_flower.site import FrameSource, Policy, SiteMemory, release
from fedglmm_flower.site.scored import Point
from fedglmm_flower.site.scoring import score
from tests.site.conftest import COLUMNS, ask, patients

WARDS = ask(
    "died ~ age + female + (1 | hospital/stage)",
    "binomial",
    order=2,
    rounds=9,
    clusters=("stage",),
    columns=tuple(c for c in COLUMNS if c.name != "stage"),
)
ONE = ask("died ~ age + (1 | hospital)", "binomial", order=1, rounds=9)
OTHER = ask("died ~ age + cost + (1 | hospital)", "binomial", order=1, rounds=9)


@pytest.fixture
def hospital(tmp_path):
    """One site: its memory, and what it says of the one round and at a point."""
    memory = SiteMemory(tmp_path / "snapshots")

    def released(study, table, policy):
        source = FrameSource(table)
        return release(study, source, policy, site="north", memory=memory)

    def scored(study, table, policy, part="all"):
        # All linear predictors are equal here.
        nowhere = (0.0,) * Frame.of(study.model).size
        return score(
            study,
            FrameSource(table, "rows"),
            policy,
            Point(1, 1, nowhere, part),
            site="north",
            asked=SiteMemory(tmp_path / "points"),
            memory=memory,
        )

    return released, scored


@pytest.fixture
def table():
    """Four hundred patients."""
    return patients(400, seed=3)


def test_a_ward_that_was_left_out_is_not_told_by_a_likelihood(hospital, table):
    """One patient of her own ward: sums of all less those that left are hers."""
    released, scored = hospital
    ward = np.where(np.arange(400) < 200, "A", "B")
    ward[399] = "C"
    mixed = table.assign(stage=ward)
    sent = released(WARDS, mixed, Policy())
    with pytest.raises(DisclosureError, match="differencing: 1 rows"):
        scored(WARDS, mixed, Policy())

    made = scored(WARDS, mixed, Policy(compare_answers=False))
    frame = Frame.of(WARDS.model)
    lower = np.zeros((5, 5))
    lower[np.tril_indices(5)] = made.information
    sums = 4 * frame.R.T @ (lower + np.tril(lower, -1).T)[:3, :3] @ frame.R
    names = [(s.role, s.monomial) for s in WARDS.statistics(2)]
    age = names.index(("x", (1, 0)))
    ages = sum(60 * one.n_rows + 10 * one.values[age] for one in sent.clusters)
    assert sums[0, 1] - ages == pytest.approx(mixed.age[399], abs=1e-4)


def test_a_study_refused_for_its_difference_gives_no_likelihood(hospital, table):
    """Whoever was refused the sums would ask for them at a point."""
    released, scored = hospital
    frame = table.copy()
    frame.loc[17, "cost"] = np.nan
    released(ONE, frame, Policy())
    with pytest.raises(DisclosureError, match="differencing: 1 rows"):
        released(OTHER, frame, Policy())
    with pytest.raises(DisclosureError, match="differencing: 1 rows"):
        scored(OTHER, frame, Policy())


def test_a_release_after_a_likelihood_is_compared(hospital, table):
    """What was told at points is remembered, of every part."""
    released, scored = hospital
    frame = table.copy()
    frame.loc[17, "cost"] = np.nan
    scored(ONE, frame, Policy())
    with pytest.raises(DisclosureError, match="differencing: 1 rows"):
        released(OTHER, frame, Policy())


def test_the_difference_of_likelihoods_is_one_of_enough_rows(hospital, table):
    """Thirty rows are enough between two sums, and too few for a likelihood."""
    released, scored = hospital
    frame = table.copy()
    frame.loc[:29, "cost"] = np.nan
    scored(ONE, frame, Policy())
    released(ONE, frame, Policy())
    released(OTHER, frame, Policy())
    with pytest.raises(DisclosureError, match="at least 50 are required"):
        scored(OTHER, frame, Policy())
    scored(ONE, frame.iloc[::-1], Policy())  # asked again, however it is sorted


def test_parts_are_known_by_their_places_in_the_table(hospital, table):
    """Kept rows of two studies, one of them without three of the other's."""
    _, scored = hospital
    split = replace(ONE, held_out=0.3)
    scored(split, table, Policy(), "held-out")
    scored(replace(split, name="another"), table, Policy(), "kept")
    fewer = table.assign(age=table.age.where(table.index > 2))
    with pytest.raises(DisclosureError, match="differencing: 3 rows"):
        scored(replace(split, name="a third"), fewer, Policy(), "kept")
