"""Two answers from one table: what their difference tells, and who is in it."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.errors import DisclosureError, StorageError
from fedglmm_flower.site import FrameSource, Policy, SiteMemory, release
from fedglmm_flower.study import Column
from tests.site.conftest import COLUMNS, ask, patients

MORE = (*COLUMNS, Column("a", "binary"), Column("b", "binary"))
ONE = ask("died ~ age + female", "binomial", order=1)
OTHER = ask("died ~ age + female + cost", "binomial", order=1)


@pytest.fixture
def memory(tmp_path):
    """A site's memory."""
    return SiteMemory(tmp_path / "snapshots")


def answer(study, frame, memory, policy=None):
    """What the site releases."""
    source = FrameSource(frame)
    return release(study, source, policy or Policy(), site="north", memory=memory)


def without(table, column, rows):
    """A table with empty cells."""
    frame = table.copy()
    frame.loc[rows, column] = np.nan
    return frame


def test_an_empty_cell_is_a_patient_by_subtraction(table, memory):
    """Both sums of ages leave without the memory; their difference is an age."""
    frame = without(table, "cost", [17])
    found = [
        answer(study, frame, memory, Policy(compare_answers=False))
        for study in (ONE, OTHER)
    ]
    sums = []
    for study, released in zip((ONE, OTHER), found, strict=True):
        at = [atom.name for atom in study.moment_model.atoms].index("age")
        alone = tuple(int(i == at) for i in range(len(study.moment_model.atoms)))
        names = [(s.role, s.monomial) for s in study.statistics(1)]
        sums.append(released.clusters[0].values[names.index(("x", alone))])
    assert 60 + 10 * (sums[0] - sums[1]) == pytest.approx(frame.age[17])

    fresh = SiteMemory(memory.folder.with_name("fresh"))
    answer(ONE, frame, fresh)
    with pytest.raises(DisclosureError, match="differencing: 1 rows"):
        answer(OTHER, frame, fresh)


def test_the_first_answer_is_given_and_the_second_refused(table, memory):
    """Whichever comes first; a study's own answer can be sent again."""
    frame = without(table, "cost", [17, 90, 91])
    answer(OTHER, frame, memory)
    with pytest.raises(DisclosureError, match=r"differencing: [1-3] rows"):
        answer(ONE, frame, memory)
    answer(OTHER, frame.iloc[::-1], memory)

    assert [one.study for one in memory.answers()] == [OTHER.digest]


def test_equal_rows_and_many_differing_ones_are_answered(table, memory):
    """Nobody is told by a difference of none, nor one among many."""
    answer(ONE, table, memory)
    answer(OTHER, table, memory)
    many = without(table, "weight", range(40))
    weighted = ask("died ~ age", "binomial", order=1, weights="weight")

    assert answer(weighted, many, memory).clusters[0].n_rows == 360


def test_few_rows_of_a_level_are_few_rows(table, memory):
    """Forty rows are missing, two of them of the level whose sums are sent."""
    women, men = (np.flatnonzero(table.female == code) for code in (1, 0))
    frame = without(table, "cost", [*women[:2], *men[:38]])
    answer(ONE, frame, memory)

    with pytest.raises(DisclosureError, match=r"differencing: [12] rows"):
        answer(OTHER, frame, memory)


def test_levels_that_are_cut_elsewhere_are_compared(table, memory):
    """Older than 79 in one study and than 80 in the other: those of 80."""
    frame = table.assign(a=[1] * 100 + [0] * 300, b=[1] * 103 + [0] * 297)
    first, second = (
        ask(f"died ~ age + {name}", "binomial", columns=MORE, order=1) for name in "ab"
    )
    answer(first, frame, memory)

    with pytest.raises(DisclosureError, match=r"differencing: [12] rows"):
        answer(second, frame, memory)


def test_an_admission_is_a_patient_by_subtraction(memory):
    """The table of a second study has two rows more."""
    answer(ONE, patients(400), memory)
    grown = pd.concat([patients(400), patients(2, 5)], ignore_index=True)

    with pytest.raises(DisclosureError, match=r"differencing: [12] rows"):
        answer(OTHER, grown, memory)


def test_a_damaged_record_is_told(table, memory):
    """What was answered is never guessed."""
    answer(ONE, table, memory)
    for text in ("", "fedglmm rows 1", "fedglmm rows 1\n!", "fedglmm rows 1\nAAAA"):
        with closing(sqlite3.connect(memory.path)) as base:
            base.execute("UPDATE answer SET rows = ?", (text,))
            base.commit()
        with pytest.raises(StorageError, match="restore it from a backup"):
            answer(OTHER, table, memory)


def test_a_set_that_tells_by_difference_gives_way_to_a_lower_one(table, memory):
    """Two women of one stage lack a cost: order 1 has no cell of both factors."""
    columns = tuple(c for c in COLUMNS if c.name != "hospital")
    one, two = (
        ask(f"died ~ female + stage{more}", "binomial", columns=columns, order=2)
        for more in ("", " + cost")
    )
    lower = replace(two, accept=(("canonical", 2), ("canonical", 1)))
    few = table.female.eq(1) & table.stage.eq("II")
    others = np.concatenate(
        [
            np.flatnonzero(table.female.eq(1) & table.stage.ne("II"))[:40],
            np.flatnonzero(table.female.eq(0) & table.stage.eq("II"))[:40],
        ]
    )
    frame = without(table, "cost", [*np.flatnonzero(few)[:2], *others])
    assert answer(one, frame, memory).order == 2
    with pytest.raises(DisclosureError, match="differencing: 2 rows"):
        answer(replace(two, accept=(("canonical", 2),)), frame, memory)

    assert answer(lower, frame, memory).order == 1
