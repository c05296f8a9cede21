"""What the release alone says about the approximation."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fedglmm_flower.coordinator.accuracy import (
    ROUNDING,
    accuracy_of,
    heaviest_tails,
    missed_share,
    share_of_step,
)


def fit(*estimates, sd=0.5) -> Any:
    """As much of a fitted model as is looked at."""
    one = np.ones(len(estimates))
    term = SimpleNamespace(sd=np.array([sd]), levels=("a",) * 8)
    return SimpleNamespace(
        estimates=np.array(estimates),
        se=one,
        converged=True,
        loglik=0.0,
        random=(term,),
    )


def accuracy(main, lower, halves, *, share=2.0, missed=0.0) -> Any:
    """Diagnostics, with round numbers for what is measured."""
    return accuracy_of(main, lower, halves, share=share, missed=missed)


def test_shift_and_spread_are_those_of_the_fits():
    """The order shift is against the set below, the spread half that of halves."""
    found = accuracy(fit(1.0, 2.0), fit(0.7, 2.0), (fit(1.1, 2.2), fit(0.9, 1.4)))

    np.testing.assert_allclose(found.order_shift, [0.3, 0.0])
    np.testing.assert_allclose(found.seed_spread, [0.1, 0.4])
    common = 0.3 / np.sqrt(2)
    steps = 2.0 * np.hypot([0.3, 0.0], common)
    np.testing.assert_allclose(found.error, np.hypot(steps, [0.2, 0.8]))


def test_a_standard_deviation_has_an_error_too():
    """It follows from its own steps, and a little from those of the coefficients."""
    main, lower = fit(1.0, sd=0.5), fit(1.0, sd=0.4)
    found = accuracy(main, lower, (fit(1.0, sd=0.52), fit(1.0, sd=0.48)))

    np.testing.assert_allclose(found.sd_error, np.hypot(2.0 * 1.5 * 0.1, 2.0 * 0.02))
    moved = accuracy(main, fit(0.0, sd=0.4), (fit(1.0), fit(1.0)))
    assert moved.sd_error > accuracy(main, lower, (fit(1.0), fit(1.0))).sd_error


def test_what_sites_miss_widens_every_error():
    """A release whose sums are not met is not as good as its order says."""
    same = fit(1.0, 2.0)

    met = accuracy(same, same, (same, same))
    off = accuracy(same, same, (same, same), missed=0.5)

    np.testing.assert_allclose(met.error, ROUNDING)
    np.testing.assert_allclose(off.error, 0.1)


def test_missed_sums_count_by_their_rows():
    """One site in a hundred that misses matters a hundred times less than all."""
    rows, residuals = np.full(100, 50.0), np.full(100, 0.01)
    few = np.where(np.arange(100) == 0, 0.01, 0.0)

    assert missed_share(rows, residuals) == pytest.approx(10 * missed_share(rows, few))
    assert missed_share(rows, np.zeros(100)) == 0.0


def test_the_weakest_set_decides():
    """Among sites that sent different sets the least accurate one is believed."""
    shares = [share_of_step([("canonical", k)]) for k in (2, 3, 4, 5, 6)]

    assert shares == sorted(shares, reverse=True)
    assert share_of_step([("canonical", 5), ("canonical", 2)]) == shares[0]
    assert share_of_step([("anchored", 3), ("canonical", 4)]) > shares[2]


def test_without_a_lower_order_the_error_is_unknown():
    """At K=1 there is nothing to compare with; the spread alone is no error."""
    found = accuracy(fit(1.0), None, (fit(1.1), fit(0.9)))

    assert found.order_shift is None
    assert found.error is None
    assert found.sd_error is None


def test_fits_that_have_not_converged_say_nothing():
    """A lower order, or a half, that stopped short is no yardstick."""
    good, bad = fit(1.0), fit(5.0)
    bad.converged = False

    found = accuracy(good, bad, (fit(1.1), bad))

    assert found.order_shift is None
    np.testing.assert_array_equal(found.seed_spread, [0.0])


def tails(*columns, order=4) -> float:
    """Heaviest tails of sites that release these columns to an order."""
    sites: Any = [
        SimpleNamespace(moments={(k,): float(np.mean(x**k)) for k in range(order + 1)})
        for x in columns
    ]
    return heaviest_tails(sites, [False])


def test_tails_are_the_fourth_standardised_moment(rng):
    """Of a column wherever it stands, and of the middle site of all."""
    x = rng.exponential(size=500)
    expected = float(np.mean((x - x.mean()) ** 4) / np.var(x) ** 2)
    flat = np.linspace(-1.0, 1.0, 50)

    assert tails(x) == pytest.approx(expected)
    assert tails(7.0 + 3.0 * x) == pytest.approx(expected)
    assert tails(x, x, flat) == pytest.approx(expected)
    assert tails(x, flat, flat) == 3.0
    assert tails(np.full(9, 2.0)) == 3.0
    assert tails() == 3.0


def test_tails_follow_from_skewness_where_no_fourth_moment_is_there(rng):
    """At least its square and one more; three where third moments are missing too."""
    x = rng.lognormal(size=300)
    skewness = float(np.mean((x - x.mean()) ** 3) / np.var(x) ** 1.5)

    assert tails(x, order=3) == pytest.approx(skewness**2 + 1.0)
    assert tails(x, order=3) < tails(x)
    assert tails(x, order=2) == 3.0


def test_a_factor_has_no_tails():
    """Its fourth moment would be a fifth level."""
    moments = {(k,): 0.2 for k in range(5)} | {(0,): 1.0}
    site: Any = SimpleNamespace(moments=moments)

    assert heaviest_tails([site], [True]) == 3.0
    assert heaviest_tails([site], [False]) > 3.0


def test_heavy_tails_make_every_step_tell_less():
    """Errors of two steps of plain moments, of three with an anchor, at any order."""
    for heavy, light in ((8.1, 8.0), (50.0, 3.0)):
        assert share_of_step([("canonical", 5)], heavy) == 2.0
        assert share_of_step([("joint", 2)], heavy) == 2.0
        assert share_of_step([("anchored", 3)], heavy) == 3.0
        assert share_of_step([("canonical", 5)], light) < 1.0
        assert share_of_step([("anchored", 3)], light) < 1.0


def test_what_another_start_moves_is_doubted_twice():
    """Sums of an anchored set that leave a coefficient open show it by the start."""
    main, same = fit(1.0, 2.0), fit(1.0, 2.0)
    moved = fit(1.0, 1.9)

    found: Any = accuracy_of(
        main, same, (same, same), skewed=moved, share=1.0, missed=0.0
    )
    calm: Any = accuracy_of(
        main, same, (same, same), skewed=same, share=1.0, missed=0.0
    )

    np.testing.assert_allclose(found.start_shift, [0.0, 0.1])
    common = 0.1 / np.sqrt(2)
    np.testing.assert_allclose(
        found.error, 2.0 * np.hypot([0.0, 0.1], common), rtol=1e-6
    )
    np.testing.assert_allclose(calm.error, ROUNDING)


def test_a_skewed_fit_that_has_not_converged_is_left_out():
    """What stopped short says nothing of what is open."""
    main, bad = fit(1.0), fit(5.0)
    bad.converged = False

    found: Any = accuracy_of(
        main, main, (main, main), skewed=bad, share=1.0, missed=0.0
    )

    assert found.start_shift is None
    np.testing.assert_allclose(found.error, ROUNDING)
