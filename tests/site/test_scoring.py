"""A likelihood leaves a site only as the study and the officer allow it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.errors import (
    BudgetError,
    DataError,
    DisclosureError,
    SnapshotError,
    StudyMismatchError,
    UsageError,
)
from fedglmm_flower.glmm.frame import Frame
from fedglmm_flower.site import FrameSource, Policy, Privacy, SiteMemory, release
from fedglmm_flower.site.further import Further, further
from fedglmm_flower.site.scored import Point
from fedglmm_flower.site.scoring import score
from tests.site.conftest import ask

STUDY = ask("died ~ age + female + (1 | hospital)", "binomial", order=2, rounds=2)
DEFAULT = Policy()
HERE = Point(1, 1, (-0.5, 0.2, 0.1, 0.4))


@pytest.fixture
def rows() -> pd.DataFrame:
    """200 patients of one hospital."""
    rng = np.random.default_rng(2)
    age = rng.normal(60, 10, 200).round(1)
    died = (rng.random(200) < 1 / (1 + np.exp(-(age - 60) / 20))).astype(int)
    return pd.DataFrame({"age": age, "female": rng.integers(0, 2, 200), "died": died})


@pytest.fixture
def answer(rows, tmp_path):
    """Ask the hospital; some parts of the question may be changed."""

    def asking(study=STUDY, point=HERE, table=rows, policy=DEFAULT, **parts):
        return score(
            study,
            FrameSource(table, "rows"),
            policy,
            point,
            site="north",
            asked=SiteMemory(tmp_path / "points"),
            **parts,
        )

    return asking


def test_an_answer_holds_the_numbers_of_its_parameters(answer):
    """Value, gradient, lower triangle, rows: nothing else."""
    found = answer()
    d = Frame.of(STUDY.model).size

    assert (len(found.gradient), len(found.information)) == (d, d * (d + 1) // 2)
    assert found.n_rows == 200
    assert found.value < 0


def test_a_study_of_one_round_gives_no_likelihood(answer):
    """Approval of a study is that of its rounds."""
    with pytest.raises(StudyMismatchError, match="'rounds'"):
        answer(study=replace(STUDY, rounds=0))


def test_points_are_counted_and_repetitions_are_free(answer):
    """Two points are approved: each as often as asked, a third never."""
    first = answer()
    answer(point=replace(HERE, number=2, values=(0.0, 0.0, 0.0, 0.3)))

    assert answer(point=replace(HERE, number=3)).gradient == first.gradient
    with pytest.raises(DisclosureError, match="as many were answered"):
        answer(point=replace(HERE, number=2, values=(0.1, 0.0, 0.0, 0.3)))


@pytest.mark.parametrize(("released", "points"), [(False, 4), (True, 3)])
def test_all_rounds_together_tell_less_than_the_rows_hold(
    answer, rows, tmp_path, released, points
):
    """200 rows of three columns at ten values a number: sixty, fifteen a point."""
    policy = Policy(values_per_number=10.0)
    study = replace(STUDY, rounds=1000)
    memory = SiteMemory(tmp_path / "points")
    if released:
        release(study, FrameSource(rows), policy, site="north", memory=memory)

    def at(k):
        values = (-0.5, 0.2, 0.1 * k, 0.4)
        return answer(study, replace(HERE, values=values), policy=policy, memory=memory)

    first = at(0)
    for k in range(1, points):
        at(k)
    with pytest.raises(DisclosureError, match=r"values-per-number: .* at most 60"):
        at(points)
    assert at(0) == first  # told before
    told = 8 if released else 0
    shown = further(study, 200, policy, told, memory.points(study.digest))
    assert shown == Further(1000, 15, points, points)
    # Another revision is asked of the same rows.
    again = replace(study, name="revised")
    with pytest.raises(DisclosureError, match="all studies"):
        answer(again, HERE, policy=policy, memory=memory)
    sent = len(study.statistics(study.order)) if released else 0
    assert memory.elsewhere(again.digest) == sent + 15 * points


def test_a_site_that_adds_noise_gives_no_likelihood(answer):
    """There is no budget for it."""
    with pytest.raises(BudgetError, match="one round"):
        answer(privacy=Privacy("rows", 1.0, 1e-6, 3.0))


@pytest.mark.parametrize(
    ("values", "nodes"), [((0.0, 0.0), 1), (HERE.values, 20_000), ((0.0,) * 9, 1)]
)
def test_a_point_of_another_study_is_refused(answer, values, nodes):
    """As many parameters as the frame has, and nodes that the engine takes."""
    with pytest.raises(UsageError, match="both sides"):
        answer(point=Point(1, nodes, values))


def test_a_point_that_singles_a_row_out_is_refused(answer, rows):
    """Where all but a few rows are certain, the others would be the answer."""
    with pytest.raises(DisclosureError, match="effective rows"):
        answer(point=replace(HERE, values=(-60.0, 25.0, 0.0, 0.1)))


@pytest.mark.parametrize("kept", [40, 45])
def test_few_rows_are_refused(answer, rows, kept):
    """The rule of the one round holds for every other."""
    with pytest.raises(DisclosureError, match="minimum rows"):
        answer(table=rows.head(kept))


def test_small_cells_are_refused(answer, rows):
    """The information determines counts of 0/1 columns, as products of two do."""
    rare = rows.assign(female=(np.arange(200) < 2).astype(int))
    with pytest.raises(DisclosureError, match="at least 5 required"):
        answer(table=rare)


def test_a_table_that_is_refused_counts_for_nothing(answer, rows, tmp_path):
    """What no point could mend leaves no trace in the record."""
    with pytest.raises(DataError):
        answer(table=rows.drop(columns="age"))

    assert SiteMemory(tmp_path / "points").points(STUDY.digest) == 0


def test_refusals_are_no_oracle(answer):
    """Where a rule begins to refuse is a number of the rows, to any digit."""
    for far in (25.0, 26.0):
        with pytest.raises(DisclosureError, match="effective rows"):
            answer(point=replace(HERE, values=(-60.0, far, 0.0, 0.1)))

    with pytest.raises(DisclosureError, match="2 and as many were answered"):
        answer()


def test_later_rounds_come_from_the_same_rows(answer, rows, tmp_path):
    """A table that changed between two points would tell who was added."""
    memory = SiteMemory(tmp_path / "snapshots")
    answer(memory=memory)

    with pytest.raises(SnapshotError):
        answer(table=rows.head(199), memory=memory)
