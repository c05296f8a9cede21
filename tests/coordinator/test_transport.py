"""Hermite moments, their gradients, and the steps that match them."""

import numpy as np
import pytest

from fedglmm_flower.coordinator import transport as module
from fedglmm_flower.coordinator.transport import (
    Box,
    HermiteMoments,
    hermite,
    hermite_transform,
    transport,
)


def exponents_to(order, d):
    """All exponents of positive degree at most ``order``."""
    grid = np.array(np.meshgrid(*[range(order + 1)] * d)).reshape(d, -1).T
    return grid[(grid.sum(axis=1) <= order) & grid.any(axis=1)]


def problem(rng, *, rows=40, d=2, order=3, cells=3):
    """Functions over some cells, with unequal masses, and rows."""
    exponents = exponents_to(order, d)
    masks = np.vstack([np.ones(cells), np.arange(cells) == 1]).astype(float)
    functions = HermiteMoments(
        np.vstack([exponents, exponents]),
        np.repeat(masks, len(exponents), axis=0),
        np.sort(rng.integers(0, cells, rows)),
        rng.dirichlet(np.full(rows, 5.0)),
    )
    return functions, rng.normal(size=(rows, d))


def open_box(d):
    """No bounds."""
    return Box(np.full(d, -np.inf), np.full(d, np.inf))


def test_hermite_polynomials_are_orthonormal():
    """Their products have mean one and zero under the standard normal."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)

    table = hermite(nodes, 6)

    gram = (table * weights / weights.sum()) @ table.T
    np.testing.assert_allclose(gram, np.eye(7), atol=1e-12)


def test_transform_is_direct_evaluation(rng):
    """Hermite moments from raw ones are those of the points themselves."""
    mean, sd = np.array([1.5, -20.0]), np.array([0.3, 7.0])
    x = mean + sd * rng.normal(size=(50, 2))
    exponents = np.vstack([[0, 0], exponents_to(4, 2)])
    groups = [0] * len(exponents) + [1] * len(exponents)
    both = np.vstack([exponents, exponents])
    half = np.arange(50) < 20
    masks = np.vstack([np.ones(50), half])
    raw = np.array(
        [
            (masks[g] * x[:, 0] ** e[0] * x[:, 1] ** e[1]).mean()
            for g, e in zip(groups, both, strict=True)
        ]
    )

    found = hermite_transform(both, groups, mean, sd) @ raw

    z = (x - mean) / sd
    tables = [hermite(z[:, k], 4) for k in range(2)]
    direct = np.array(
        [
            (masks[g] * tables[0][e[0]] * tables[1][e[1]]).mean()
            for g, e in zip(groups, both, strict=True)
        ]
    )
    np.testing.assert_allclose(found, direct, atol=1e-7)


def test_values_are_masked_means(rng):
    """Each function is the mass-weighted mean of its product inside its cells."""
    functions, points = problem(rng)
    tables = [hermite(points[:, k], 3) for k in range(2)]

    found = functions.values(points)

    for j, (e, mask) in enumerate(
        zip(functions.exponents, functions.masks, strict=True)
    ):
        product = tables[0][e[0]] * tables[1][e[1]] * mask[functions.cell]
        assert found[j] == pytest.approx(product @ functions.weights, abs=1e-13)


def test_gradient_is_that_of_finite_differences(rng):
    """The combined gradient at a row is the difference quotient of the values."""
    functions, points = problem(rng)
    alpha = rng.normal(size=len(functions.exponents))

    gradient = functions.combine(alpha, functions.slopes(points))

    step = 1e-6
    for row, k in [(0, 0), (7, 1), (25, 0), (39, 1)]:
        up, down = points.copy(), points.copy()
        up[row, k] += step
        down[row, k] -= step
        change = alpha @ (functions.values(up) - functions.values(down))
        quotient = change / (2 * step) / functions.weights[row]
        assert gradient[row, k] == pytest.approx(quotient, rel=1e-6, abs=1e-6)


def test_gram_is_made_of_the_gradients(rng):
    """Cell by cell, the Gram matrix is that of all gradients at all rows."""
    functions, points = problem(rng)
    slopes = functions.slopes(points)
    m = len(functions.exponents)
    each = np.array([functions.combine(row, slopes) for row in np.eye(m)])

    gram = functions.gram(slopes)

    direct = np.einsum("jik,lik,i->jl", each, each, functions.weights)
    np.testing.assert_allclose(gram, direct, rtol=1e-10, atol=1e-10)


def test_gram_is_the_same_in_parts(rng, monkeypatch):
    """Cells that are summed a few at a time add up to those summed at once."""
    functions, points = problem(rng, rows=60, cells=7)
    slopes = functions.slopes(points)
    whole = functions.gram(slopes)

    monkeypatch.setattr(module, "_MOST_NUMBERS", 2 * len(functions.degrees) ** 2)

    np.testing.assert_allclose(functions.gram(slopes), whole, rtol=1e-12, atol=1e-12)


def test_transport_reaches_the_targets(rng):
    """Moments of a skewed sample are reached from a Gaussian start."""
    exponents = exponents_to(4, 2)
    weights = np.full(300, 1 / 300)
    functions = HermiteMoments(
        exponents, np.ones((len(exponents), 1)), np.zeros(300, dtype=int), weights
    )
    skewed = rng.gamma(3.0, 1.0, (300, 2))
    skewed = (skewed - skewed.mean(axis=0)) / skewed.std(axis=0)
    goal = functions.values(skewed)

    moved = transport(rng.normal(size=(300, 2)), functions, goal, open_box(2))

    assert moved.residual < 1e-11
    np.testing.assert_allclose(functions.values(moved.points), goal, atol=1e-10)


def test_a_matched_start_needs_no_step(rng):
    """Rows whose moments are right already stay where they are."""
    functions, points = problem(rng)
    goal = functions.values(points) / functions.scale

    moved = transport(points, functions, goal, open_box(2))

    assert moved.iterations == 0
    np.testing.assert_array_equal(moved.points, points)


def test_what_cannot_be_matched_ends_with_its_residual(rng):
    """A variance below the squared mean is nobody's: the steps end, and say so."""
    exponents = np.array([[1], [2]])
    functions = HermiteMoments(
        exponents, np.ones((2, 1)), np.zeros(50, dtype=int), np.full(50, 0.02)
    )
    # Mean 2 and second moment 1: h_2 = (1 - 1) / sqrt(2).
    moved = transport(
        rng.normal(size=(50, 1)), functions, np.array([2.0, 0.0]), open_box(1)
    )

    assert np.isfinite(moved.points).all()
    assert moved.residual > 0.1


