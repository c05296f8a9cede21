"""The gradient is that of the objective, for every family, link and structure."""

import numpy as np
import pytest

from fedglmm_flower.glmm import fit_rows
from fedglmm_flower.glmm.coordinates import build_coordinates
from fedglmm_flower.glmm.families import family_class
from fedglmm_flower.glmm.linear_problem import LinearProblem
from fedglmm_flower.glmm.problem import Problem
from fedglmm_flower.glmm.reduce import cross_products
from fedglmm_flower.glmm.structure import build_structure
from tests.laws.designs import FAMILIES, STRUCTURES, model

# Hessians in closed form
CLOSED = [(f, k) for f, k in FAMILIES if family_class(f, k).has_fourth]


def problem(family, link, structure, nodes):
    """The likelihood of a seeded model."""
    rows = model(family, link, structure, seed=3)
    gram = rows.basis.T @ (rows.weights[:, None] * rows.basis)
    coordinates = build_coordinates(rows.names, rows.coefficients, gram)
    roots = [np.linalg.qr(t.Z, mode="r") / np.sqrt(len(t.Z)) for t in rows.random]
    laid = build_structure(rows.random, roots) if rows.random else None
    return Problem(rows, family_class(family, link), coordinates, laid, nodes=nodes)


def differences(objective, phi):
    """Fourth-order central differences."""
    gradient = np.empty(len(phi))
    for j in range(len(phi)):
        h = np.zeros(len(phi))
        h[j] = 1e-3
        near = objective(phi + h)[0] - objective(phi - h)[0]
        far = objective(phi + 2 * h)[0] - objective(phi - 2 * h)[0]
        gradient[j] = (8 * near - far) / (12 * h[j])
    return gradient


@pytest.mark.parametrize("structure", [*STRUCTURES, "none"])
@pytest.mark.parametrize(("family", "link"), [*FAMILIES, ("gaussian", "identity")])
def test_laplace_gradient(family, link, structure, rng):
    """Away from any optimum, the exact gradient equals differences of the value."""
    likelihood = problem(family, link, structure, 1)
    phi = likelihood.start + 0.1 * rng.normal(size=len(likelihood.start))

    exact = likelihood.objective(phi)[1]

    np.testing.assert_allclose(
        exact, differences(likelihood.objective, phi), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("method", ["ml", "reml"])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_profiled_gradient(structure, method, rng):
    """The linear mixed model's profiled criterion has its exact gradient too."""
    rows = model("gaussian", "identity", structure, seed=4)
    linear = LinearProblem(cross_products(rows), method)
    objective, structure = linear.objective, linear.structure
    assert objective is not None
    assert structure is not None
    theta = 0.5 + 0.2 * rng.normal(size=structure.covariance.size)

    exact = objective(theta)[1]

    np.testing.assert_allclose(
        exact, differences(objective, theta), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize(("family", "link"), FAMILIES)
def test_quadrature_gradient_in_three_dimensions(family, link, rng):
    """Nodes on a grid over three effects follow the modes as well."""
    likelihood = problem(family, link, "three", 3)
    phi = likelihood.start + 0.1 * rng.normal(size=len(likelihood.start))

    exact = likelihood.objective(phi)[1]

    np.testing.assert_allclose(
        exact, differences(likelihood.objective, phi), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("structure", ["intercept", "slope", "independent"])
@pytest.mark.parametrize(("family", "link"), CLOSED)
def test_laplace_hessian(family, link, structure, rng):
    """Away from any optimum, the closed form equals differences of the gradient."""
    likelihood = problem(family, link, structure, 1)
    phi = likelihood.start + 0.1 * rng.normal(size=len(likelihood.start))

    exact = likelihood.objective.hessian(phi)

    differenced = np.empty_like(exact)
    for j in range(len(phi)):
        h = np.zeros(len(phi))
        h[j] = 1e-3
        near = likelihood.objective(phi - h)[1] - likelihood.objective(phi + h)[1]
        far = (
            likelihood.objective(phi - 2 * h)[1] - likelihood.objective(phi + 2 * h)[1]
        )
        differenced[j] = (8 * near - far) / (12 * h[j])
    np.testing.assert_allclose(exact, differenced, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("nodes", [2, 5])
@pytest.mark.parametrize("structure", ["intercept", "slope", "independent"])
@pytest.mark.parametrize(("family", "link"), FAMILIES)
def test_quadrature_gradient(family, link, structure, nodes, rng):
    """The gradient follows the nodes as the mode and the spread move them."""
    likelihood = problem(family, link, structure, nodes)
    phi = likelihood.start + 0.1 * rng.normal(size=len(likelihood.start))

    exact = likelihood.objective(phi)[1]

    np.testing.assert_allclose(
        exact, differences(likelihood.objective, phi), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize(("family", "link"), FAMILIES)
def test_derivatives_of_rows(family, link, rng):
    """Each derivative of a family's rows is the slope of the one before it."""
    eta = np.linspace(-6, 2.0, 60)
    trials = np.full(60, 4.0 if family == "binomial" else 1.0)
    y = rng.uniform(0.1, 3.9, 60)
    rows = family_class(family, link)(y, rng.uniform(0.5, 2, 60), trials, 0.0)
    h = 1e-5

    up, down = rows.terms(eta + h, 0.3), rows.terms(eta - h, 0.3)
    _, score, curvature = rows.terms(eta, 0.3)

    pairs = [
        (up[0] - down[0], score),
        (down[1] - up[1], curvature),
        (up[2] - down[2], rows.third(eta, 0.3)),
    ]
    if rows.has_fourth:  # differences of the third lose digits in probit's tail
        change = rows.third(eta + 10 * h, 0.3) - rows.third(eta - 10 * h, 0.3)
        pairs.append((change / 10, rows.fourth(eta)))
    for difference, slope in pairs:
        np.testing.assert_allclose(difference / (2 * h), slope, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("family", ["gamma", "nbinom2", "gaussian"])
def test_derivatives_in_dispersion(family, rng):
    """The derivatives in psi are the slopes in psi."""
    eta = np.linspace(-2, 2.0, 40)
    rows = family_class(family)(rng.uniform(0.1, 4, 40), np.ones(40), np.ones(40))
    h = 1e-5

    up, down = rows.terms(eta, 0.3 + h), rows.terms(eta, 0.3 - h)

    for high, low, slope in zip(up, down, rows.by_psi(eta, 0.3), strict=True):
        np.testing.assert_allclose((high - low) / (2 * h), slope, rtol=1e-6, atol=1e-8)
    gained = rows.aggregate(0.3 + h)[0] - rows.aggregate(0.3 - h)[0]
    assert gained / (2 * h) == pytest.approx(rows.aggregate(0.3)[1], rel=1e-7)


@pytest.mark.parametrize("structure", [*STRUCTURES, "none"])
@pytest.mark.parametrize(("family", "link"), FAMILIES)
def test_every_model_converges(family, link, structure):
    """The gradient vanishes to 1e-8 standard errors for every family and structure."""
    fit = fit_rows(model(family, link, structure, seed=5), family=family, link=link)

    assert fit.converged, fit.verdicts
