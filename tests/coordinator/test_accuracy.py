"""What the release alone says about the approximation."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from fedglmm_flower.coordinator.accuracy import accuracy_of


def fit(*estimates) -> Any:
    """As much of a fitted model as is looked at."""
    one = np.ones(len(estimates))
    return SimpleNamespace(
        estimates=np.array(estimates), se=one, converged=True, loglik=0.0
    )


def test_shift_and_spread_are_those_of_the_fits():
    """The order shift is against the lower order, the spread half that of halves."""
    found: Any = accuracy_of(
        fit(1.0, 2.0), fit(0.7, 2.0), (fit(1.1, 2.2), fit(0.9, 1.4))
    )

    np.testing.assert_allclose(found.order_shift, [0.3, 0.0])
    np.testing.assert_allclose(found.seed_spread, [0.1, 0.4])
    common = 0.3 / np.sqrt(2)
    np.testing.assert_allclose(found.error, np.hypot([0.6, 2 * common], [0.1, 0.4]))


def test_without_a_lower_order_the_error_is_unknown():
    """At K=1 there is nothing to compare with; the spread alone is no error."""
    found = accuracy_of(fit(1.0), None, (fit(1.1), fit(0.9)))

    assert found.order_shift is None
    assert found.error is None


def test_fits_that_have_not_converged_say_nothing():
    """A lower order, or a half, that stopped short is no yardstick."""
    good, bad = fit(1.0), fit(5.0)
    bad.converged = False

    found = accuracy_of(good, bad, (fit(1.1), bad))

    assert found.order_shift is None
    np.testing.assert_array_equal(found.seed_spread, [0.0])