@pytest.mark.parametrize(("low", "high"), [(-1, 2), (-1, np.inf), (-np.inf, 2)])
def test_no_row_passes_a_bound(low, high, rng):
    """Bounds hold even when the targets pull the rows beyond them."""
    exponents = exponents_to(3, 1)
    functions = HermiteMoments(
        exponents,
        np.ones((len(exponents), 1)),
        np.zeros(100, dtype=int),
        np.full(100, 0.01),
    )
    wanted = functions.values(3 * rng.normal(size=(100, 1)))
    box = Box(np.array([float(low)]), np.array([float(high)]))

    moved = transport(5 * rng.normal(size=(100, 1)), functions, wanted, box)

    assert moved.points.min() >= low
    assert moved.points.max() <= high


def test_a_narrow_box_is_not_left_either(rng):
    """Where both bounds are soft at once, the lower one still holds."""
    box = Box(np.array([-0.2]), np.array([0.2]))

    closed = box.close(rng.normal(0, 3, (200, 1)))

    assert closed.min() >= -0.2
    assert closed.max() <= 0.2


def test_slope_of_the_box_is_its_derivative(rng):
    """The soft bounds are differentiated as they are applied."""
    box = Box(np.array([-2.0, -np.inf, -2.0]), np.array([2.0, 0.5, np.inf]))
    free = rng.normal(0, 1.5, (30, 3))

    quotient = (box.close(free + 1e-6) - box.close(free - 1e-6)) / 2e-6

    np.testing.assert_allclose(box.slope(free), quotient, atol=1e-7)


def test_the_box_is_the_identity_far_from_its_bounds():
    """Rows in the middle of a wide range are not moved by its bounds."""
    box = Box(np.array([-50.0]), np.array([50.0]))
    free = np.linspace(-3, 3, 7)[:, None]

    np.testing.assert_allclose(box.close(free), free, atol=1e-12)


def test_products_that_no_solver_takes_are_damped(rng):
    """A singular value decomposition may fail; the rows stay, and nothing is raised."""
    functions, rows = problem(rng)
    goal = functions.values(rng.normal(size=rows.shape)) / functions.scale

    class Failing(HermiteMoments):
        def gram(self, slopes):
            return np.full_like(super().gram(slopes), np.nan)

    failing = object.__new__(Failing)
    failing.__dict__.update(functions.__dict__)
    found = transport(rows, failing, goal, open_box(2))

    np.testing.assert_array_equal(found.points, rows)
    assert found.iterations == 1
