"""Which rows are held out follows from study and rows, and from nothing else."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.errors import DisclosureError, StudyMismatchError
from fedglmm_flower.site import FrameSource, Policy
from fedglmm_flower.site.held_out import RowsOf
from fedglmm_flower.site.memory import SiteMemory
from fedglmm_flower.site.scored import Point
from fedglmm_flower.site.scoring import score
from tests.site.conftest import ask, patients

STUDY = ask(
    "died ~ age + female + (1 | hospital)", "binomial", order=2, rounds=9, held_out=0.3
)


def part(table: pd.DataFrame, which, *, study=STUDY, batch=64) -> list[int]:
    """Numbers of the rows of a part."""
    source = RowsOf(FrameSource(table), study, which)
    batches = source.batches(["number"], batch)
    return sorted(int(n) for frame in batches for n in frame["number"])


@pytest.fixture
def rows() -> pd.DataFrame:
    """Four hundred patients with a number that the study does not use."""
    return patients(400).assign(number=np.arange(400))


def test_parts_make_up_the_table(rows):
    """Disjoint, complete, and of about the share that was asked."""
    kept, held = part(rows, "kept"), part(rows, "held-out")

    assert sorted(kept + held) == part(rows, "all") == list(range(400))
    assert 90 < len(held) < 150


def test_parts_do_not_depend_on_order_type_or_batches(rows):
    """A table sorted anew, or read as text, would otherwise tell a second split."""
    held = part(rows, "held-out")
    shuffled = rows.sample(frac=1.0, random_state=5)
    used = ["age", "female", "died"]

    def said(numbers):
        # Of rows that say the same, either may be the one.
        return sorted(map(tuple, rows.loc[numbers, used].to_numpy()))

    assert said(part(shuffled, "held-out", batch=7)) == said(held)
    assert part(rows.astype(str), "held-out") == held


def test_equal_rows_are_divided(rows):
    """Rows that say the same are not all on one side."""
    same = rows.assign(age=50.0, female=1, died=1)

    assert 80 < len(part(same, "held-out")) < 160


def test_another_study_holds_out_others(rows):
    """The digest is the key."""
    other = replace(STUDY, name="another")

    assert part(rows, "held-out", study=other) != part(rows, "held-out")


def test_of_held_out_rows_one_number_leaves(rows, tmp_path):
    """The log-likelihood, which with that of the others is the whole."""

    def answer(which, study=STUDY):
        return score(
            study,
            FrameSource(rows, "rows"),
            Policy(),
            Point(1, 1, (-0.5, 0.2, 0.1, 0.0), which),
            site="north",
            asked=SiteMemory(tmp_path / "points"),
        )

    whole, kept, held = map(answer, ("all", "kept", "held-out"))

    assert (held.gradient, held.information) == ((), ())
    assert kept.n_rows + held.n_rows == whole.n_rows == 400
    # At theta = 0 rows are independent.
    assert kept.value + held.value == pytest.approx(whole.value)
    assert SiteMemory(tmp_path / "points").points(STUDY.digest) == 3
    with pytest.raises(StudyMismatchError, match="held_out"):
        answer("kept", study=replace(STUDY, held_out=0.0))


@pytest.mark.parametrize("which", ["all", "kept", "held-out"])
def test_every_part_passes_the_gate_whichever_is_asked(rows, tmp_path, which):
    """The difference of two answers is an answer about the third part."""
    few = rows.head(120)
    point = Point(1, 1, (-0.5, 0.2, 0.1, 0.3), which)
    with pytest.raises(DisclosureError, match="minimum rows"):
        score(
            STUDY,
            FrameSource(few, "rows"),
            Policy(),
            point,
            site="north",
            asked=SiteMemory(tmp_path / "points"),
        )
