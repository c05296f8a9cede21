"""Two answers from one table: what their difference tells, and who is in it."""

import sqlite3
from contextlib import closing

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.errors import DisclosureError, StorageError
from fedglmm_flower.site import FrameSource, Policy, SiteMemory, release
from fedglmm_flower.site.row_sets import RowSets
from fedglmm_flower.study import Column
from tests.site.conftest import COLUMNS, ask, patients

MORE = (*COLUMNS, Column("a", "binary"), Column("b", "binary"))
ONE = ask("died ~ age + female", "binomial", order=1)
OTHER = ask("died ~ age + female + cost", "binomial", order=1)


@pytest.fixture
def frozen(tmp_path):
    """A site's memory."""
    return SiteMemory(tmp_path / "snapshots")


def answer(study, frame, frozen, policy=None):
    """What the site releases."""
    source = FrameSource(frame)
    return release(study, source, policy or Policy(), site="north", memory=frozen)


def without(table, column, rows):
    """A table with empty cells."""
    frame = table.copy()
    frame.loc[rows, column] = np.nan
    return frame


def test_an_empty_cell_is_a_patient_by_subtraction(table, frozen):
    """Both sums of ages leave without the memory; their difference is an age."""
    frame = without(table, "cost", [17])
    found = [
        answer(study, frame, frozen, Policy(compare_answers=False))
        for study in (ONE, OTHER)
    ]
    sums = []
    for study, released in zip((ONE, OTHER), found, strict=True):
        at = [atom.name for atom in study.moment_model.atoms].index("age")
        alone = tuple(int(i == at) for i in range(len(study.moment_model.atoms)))
        names = [(s.role, s.monomial) for s in study.statistics(1)]
        sums.append(released.clusters[0].values[names.index(("x", alone))])
    assert 60 + 10 * (sums[0] - sums[1]) == pytest.approx(frame.age[17])

    fresh = SiteMemory(frozen.folder.with_name("fresh"))
    answer(ONE, frame, fresh)
    with pytest.raises(DisclosureError, match="differencing: 1 rows"):
        answer(OTHER, frame, fresh)


def test_the_first_answer_is_given_and_the_second_refused(table, frozen):
    """Whichever comes first; a study's own answer can be sent again."""
    frame = without(table, "cost", [17, 90, 91])
    answer(OTHER, frame, frozen)
    with pytest.raises(DisclosureError, match=r"differencing: [1-3] rows"):
        answer(ONE, frame, frozen)
    answer(OTHER, frame.iloc[::-1], frozen)

    assert [one.study for one in frozen.answers()] == [OTHER.digest]


def test_equal_rows_and_many_differing_ones_are_answered(table, frozen):
    """Nobody is told by a difference of none, nor one among many."""
    answer(ONE, table, frozen)
    answer(OTHER, table, frozen)
    many = without(table, "weight", range(40))
    weighted = ask("died ~ age", "binomial", order=1, weights="weight")

    assert answer(weighted, many, frozen).clusters[0].n_rows == 360


def test_few_rows_of_a_level_are_few_rows(table, frozen):
    """Forty rows are missing, two of them of the level whose sums are sent."""
    women, men = (np.flatnonzero(table.female == code) for code in (1, 0))
    frame = without(table, "cost", [*women[:2], *men[:38]])
    answer(ONE, frame, frozen)

    with pytest.raises(DisclosureError, match="differencing: 2 rows"):
        answer(OTHER, frame, frozen)


def test_levels_that_are_cut_elsewhere_are_compared(table, frozen):
    """Older than 79 in one study and than 80 in the other: those of 80."""
    frame = table.assign(a=[1] * 100 + [0] * 300, b=[1] * 103 + [0] * 297)
    first, second = (
        ask(f"died ~ age + {name}", "binomial", columns=MORE, order=1) for name in "ab"
    )
    answer(first, frame, frozen)

    with pytest.raises(DisclosureError, match="differencing: 3 rows"):
        answer(second, frame, frozen)


def test_an_admission_is_a_patient_by_subtraction(frozen):
    """The table of a second study has two rows more."""
    answer(ONE, patients(400), frozen)
    grown = pd.concat([patients(400), patients(2, 5)], ignore_index=True)

    with pytest.raises(DisclosureError, match=r"differencing: [12] rows"):
        answer(OTHER, grown, frozen)


def test_a_damaged_record_is_told(table, frozen):
    """What was answered is never guessed."""
    answer(ONE, table, frozen)
    for text in ("", "fedglmm rows 1", "fedglmm rows 1\n!", "fedglmm rows 1\nAAAA"):
        with closing(sqlite3.connect(frozen.path)) as base:
            base.execute("UPDATE answer SET rows = ?", (text,))
            base.commit()
        with pytest.raises(StorageError, match="restore it from a backup"):
            answer(OTHER, table, frozen)


def test_sets_are_read_as_they_were_written():
    """Of any length; a longer table is compared to its end."""
    rng = np.random.default_rng(4)
    masks = [rng.integers(0, 2, n) for n in (1, 8, 9, 1000)]
    sets = RowSets(tuple(np.packbits(mask) for mask in masks))
    again = RowSets.of_text(sets.text())

    assert again.smallest_difference(sets) is not None
    for one, two in zip(sets.sets, again.sets, strict=True):
        np.testing.assert_array_equal(one, two)
    short, long = (RowSets((np.packbits(np.ones(n, int)),)) for n in (16, 30))
    assert short.smallest_difference(long) == 14
