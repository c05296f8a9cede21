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


def test_the_more_often_a_step_fails_the_firmer_the_regularisation():
    """A direction that is hardly known is shortened more than one that is known."""
    turn = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2.0)
    asked = []

    def valley(x):
        known, flat = turn @ x
        asked.append((known, flat))
        value = -50.0 * (known - 1.0) ** 2 + 0.01 * flat - 40.0 * flat**4
        slope = np.array([-100.0 * (known - 1.0), 0.01 - 160.0 * flat**3])
        # It says nothing of the bend along the valley, as it does at its start.
        return Score(value, turn @ slope, turn @ np.diag([100.0, 0.0]) @ turn)

    found = climb(valley, np.zeros(2), steps=3)
    tried = np.array(asked[1:])

    assert tried[:, 0] == pytest.approx([1.0, 0.5, 0.25])
    assert tried[:, 1] == pytest.approx([200.0, 10.0, 0.5], rel=1e-3)
    assert found.regularised == 3
    # Halved alone, the step would still be 50 along the valley.
    assert found.point == pytest.approx(turn @ tried[2])
