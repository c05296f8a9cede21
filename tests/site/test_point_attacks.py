"""Points that a dishonest coordinator would choose, to be told of few patients."""

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.errors import DisclosureError
from fedglmm_flower.glmm.frame import Frame
from fedglmm_flower.site import NO_DISCLOSURE_CONTROL, FrameSource, Policy
from fedglmm_flower.site.memory import SiteMemory
from fedglmm_flower.site.scored import Point, ReleasedScore
from fedglmm_flower.site.scoring import score
from fedglmm_flower.study import Study
from tests.site.conftest import ask, patients

DEFAULT = Policy()
LEVEL = ask("died ~ age * female + (1 | hospital)", "binomial", order=2, rounds=20)
COUNT = ask("trials ~ age + female + (1 | hospital)", "poisson", order=2, rounds=20)
CLINICS = ask(
    "died ~ age + female + (1 | hospital/stage)",
    "binomial",
    order=2,
    rounds=20,
    clusters=("stage",),
    columns=tuple(c for c in LEVEL.columns if c.name != "stage"),
)


@pytest.fixture
def rows() -> pd.DataFrame:
    """Four hundred patients, one of them the oldest woman by years."""
    table = patients(400, seed=3)
    oldest = table.index[table["female"] == 1][0]
    table.loc[oldest, "age"] = 98.0
    return table


@pytest.fixture
def answer(tmp_path):
    """Ask at coefficients and standard deviations."""

    def asking(
        study: Study, table, beta, sds, policy=DEFAULT
    ) -> tuple[ReleasedScore, Frame]:
        frame = Frame.of(study.model)
        values = (*(frame.R @ np.array(beta)), *sds)
        made = score(
            study,
            FrameSource(table, "rows"),
            policy,
            Point(1, 1, tuple(map(float, values))),
            site="north",
            asked=SiteMemory(tmp_path / "points"),
        )
        return made, frame

    return asking


def test_a_score_at_an_honest_point_leaves(answer, rows):
    """A control: the rules let through what a refinement asks."""
    made, _ = answer(LEVEL, rows, [-0.5, 0.01, 0.1, 0.0], [0.3])

    assert made.n_rows == 400


@pytest.mark.parametrize("far", [1.0, 3.0])
def test_a_window_inside_a_level_is_refused(answer, rows, far):
    """The site's weight is spread, but that of its women is the oldest one's."""
    beta = [0.0, 0.0, -98.0 * far, far]
    with pytest.raises(DisclosureError, match="0/1 column"):
        answer(LEVEL, rows, beta, [0.3])

    # Without the rules her age is read off the answer.
    made, frame = answer(LEVEL, rows, beta, [0.0], NO_DISCLOSURE_CONTROL)
    d = len(made.gradient)
    whole = np.zeros((d, d))
    whole[np.tril_indices(d)] = made.information
    whole += np.tril(whole, -1).T
    raw = frame.R.T @ whole[:4, :4] @ frame.R
    assert raw[3, 2] / raw[2, 2] == pytest.approx(98.0, abs=0.01)


def test_a_record_that_carries_the_gradient_is_refused(answer, rows):
    """Means that grow with age leave the sums of a Poisson model to the oldest."""
    with pytest.raises(DisclosureError, match="largest record of the information"):
        answer(COUNT, rows, [-60.0, 0.9, 0.0], [0.1])


def test_a_record_that_carries_the_gradient_of_a_level_is_refused(answer, rows):
    """Weights are even, and one woman is further from her mean than all others."""
    outlier = rows.index[rows["female"] == 1][5]
    table = rows.assign(trials=rows["trials"].where(rows.index != outlier, 600))
    with pytest.raises(DisclosureError, match="score at the point where 0/1"):
        answer(COUNT, table, [1.5, 0.0, 0.0], [0.1])


def test_what_effects_of_clusters_leave_to_one_patient_is_refused(answer, rows):
    """Wide effects of clinics take all but the one clinic in which a column varies."""
    # Women are a ward of their own, but for one who lies among the men.
    stage = np.where(rows["female"] == 1, "women", "men")
    stage[rows.index[rows["female"] == 1][3]] = "men"
    table = rows.assign(stage=stage)
    with pytest.raises(DisclosureError, match="leverage: at the point"):
        answer(CLINICS, table, [0.0, 0.0, 0.0], [50.0, 50.0])

    answer(CLINICS, table, [0.0, 0.0, 0.0], [0.0, 0.0])  # the columns alone do not tell


def test_a_refused_point_is_counted(answer, rows, tmp_path):
    """Free refusals would tell, by bisection, where a rule begins to refuse."""
    with pytest.raises(DisclosureError):
        answer(LEVEL, rows, [0.0, 0.0, -294.0, 3.0], [0.3])

    assert SiteMemory(tmp_path / "points").points(LEVEL.digest) == 1
