"""The climb: where it ends."""

import numpy as np

from fedglmm_flower.glmm.optimise import bfgs


def test_a_plateau_ends_the_climb():
    """A slope that no value follows is given up after a few steps, not two hundred."""
    asked = 0

    def plateau(x):
        nonlocal asked
        asked += 1
        return -1000.0, np.full_like(x, 1e-4)

    bfgs(plateau, np.zeros(2), np.eye(2), np.ones(2))

    assert 5 <= asked < 20
