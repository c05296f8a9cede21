"""Which rows an answer summed, as the site keeps it."""

import json

import numpy as np
import pytest

from fedglmm_flower.site.row_sets import RowSets
from fedglmm_flower.site.summed_cells import SummedCells, summed_cells
from tests.site.conftest import ask


@pytest.fixture
def rows(rng):
    """A hundred rows of a table, two factors and a column."""
    places = np.sort(rng.choice(400, 100, replace=False))
    codes = tuple(rng.integers(0, k, 100).astype(np.int32) for k in (2, 3))
    marks = {"größe": rng.integers(0, 2**16, 100).astype(np.uint16)}
    return RowSets(
        places, codes, SummedCells({(0,): 4, (0, 1): 0}, ((), (0,)), 3), marks
    )


def test_rows_are_read_as_they_were_written(rows):
    """In a line of ASCII; whose they are is not kept."""
    units = np.arange(400)
    text = RowSets(rows.places, rows.codes, rows.cells, rows.marks, units).text()
    again = RowSets.of_text(text)

    assert text.isascii()
    assert "\n" not in text
    assert again.units is None
    assert again.cells == rows.cells
    np.testing.assert_array_equal(again.places, rows.places)
    for one, two in zip(again.codes, rows.codes, strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(again.marks["größe"], rows.marks["größe"])


@pytest.mark.parametrize(
    "change",
    [
        {"format": "fedglmm rows 1"},
        {"places": "eJwDAAAAAAE="},
        {"places": "!"},
        {"places": 3},
        {"codes": None},
        {"counted": [[[2], 1]]},
        {"counted": [2]},
        {"marks": []},
    ],
)
def test_what_was_altered_is_not_read(rows, change):
    """What was answered is never guessed."""
    with pytest.raises(ValueError, match="sets of rows"):
        RowSets.of_text(json.dumps({**json.loads(rows.text()), **change}))
    with pytest.raises(ValueError, match="no sets of rows"):
        RowSets.of_text(rows.text()[:-9])


def test_a_release_of_order_two_tells_cells_of_two_factors():
    """Of events, of one; and it sums numbers within the levels of one."""
    study = ask("died ~ age + female + stage", "binomial", order=2)
    model = study.moment_model
    factors = [a.name for a in model.atoms if a.is_factor]
    female, stage, died = factors.index("female"), factors.index("stage"), 2
    at_two, at_one = (summed_cells(model, study.statistics(k)) for k in (2, 1))

    pairs = {(min(female, stage), max(female, stage)), (female, died), (stage, died)}
    assert {s for s in at_two.counted if len(s) == 2} == pairs
    assert {s for s in at_two.summed if len(s) == 2} == set()
    assert {s for s in at_two.summed if s} == {(female,), (stage,), (died,)}
    assert (female, stage) not in at_one.counted


def test_sums_of_a_high_order_fix_the_values_of_more_rows():
    """As the gate counts them for a cell: sums by columns, or the digits of powers."""
    found, few = (
        summed_cells(study.moment_model, study.statistics(study.order))
        for study in (
            ask("died ~ age + cost + count + female", "binomial", order=k)
            for k in (4, 1)
        )
    )

    # Nineteen products of at most three of three numbers in each level; three powers.
    assert found.counted[(0,)] == max(19 // 3, 1 + 2 + 3 + 1)
    assert set(few.counted.values()) <= {0, 1, 2}
    # With age 31 products, of five columns and the copy.
    assert (found.copied, few.copied) == (31 // 6, 0)


def test_each_cluster_has_sums_of_its_own():
    """Its rows are a set, and so are those of each level in it."""
    counted = {(): 9, (0,): 4, (1,): 3, (0, 1): 1}
    cells = SummedCells(counted, ((), (0,)), 7).by_cluster(2)

    assert cells.copied == 7
    assert cells.counted == {**counted, (2,): 9, (0, 2): 4, (1, 2): 3}
    assert set(cells.summed) == {(), (0,), (2,), (0, 2)}
