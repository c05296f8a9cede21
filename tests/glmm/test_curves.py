"""The functions that likelihoods with two measures integrate."""

import numpy as np
import pytest

from fedglmm_flower.glmm.curves import cloglog, curves_of, negative_binomial, probit
from fedglmm_flower.glmm.families import family_class
from fedglmm_flower.study.release import anchor_measures
from tests.site.conftest import ask

FUNCTIONS = {"probit": probit, "cloglog": cloglog, "nbinom2": negative_binomial(2.5)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_derivative_is_the_slope_of_the_one_before(name):
    """To the fourth, on both sides of every place where formulas change."""
    h, step = FUNCTIONS[name], 1e-5
    eta = np.concatenate([np.linspace(-6, 3, 91), [-4.605, -4.606]])

    for k in range(4):
        slope = (h(eta + step, k) - h(eta - step, k)) / (2 * step)
        np.testing.assert_allclose(slope, h(eta, k + 1), rtol=2e-6, atol=1e-8)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_far_out_nothing_overflows_and_the_asymptote_is_met(name):
    """Values are positive and convex from -1e4 to 1e4; series continue formulas."""
    h = FUNCTIONS[name]
    eta = np.concatenate([-np.geomspace(1e4, 1e-3, 400), np.geomspace(1e-3, 1e4, 400)])

    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found = [h(eta, k) for k in range(5)]

    assert all(np.isfinite(values).all() for values in found)
    assert (found[0] >= 0).all()
    assert (found[2] >= 0).all()
    at = np.array([-30.0 - 1e-9, -30.0 + 1e-9])
    for k, tolerance in enumerate((1e-9, 1e-9, 1e-9, 1e-6, 1e-4)):
        left, right = h(at, k)
        assert left == pytest.approx(right, rel=tolerance, abs=1e-12)


@pytest.mark.parametrize("link", ["probit", "cloglog"])
@pytest.mark.parametrize("event", [0.0, 1.0])
def test_they_are_those_of_the_engine(link, event):
    """Value, score, curvature and beyond of one trial."""
    eta, one = np.linspace(-8, 3, 111), np.ones(111)
    model = ask("died ~ age", "binomial", link=link).model
    others, events = curves_of(model)
    h = (events if event else others).h
    family = family_class("binomial", link)(event * one, one, one, 0.0)
    value, score, curvature = family.terms(eta, 0.0)

    np.testing.assert_allclose(h(eta, 0), -value, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(h(eta, 1), -score, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(h(eta, 2), curvature, rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(h(eta, 3), family.third(eta, 0.0), rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(h(eta, 4), family.fourth(eta), rtol=1e-5, atol=1e-8)


def test_the_negative_binomial_likelihood_is_two_integrals_and_a_line():
    """``y (eta - psi) - theta h - y h``, whatever theta is."""
    theta, y = 1.7, np.array([0.0, 1.0, 4.0, 11.0])
    eta, one = np.linspace(-3, 3, 4), np.ones(4)
    rows, events = curves_of(ask("count ~ age", "nbinom2").model, theta)
    family = family_class("nbinom2", "log")(y, one, one, 0.0)
    value = y * (eta - np.log(theta))
    for curve, measure in ((rows, one), (events, y)):
        value = value - curve.factor * measure * curve.h(eta, 0)

    np.testing.assert_allclose(value, family.terms(eta, np.log(theta))[0])


@pytest.mark.parametrize(
    ("family", "link"),
    [
        ("binomial", "logit"),
        ("binomial", "probit"),
        ("binomial", "cloglog"),
        ("nbinom2", "log"),
    ],
)
def test_what_is_left_of_an_asymptote_vanishes_there(family, link):
    """A steep line sees by it only the rows on the other side."""
    model = ask("count ~ age", family, link=link).model
    names = []
    for curve in curves_of(model, 2.0):
        names.append(curve.measure)
        for order in range(3):
            for far in (np.array([-1e3]), np.array([1e3])):
                rest = curve.rest(far, order)
                if rest is None:
                    break
                other = curve.rest(-far, order)
                assert other is not None
                small = min(abs(rest[0]), abs(other[0]))
                large = max(abs(rest[0]), abs(other[0]))
                assert small <= 1e-2 * large

    assert tuple(names) == anchor_measures(model)
