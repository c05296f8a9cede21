"""Gamma functions of counts, told at fixed shapes and needed at any."""

import math

import numpy as np
import pytest

from fedglmm_flower.glmm.negative_binomial import log_rising
from fedglmm_flower.glmm.shape import ShapeCurve, shape_values
from fedglmm_flower.study.shapes import SHAPES


def rising(y, theta):
    """The same by its definition, summed without rounding."""
    return math.fsum(math.log(theta + j) for j in range(y))


@pytest.mark.parametrize("y", [1, 2, 3, 7, 20, 150, 3000])
def test_the_curve_is_the_sum_between_and_beyond_its_points(y):
    """One count: 1e-9 of it where shapes are estimated, 1e-5 far out."""
    values = shape_values(np.array([float(y)]), np.ones(1))

    curve = ShapeCurve.through(values, float(y))

    for theta in np.geomspace(1e-3, 1e7, 60):
        far = 1e-9 if 0.02 < theta < 1e3 else 1e-5
        assert curve(theta)[0] == pytest.approx(rising(y, theta), rel=0, abs=far * y)


def test_the_slope_is_the_derivative():
    """Against the sum of reciprocals."""
    counts = np.array([0.0, 1.0, 4.0, 9.0, 60.0])
    weights = np.array([5.0, 2.0, 1.0, 0.5, 0.25])
    curve = ShapeCurve.through(shape_values(counts, weights), float(counts @ weights))

    for theta in (0.05, 0.7, 12.0, 800.0):
        slope = weights @ log_rising(counts, theta)[1]
        assert curve(theta)[1] == pytest.approx(slope, rel=1e-7)


def test_far_out_the_counts_are_all_that_matters():
    """The curve becomes the Poisson limit: the sum of counts times log theta."""
    curve = ShapeCurve.through(shape_values(np.arange(6.0), np.ones(6)), 15.0)

    assert curve(1e12)[0] == pytest.approx(15 * math.log(1e12), rel=1e-9)
    assert max(SHAPES) == 1e7
