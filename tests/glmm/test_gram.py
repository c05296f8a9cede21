"""Weighted products by blocks of rows."""

import numpy as np
import pytest

from fedglmm_flower.glmm.gram import weighted_gram


@pytest.mark.parametrize("n", [0, 5, 8192, 20_000])
def test_blocks_add_up(n, rng):
    """The blocks make no difference, whatever is left for the last one."""
    X, w = rng.normal(size=(n, 3)), rng.normal(size=n)

    np.testing.assert_allclose(
        weighted_gram(X, w), (X.T * w) @ X, rtol=1e-12, atol=1e-9
    )
