"""Scores of single sites: derivatives are right, and sites add up to the whole."""

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.glmm import fit
from fedglmm_flower.glmm.frame import Frame
from fedglmm_flower.glmm.rows import ModelRows, select_rows
from fedglmm_flower.glmm.score import Score, score_at

CASES = {
    "logit": ("y ~ x + z + (1 | g)", {"family": "binomial"}),
    "logit, quadrature": (
        "y ~ x + z + (1 | g)",
        {"family": "binomial", "method": "aghq:7"},
    ),
    "probit": ("y ~ x + (1 | g)", {"family": "binomial", "link": "probit"}),
    "cloglog": ("y ~ x + (1 | g)", {"family": "binomial", "link": "cloglog"}),
    "poisson, slope": ("n ~ x + z + (1 + z | g)", {"family": "poisson"}),
    "poisson, two sds": ("n ~ x + z + (1 + z || g)", {"family": "poisson"}),
    "gamma": ("t ~ x + z + (1 | g)", {"family": "gamma"}),
    "negative binomial": ("n ~ x + z + (1 | g)", {"family": "nbinom2"}),
    "nested": ("n ~ x + (1 | g/h)", {"family": "poisson"}),
    "no effects": ("y ~ x + z", {"family": "binomial"}),
}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Eight groups of 60 rows with a column far from zero."""
    rng = np.random.default_rng(11)
    n, g = 480, np.repeat(np.arange(8), 60)
    x, z = rng.normal(1990, 12, n), rng.integers(0, 2, n)
    a, b = 0.6 * rng.normal(size=8)[g], 0.5 * rng.normal(size=8)[g]
    eta = 0.03 * (x - 1990) - 0.4 * z + a + b * z
    return pd.DataFrame(
        {
            "g": g.astype(str),
            "h": [f"{k}-{i % 3}" for i, k in enumerate(g)],
            "x": x,
            "z": z,
            "y": (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int),
            "n": rng.poisson(np.exp(eta) * rng.gamma(3, 1 / 3, n)),
            "t": rng.gamma(4, np.exp(eta) / 4) + 1e-3,
        }
    )


def scores(table, case):
    """Frame, rows of all, rows by group, the fit, and nodes."""
    formula, options = CASES[case]
    fitted = fit(formula, table, **options)
    assert fitted.asked is not None
    frame = Frame.of(fitted.asked.model)
    rows = fitted.source
    assert isinstance(rows, ModelRows)
    groups = table["g"].to_numpy()
    parts = [select_rows(rows, groups == g) for g in np.unique(groups)]
    nodes = int(options.get("method", "aghq:1").split(":")[1])
    return frame, rows, parts, fitted, nodes


@pytest.mark.parametrize("case", CASES)
def test_sites_add_up_to_a_maximum(table, case):
    """At the fit the sum has its log-likelihood, no slope, and its standard errors."""
    frame, _, parts, fitted, nodes = scores(table, case)
    phi = frame.point(fitted)
    total = sum_of(score_at(frame, part, phi, nodes)[0] for part in parts)
    covariance = np.linalg.inv(total.information)
    step = covariance @ total.gradient
    se = np.sqrt(np.diag(frame.fixed_covariance(covariance)))

    assert total.value == pytest.approx(fitted.loglik, abs=1e-8)
    assert np.abs(step / np.sqrt(np.diag(covariance))).max() < 1e-6
    assert se == pytest.approx(fitted.se, rel=1e-5)
    assert frame.estimates(phi) == pytest.approx(fitted.estimates, rel=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_derivatives_are_those_of_the_value(table, case):
    """Away from the maximum, for one site: central differences agree."""
    frame, _, parts, fitted, nodes = scores(table, case)
    phi = frame.point(fitted)
    phi = phi + 0.05 * np.cos(np.arange(len(phi)))
    found = score_at(frame, parts[2], phi, nodes)[0]
    for j in range(len(phi)):
        h = 1e-5 * (np.arange(len(phi)) == j)
        up = score_at(frame, parts[2], phi + h, nodes)[0]
        down = score_at(frame, parts[2], phi - h, nodes)[0]
        size = np.sqrt(np.diag(found.information)[j] ** 2 + 1.0)
        slope = (up.value - down.value) / 2e-5
        bend = (down.gradient - up.gradient) / 2e-5

        assert slope == pytest.approx(found.gradient[j], abs=2e-5 * size)
        assert bend == pytest.approx(found.information[j], abs=2e-4 * size)


def test_a_far_point_does_not_overflow(table):
    """Linear predictors of hundreds are summed on the log scale."""
    frame, rows, _, fitted, nodes = scores(table, "logit, quadrature")
    phi = frame.point(fitted)
    phi[1] = 400.0
    found = score_at(frame, rows, phi, nodes)[0]

    assert np.isfinite(found.value)
    assert np.isfinite(found.gradient).all()


def test_a_moved_fit_keeps_what_it_stands_on(table):
    """Moved to where it is, a fit has its own estimates, effects and ICC."""
    frame, _, _, fitted, _ = scores(table, "poisson, slope")
    moved = frame.moved(fitted, frame.point(fitted))

    assert moved.estimates == pytest.approx(fitted.estimates, rel=1e-9)
    assert moved.random[0].sigma == pytest.approx(fitted.random[0].sigma, rel=1e-7)
    assert moved.random[0].modes == pytest.approx(fitted.random[0].modes, abs=1e-6)
    assert moved.icc == pytest.approx(fitted.icc, rel=1e-6)


def sum_of(many) -> Score:
    """Sum of scores."""
    total: Score | None = None
    for one in many:
        total = one if total is None else total + one
    assert total is not None
    return total
