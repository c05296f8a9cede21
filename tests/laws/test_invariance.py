"""What must not change a fit: units, coding, order, and how rows are counted."""

from dataclasses import replace

import numpy as np
import pytest

from fedglmm_flower.glmm import fit_rows
from fedglmm_flower.glmm.coordinates import build_coordinates
from fedglmm_flower.glmm.families import family_class
from fedglmm_flower.glmm.family import GaussianIdentity
from fedglmm_flower.glmm.problem import Problem
from fedglmm_flower.glmm.structure import build_structure
from tests.laws.designs import FAMILIES, STRUCTURES, model, take

ALL = (("gaussian", "identity"), *FAMILIES)
MODELS = [(f, k, s) for f, k in ALL for s in ("none", "slope", "nested")]
# How rows are counted and ordered touches every structure in code of its own.
EVERY = [(f, k, s) for f, k in ALL for s in (*STRUCTURES, "none")]


def same(one, two, rtol=1e-7):
    """Two fits are one."""
    assert one.converged
    assert two.converged
    assert one.loglik == pytest.approx(two.loglik, rel=1e-10, abs=1e-7)
    np.testing.assert_allclose(one.estimates, two.estimates, rtol=rtol, atol=1e-9)
    np.testing.assert_allclose(one.se, two.se, rtol=1e-5)
    for a, b in zip(one.random, two.random, strict=True):
        np.testing.assert_allclose(a.sigma, b.sigma, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(("family", "link", "structure"), MODELS)
def test_units_of_a_predictor(family, link, structure):
    """Rescaling a predictor rescales its coefficients and nothing else."""
    rows = model(family, link, structure, seed=11)
    scale = np.array([1.0, 1e8, 1e-6])
    method = "ml" if family == "gaussian" else "laplace"
    moved = replace(
        rows,
        basis=rows.basis * scale,
        random=tuple(replace(t, Z=t.Z * (scale[: t.Z.shape[1]])) for t in rows.random),
    )

    one = fit_rows(rows, family=family, link=link, method=method)
    two = fit_rows(moved, family=family, link=link, method=method)

    assert one.loglik == pytest.approx(two.loglik, abs=1e-7)
    np.testing.assert_allclose(one.estimates, two.estimates * scale, rtol=1e-7)
    np.testing.assert_allclose(one.se, two.se * scale, rtol=1e-5)
    for a, b in zip(one.random, two.random, strict=True):
        np.testing.assert_allclose(
            a.sd, b.sd * scale[: len(a.sd)], rtol=1e-5, atol=1e-9
        )


@pytest.mark.parametrize(("family", "link"), ALL)
def test_shift_of_a_predictor(family, link):
    """Measuring x from another origin changes only what is at the origin."""
    rows = model(family, link, "slope", seed=12)
    far = np.eye(3)
    far[0, 1] = 2000.0
    moved = replace(
        rows,
        coefficients=far.T,  # x + 2000, exactly, over a centred basis
        random=tuple(replace(t, Z=t.Z @ far[:2, :2]) for t in rows.random),
    )

    one = fit_rows(rows, family=family, link=link)
    two = fit_rows(moved, family=family, link=link)

    # REML's determinant of the columns is the same, for the shift has unit volume.
    assert one.loglik == pytest.approx(two.loglik, abs=1e-7)
    np.testing.assert_allclose(one.estimates[1:], two.estimates[1:], rtol=1e-6)
    np.testing.assert_allclose(one.se[1:], two.se[1:], rtol=1e-5)
    back = far[:2, :2] @ two.random[0].sigma @ far[:2, :2].T
    np.testing.assert_allclose(one.random[0].sigma, back, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("family", "link", "structure"), EVERY)
def test_order_of_rows_and_sites(family, link, structure, rng):
    """Rows and site labels may come in any order."""
    rows = model(family, link, structure, seed=13)
    mixed = take(rows, rng.permutation(len(rows.response)))
    terms = []
    for term in mixed.random:
        names = rng.permutation(len(term.levels))
        levels = np.empty(len(names), dtype=object)
        levels[names] = term.levels
        terms.append(replace(term, index=names[term.index], levels=tuple(levels)))
    mixed = replace(mixed, random=tuple(terms))

    one = fit_rows(rows, family=family, link=link)
    two = fit_rows(mixed, family=family, link=link)

    same(one, two)
    key = [(r["group"], r["level"], r["term"]) for r in one.ranef()]
    effects = {(r["group"], r["level"], r["term"]): r["estimate"] for r in two.ranef()}
    np.testing.assert_allclose(
        [r["estimate"] for r in one.ranef()], [effects[k] for k in key], atol=1e-6
    )


@pytest.mark.parametrize(("family", "link", "structure"), EVERY)
def test_a_doubled_row_has_weight_two(family, link, structure):
    """A row of weight two is two rows, in estimates, logLik and effects."""
    rows = model(family, link, structure, seed=14)
    n = len(rows.response)
    twice = np.arange(n) < n // 3
    repeated = take(rows, np.concatenate([np.arange(n), np.flatnonzero(twice)]))
    weighted = replace(rows, weights=rows.weights * np.where(twice, 2.0, 1.0))

    same(
        fit_rows(repeated, family=family, link=link),
        fit_rows(weighted, family=family, link=link),
    )


@pytest.mark.parametrize(("family", "link", "structure"), EVERY)
def test_weight_zero_is_no_row(family, link, structure):
    """Rows of weight zero could as well be absent, whatever they hold."""
    rows = model(family, link, structure, seed=15)
    gone = np.arange(len(rows.response)) % 7 == 0
    response = np.where(gone, 1.0, rows.response)
    zero = replace(rows, weights=np.where(gone, 0.0, rows.weights), response=response)

    same(
        fit_rows(zero, family=family, link=link),
        fit_rows(take(rows, np.flatnonzero(~gone)), family=family, link=link),
    )


@pytest.mark.parametrize("structure", ["intercept", "slope", "independent", "three"])
@pytest.mark.parametrize(("family", "link"), FAMILIES)
def test_one_node_is_laplace(family, link, structure):
    """Quadrature with one node is the Laplace approximation."""
    rows = model(family, link, structure, seed=16)

    same(
        fit_rows(rows, family=family, link=link, method="aghq:1"),
        fit_rows(rows, family=family, link=link, method="laplace"),
    )


@pytest.mark.parametrize("structure", [*STRUCTURES, "none"])
def test_linear_model_is_the_gaussian_glmm(structure):
    """Profiled ML from cross-products is the Laplace fit of a gaussian family."""
    rows = model("gaussian", "identity", structure, seed=17)
    gram = rows.basis.T @ (rows.weights[:, None] * rows.basis)
    coordinates = build_coordinates(rows.names, rows.coefficients, gram)
    roots = [np.linalg.qr(t.Z, mode="r") / np.sqrt(len(t.Z)) for t in rows.random]
    laid = build_structure(rows.random, roots) if rows.random else None
    general = Problem(rows, GaussianIdentity, coordinates, laid)

    found, _ = general.solve()
    linear = fit_rows(rows, family="gaussian", method="ml")

    gamma = coordinates.estimates(general.back @ found.point[:3])
    assert found.value == pytest.approx(linear.loglik, abs=1e-8)
    np.testing.assert_allclose(gamma, linear.estimates, rtol=1e-8)
    assert np.exp(0.5 * found.point[-1]) == pytest.approx(linear.residual_sd, rel=1e-8)


@pytest.mark.parametrize("family", ["binomial", "poisson"])
def test_only_sums_of_the_response_matter(family, rng):
    """With a canonical link any responses with the same sums give the same fit."""
    rows = model(family, family_class(family).link, "intercept", seed=18)
    site = rows.random[0].index
    noise = rng.normal(size=len(site))
    # Take from the noise, site by site, what would move sum w y x.
    for s in np.unique(site):
        at = site == s
        columns = np.column_stack([rows.basis[at], rows.offset[at]])
        X = columns * rows.weights[at, None]
        noise[at] -= X @ np.linalg.lstsq(X.T @ X, X.T @ noise[at])[0]
    impossible = rows.response + 3.0 * noise
    one = fit_rows(replace(rows, constant=-5.0), family=family)
    two = fit_rows(replace(rows, constant=-5.0, response=impossible), family=family)

    assert impossible.min() < 0
    same(one, two)


@pytest.mark.parametrize(("family", "link"), ALL)
def test_a_basis_with_more_functions(family, link):
    """Columns may be any combination of more basis functions than there are columns."""
    rows = model(family, link, "intercept", seed=19)
    year = 2010 + 5 * rows.basis[:, 1]
    plain = replace(
        rows,
        names=("Intercept", "year", "year2"),
        basis=np.column_stack([np.ones(len(year)), year, year**2]),
    )
    t = (year - 2010) / 5
    careful = replace(
        plain,
        basis=np.column_stack([np.ones(len(t)), t, t**2, rows.basis[:, 2]]),
        coefficients=np.array(
            [[1.0, 0, 0, 0], [2010, 5, 0, 0], [2010.0**2, 20100, 25, 0]]
        ),
    )

    one = fit_rows(plain, family=family, link=link)
    two = fit_rows(careful, family=family, link=link)

    assert one.loglik == pytest.approx(two.loglik, abs=1e-4)
    np.testing.assert_allclose(one.estimates, two.estimates, rtol=1e-4)
