"""Whether a boundary at which the one round ended is one of the sites' rows."""

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.coordinator.refine import rises
from fedglmm_flower.glmm import fit
from fedglmm_flower.glmm.frame import Frame
from fedglmm_flower.glmm.rows import ModelRows
from fedglmm_flower.glmm.score import score_at


@pytest.mark.parametrize(("sd", "leaves"), [(1.0, True), (0.0, False)])
def test_the_bend_at_no_effects_tells_whether_there_are_some(sd, leaves):
    """Groups that differ draw the likelihood from the boundary, others hold it."""
    group = np.repeat(np.arange(8), 50)
    # The same rows in every group, so that groups without effects are alike.
    x = np.tile(np.random.default_rng(4).normal(size=50), 8)
    eta = 0.5 * x + (sd * np.linspace(-1.0, 1.0, 8))[group]
    y = (np.tile(np.linspace(0.01, 0.99, 50), 8) < 1 / (1 + np.exp(-eta))).astype(int)
    table = pd.DataFrame({"g": group.astype(str), "x": x, "y": y})
    fitted = fit("y ~ x + (1 | g)", table, family="binomial")
    assert fitted.asked is not None
    assert isinstance(fitted.source, ModelRows)
    frame = Frame.of(fitted.asked.model)
    phi = frame.point(fitted)
    phi[frame.parts[1]] = 0.0
    held = np.zeros(frame.size, dtype=np.bool_)
    held[frame.parts[1]] = True
    score, _ = score_at(frame, fitted.source, phi, 1)

    assert bool(fitted.random[0].sd[0] > 0.1) is leaves
    assert rises(score, held) is leaves
    assert not rises(score, np.zeros_like(held))
