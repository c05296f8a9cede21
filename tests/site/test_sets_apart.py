"""Sets of rows of two answers: the closest two, found as by trying all of them."""

from itertools import combinations

import numpy as np
import pytest

from fedglmm_flower.site.cell_sets import Apart, cell_sets, closest
from fedglmm_flower.site.row_sets import RowSets
from fedglmm_flower.site.sets_apart import smallest_difference, whole_difference
from fedglmm_flower.site.summed_cells import SummedCells


def rows_of(places, codes, order=1, units=None):
    """An answer with all cells of up to so many factors."""
    count = range(len(codes))
    sets = tuple(s for k in range(order + 1) for s in combinations(count, k))
    codes = tuple(np.asarray(c, dtype=np.int32) for c in codes)
    return RowSets(
        np.asarray(places),
        codes,
        SummedCells(dict.fromkeys(sets, 0), sets),
        units=units,
    )


def cells_of(rows):
    """Every set that sums are of, as a set of places."""
    found = []
    for factors in rows.cells.counted:
        labels = list(zip(*(rows.codes[k].tolist() for k in factors), strict=True))
        labels = labels or [()] * len(rows.places)
        for label in sorted(set(labels)):
            at = [x == label for x in labels]
            found.append(frozenset(rows.places[at].tolist()))
    return found


def unions_of(rows):
    """Every set of levels of one factor together."""
    for k in range(len(rows.codes)):
        levels = np.unique(rows.codes[k])
        for size in range(1, len(levels) + 1):
            for some in combinations(levels, size):
                yield frozenset(rows.places[np.isin(rows.codes[k], some)].tolist())


def tried(one, two, least):
    """The smallest difference, by trying all pairs."""
    units = one.units

    def owners(places):
        if units is None:
            return len(places)
        return len({units[p] if p < len(units) else -1 for p in places})

    pairs = [(a, b) for a in cells_of(one) for b in cells_of(two)]
    pairs += [(a, b) for a in unions_of(one) for b in cells_of(rows_levels(two))]
    pairs += [(a, b) for a in cells_of(rows_levels(one)) for b in unions_of(two)]
    found = [owners(a ^ b) for a, b in pairs if a != b]
    fewest = min(found, default=least)
    return Apart(fewest, least) if fewest < least else None


def rows_levels(rows):
    """The same with all rows and single levels alone."""
    singles = dict.fromkeys([(), *((k,) for k in range(len(rows.codes)))], 0)
    return RowSets(rows.places, rows.codes, SummedCells(singles), units=rows.units)


@pytest.mark.parametrize("seed", range(15))
def test_the_closest_two_sets_are_found_as_by_trying_all(seed):
    """Levels, levels together and cells, of rows; some are close and some are not."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(60, 200))
    first = rng.integers(0, (4, 2, 3), (n, 3)).T
    second = first.copy()
    second[0] //= 2  # levels are merged
    moved = rng.choice(n, rng.integers(0, 12), replace=False)
    second[rng.integers(0, 3), moved] = 0
    kept = np.delete(np.arange(n), rng.choice(n, rng.integers(0, 9), replace=False))
    one = rows_of(range(n), first, 3)
    two = rows_of(kept, second[:, kept], 2)

    assert smallest_difference(one, two, 6) == tried(one, two, 6)
    assert smallest_difference(two, one, 6) == tried(two, one, 6)


@pytest.mark.parametrize("seed", range(10))
def test_units_count_once_also_where_a_table_lost_rows(seed):
    """A unit's rows stand in one cell, so the closest union is that of most rows."""
    rng = np.random.default_rng(seed)
    units = np.sort(rng.integers(0, 90, 200))
    of_unit = rng.integers(0, (4, 2), (90, 2)).T
    first = of_unit[:, units]
    second = first.copy()
    second[0] //= 2
    second[:, np.isin(units, rng.choice(90, rng.integers(0, 7)))] = 0
    one = rows_of(range(180), first[:, :180], 2, units[:180])
    two = rows_of(range(200), second, 2)

    assert smallest_difference(one, two, 5) == tried(one, two, 5)


def test_cells_differ_where_levels_do_not():
    """Levels of two answers differ in ten rows, of which four are in one cell."""
    a = np.repeat([0, 1], 50)
    b = np.tile([0, 0, 0, 0, 1], 20)
    moved = a.copy()
    moved[[0, 1, 2, 4, 9, 50, 51, 52, 54, 59]] ^= 1
    for order, found in ((1, None), (2, Apart(4, 5))):
        one, two = (rows_of(range(100), (x, b), order) for x in (a, moved))
        assert smallest_difference(one, two, 5) == found


@pytest.mark.parametrize("few", [1, 4, 5])
def test_cells_are_close_from_either_side(few):
    """The smaller one may be in either answer; five rows are enough."""
    one, two = (rows_of(range(n), ()) for n in (100, 100 - few))
    found = Apart(few, 5) if few < 5 else None
    for a, b in ((one, two), (two, one)):
        ours, theirs = (cell_sets(x, a.owners, 5) for x in (a, b))
        assert closest(ours, theirs, a.counted) == found


def test_levels_are_told_together():
    """Four regions in one study, two in the other; three patients moved between."""
    four = np.repeat([0, 1, 2, 3], 30)
    two = four // 2
    exact, moved = rows_of(range(120), (two,)), two.copy()
    moved[[0, 1, 70]] ^= 1

    by_region, apart = (rows_of(range(120), (x,)) for x in (four, moved))
    assert smallest_difference(by_region, exact, 5) is None
    assert smallest_difference(by_region, apart, 5) == Apart(3, 5)


def test_what_sums_would_fix_is_too_few():
    """Seven rows between two levels, of which both answers have many sums."""
    one = np.repeat([0, 1], 50)
    two = np.where(np.arange(100) < 57, 0, 1)
    for fixed, found in (((8, 8), Apart(7, 9)), ((8, 2), None), ((6, 9), None)):
        first, second = (
            RowSets(np.arange(100), (codes,), SummedCells({(): 0, (0,): n}))
            for codes, n in zip((one, two), fixed, strict=True)
        )
        assert smallest_difference(first, second, least=5) == found


def test_whoever_is_in_one_answer_alone_is_counted():
    """Rows, or units; rows that are gone may have been one unit's."""
    short, long = (rows_of(range(n), ()) for n in (16, 30))
    assert whole_difference(short, long) == whole_difference(long, short) == 14
    assert whole_difference(short, short) is None
    units = np.repeat(np.arange(8), 2)
    assert whole_difference(rows_of(range(16), (), units=units), long) == 1
    fewer = rows_of(range(10), (), units=units)
    assert whole_difference(fewer, short) == 3
