"""Newton's method on sums of scores: step control and clear ends."""

import numpy as np
import pytest

from fedglmm_flower.coordinator.newton import climb
from fedglmm_flower.glmm.score import Score


def bowl(x):
    """-sum(log cosh): Newton overshoots and diverges from beyond 1.09."""
    return Score(
        -float(np.log(np.cosh(x)).sum()), -np.tanh(x), np.diag(np.cosh(x) ** -2.0)
    )


def test_steps_after_which_the_sum_falls_are_halved():
    """From where plain Newton diverges, the maximum is found all the same."""
    found = climb(bowl, np.array([1.5, -1.3]), steps=20)

    assert found.state == "arrived"
    assert found.point == pytest.approx([0.0, 0.0], abs=1e-8)


def test_a_diverging_climb_keeps_the_start():
    """A likelihood that contradicts its own slope ends where it began."""

    def lying(x):
        return Score(-float(x @ x), np.array([1.0]), np.array([[1.0]]))

    found = climb(lying, np.zeros(1), steps=5)

    assert found.state == "no-ascent"
    assert found.point.tolist() == [0.0]
    assert found.asked == 6


def test_a_singular_information_is_regularised_and_told():
    """A flat direction is no reason to fail: nothing moves along it."""

    def flat(x):
        return Score(-float(x[0] ** 2), np.array([-2 * x[0], 0.0]), np.diag([2.0, 0.0]))

    found = climb(flat, np.array([3.0, 7.0]), steps=4)

    assert found.regularised >= 1
    assert found.point == pytest.approx([0.0, 7.0], abs=1e-6)
    assert found.state == "out-of-rounds"


def test_a_site_that_is_lost_leaves_the_last_whole_sum():
    """What was reached with all sites stays."""
    asked = []

    def losing(x):
        asked.append(x)
        return None if len(asked) > 2 else bowl(x)

    found = climb(losing, np.array([0.9]), steps=5)

    assert found.state == "site-lost"
    assert found.point.tolist() == asked[1].tolist()


def test_arrived_already_costs_one_question():
    """At the maximum nobody is asked twice."""
    assert climb(bowl, np.zeros(2), steps=5).asked == 1
