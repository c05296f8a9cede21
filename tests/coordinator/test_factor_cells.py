"""Cells of factors from the moments of their indicators."""

from itertools import combinations, product
from typing import Any

import numpy as np
import pytest

from fedglmm_flower.coordinator.factor_cells import MAX_CELLS, factor_cells
from fedglmm_flower.errors import FitError


def moments_of(table, order):
    """Moments of indicators up to an order, straight from the joint probabilities."""
    levels = table.shape
    found: dict[tuple[int, ...], float] = {}
    for size in range(min(order, len(levels)) + 1):
        for subset in combinations(range(len(levels)), size):
            for chosen in product(*(range(1, levels[i]) for i in subset)):
                at: list[Any] = [slice(None)] * len(levels)
                monomial = [0] * len(levels)
                for i, level in zip(subset, chosen, strict=True):
                    at[i], monomial[i] = level, level
                found[tuple(monomial)] = float(table[tuple(at)].sum())
    return found


def dense(cells, levels):
    """The probabilities as a table."""
    out = np.zeros(levels)
    out[tuple(cells.codes.T)] = cells.probabilities
    return out


def random_table(levels, rng):
    """Joint probabilities without any structure."""
    table = rng.gamma(0.7, 1.0, levels)
    return table / table.sum()


@pytest.mark.parametrize("levels", [(2,), (3, 2), (2, 3, 4), (2, 2, 2, 2)])
def test_all_products_determine_every_cell(levels, rng):
    """With products over all factors, inclusion and exclusion finds the table."""
    table = random_table(levels, rng)

    cells = factor_cells(moments_of(table, len(levels)), levels, range(len(levels)))

    assert cells.determined
    np.testing.assert_allclose(dense(cells, levels), table, atol=1e-12)


@pytest.mark.parametrize(("levels", "order"), [((3, 2, 2), 1), ((3, 2, 2), 2)])
def test_margins_are_kept_where_cells_are_open(levels, order, rng):
    """With lower products, every released margin is that of the cells."""
    moments = moments_of(random_table(levels, rng), order)

    cells = factor_cells(moments, levels, range(len(levels)))

    assert not cells.determined
    found = moments_of(dense(cells, levels), order)
    for monomial, value in moments.items():
        assert found[monomial] == pytest.approx(value, abs=1e-11)


def test_first_moments_alone_mean_independence(rng):
    """The largest entropy with single margins is their product."""
    levels = (2, 3, 2)
    table = random_table(levels, rng)
    margins = [table.sum(axis=tuple(j for j in range(3) if j != i)) for i in range(3)]

    cells = factor_cells(moments_of(table, 1), levels, range(3))

    expected = np.einsum("i,j,k->ijk", *margins)
    np.testing.assert_allclose(dense(cells, levels), expected, atol=1e-12)


def test_no_interaction_beyond_the_released_ones(rng):
    """From pairs of three 0/1 factors, the conditional odds ratios do not differ."""
    levels = (2, 2, 2)
    table = random_table(levels, rng) + 0.02
    table /= table.sum()

    found = dense(factor_cells(moments_of(table, 2), levels, range(3)), levels)

    logs = np.log(found)
    three_way = sum(
        (-1) ** sum(cell) * logs[cell] for cell in product(range(2), repeat=3)
    )
    assert abs(three_way) < 1e-6


def test_empty_cells_are_left_out(rng):
    """A cell that holds nobody gets no pseudo-row, and no division by zero."""
    levels = (3, 2)
    table = random_table(levels, rng)
    table[1, 1] = table[2, 0] = 0.0
    table /= table.sum()

    cells = factor_cells(moments_of(table, 2), levels, range(2))

    assert len(cells.codes) == 4
    np.testing.assert_allclose(dense(cells, levels), table, atol=1e-12)


def test_a_level_nobody_has_leaves_the_others_whole(rng):
    """A site that lacks a level, at an order that leaves cells open, has none of it."""
    levels = (3, 2, 2)
    table = random_table(levels, rng)
    table[2] = 0.0
    table /= table.sum()

    cells = factor_cells(moments_of(table, 1), levels, range(3))

    assert set(cells.codes[:, 0]) == {0, 1}
    assert cells.probabilities.sum() == pytest.approx(1.0, abs=1e-14)


def test_moments_of_continuous_atoms_are_ignored():
    """Only products of indicators say something about cells."""
    moments: dict[tuple[int, ...], float] = {
        (0, 0): 1.0,
        (1, 0): 7.0,
        (0, 1): 0.25,
        (2, 1): 3.0,
    }

    cells = factor_cells(moments, [2], [1])

    np.testing.assert_allclose(cells.probabilities, [0.75, 0.25])


def test_without_factors_there_is_one_cell():
    """No factor is one cell, and determined."""
    cells = factor_cells({(0,): 1.0}, [], [])

    assert cells.codes.shape == (1, 0)
    assert cells.determined


def test_too_many_combinations_are_refused_before_any_work():
    """A table of cells that would not fit in memory is an error with a way out."""
    levels = [1000] * 7

    with pytest.raises(FitError, match=f"at most {MAX_CELLS}.*merge levels"):
        factor_cells({(0,) * 7: 1.0}, levels, range(7))


def test_a_margin_that_is_only_neared_is_told():
    """Seven rows of three factors lie at the edge of what pairs of them allow."""
    told = 0
    for seed in range(40):
        rows = np.random.default_rng(seed).integers(0, 2, (7, 3))
        pairs = [m for m in product((0, 1), repeat=3) if sum(m) <= 2]
        moments = {m: float((rows >= m).all(axis=1).mean()) for m in pairs}
        found = factor_cells(moments, (2, 2, 2), (0, 1, 2))
        off = max(
            abs(found.probabilities[(found.codes >= m).all(axis=1)].sum() - value)
            for m, value in moments.items()
        )
        told += found.missed > 0
        assert off <= 1e-12 + 8 * found.missed
    assert 0 < told < 40
