"""The mixed model of estimates, against normal densities written out."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from fedglmm_flower.coordinator.noise_mixed import MixedProblem, Term

RNG = np.random.default_rng(3)
P, SITES = 2, 12


@pytest.fixture
def problem():
    """Two clusters in each site; effects of the site and of the cluster."""
    blocks = 2 * SITES
    roots = RNG.normal(size=(blocks, P, 4))
    informations = roots @ roots.transpose(0, 2, 1) + 2 * np.eye(P)
    found = RNG.normal([1.0, -0.5], 0.7, (blocks, P))
    vectors = np.einsum("cij,cj->ci", informations, found)
    sites = [(2 * i, 2 * i + 1) for i in range(SITES)]
    column = np.array([[1.0], [0.0]])
    terms = (
        Term(column, tuple(str(c // 2) for c in range(blocks)), correlated=True),
        Term(column, tuple(str(c) for c in range(blocks)), correlated=True),
    )
    made = MixedProblem(informations, vectors, np.eye(P), terms, sites)
    return made, informations, found, sites


def covariance_of(informations, blocks, outer, inner):
    """Of the estimates of one site, by the definition of the model."""
    z = np.array([1.0, 0.0])
    out = np.kron(np.ones((2, 2)), outer**2 * np.outer(z, z))
    for j, c in enumerate(blocks):
        at = slice(P * j, P * j + P)
        out[at, at] += inner**2 * np.outer(z, z) + np.linalg.inv(informations[c])
    return out


def test_the_criterion_is_the_restricted_likelihood(problem):
    """Differences between variances are those of densities with the term of REML."""
    made, informations, found, sites = problem

    def written_out(outer, inner):
        x = np.vstack([np.eye(P)] * 2)
        spreads = [covariance_of(informations, b, outer, inner) for b in sites]
        weights = [np.linalg.inv(v) for v in spreads]
        xx = sum(x.T @ w @ x for w in weights)
        d = [found[list(b)].ravel() for b in sites]
        beta = np.linalg.solve(
            xx, sum(x.T @ w @ y for w, y in zip(weights, d, strict=True))
        )
        logs = sum(
            multivariate_normal(x @ beta, v).logpdf(y)
            for v, y in zip(spreads, d, strict=True)
        )
        return np.linalg.slogdet(xx)[1] - 2 * logs, beta, np.linalg.inv(xx)

    points = [(0.1, 0.4), (0.8, 0.2), (0.0, 0.0)]
    ours = [made.criterion(np.array(point)) for point in points]
    theirs = [written_out(*point)[0] for point in points]
    assert np.allclose(np.diff(ours), np.diff(theirs))
    fitted = made.at(np.array(points[0]))
    _, beta, covariance = written_out(*points[0])
    assert np.allclose(fitted.fixed, beta)
    assert np.allclose(fitted.covariance, covariance)


def test_the_maximum_is_one(problem):
    """Around the solution the criterion is larger."""
    made, *_ = problem
    best = made.solve()
    least = made.criterion(best.factors)
    for k in range(2):
        for step in (-0.05, 0.05):
            moved = best.factors.copy()
            moved[k] += step
            assert made.criterion(moved) >= least - 1e-6


def test_without_random_effects_estimates_are_weighted_means():
    """Each by its information."""
    informations = np.array([[[4.0]], [[1.0]]])
    vectors = np.array([[4.0], [3.0]])
    made = MixedProblem(informations, vectors, np.eye(1), (), [(0,), (1,)])
    fitted = made.solve()
    assert fitted.fixed == pytest.approx([7.0 / 5.0])
    assert fitted.covariance[0, 0] == pytest.approx(0.2)
