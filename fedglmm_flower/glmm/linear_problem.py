"""A linear model's likelihood, laid out over its cross-products."""

import numpy as np

from fedglmm_flower.errors import FitError, UsageError
from fedglmm_flower.glmm.boundary import on_boundary
from fedglmm_flower.glmm.coordinates import Coordinates, build_coordinates
from fedglmm_flower.glmm.optimise import Maximum, definite, information, maximise
from fedglmm_flower.glmm.profiled import Profiled
from fedglmm_flower.glmm.rows import BoolArray, CrossProducts, FloatArray
from fedglmm_flower.glmm.structure import Structure, build_structure

_ROUNDING = 1e-14  # residual sum of squares, relative, that is only rounding


class LinearProblem:
    """
    Everything a linear (mixed) model needs to be evaluated at a theta.

    Parameters
    ----------
    products : CrossProducts
    method : {"reml", "ml"}

    Attributes
    ----------
    coordinates : Coordinates
    shift : array of shape (p,)
        What centring the response took from gamma.
    weight : float
        The n of the likelihood.
    structure : Structure or None
    columns : array
        ``[X, y, Z]`` in terms of the basis and the scaled response.
    objective : Profiled or None
        None without random effects.
    """

    def __init__(self, products: CrossProducts, method: str) -> None:
        if method not in ("reml", "ml"):
            raise UsageError(
                f"method: found {method!r}; gaussian models take reml or ml"
            )
        total = products.products.sum(axis=0)
        k = len(total) - 1
        p, n = len(products.names), int(products.n_rows.sum())
        self.total = total
        self.weight = float(products.weight_sums.sum())
        self.coordinates = build_coordinates(
            products.names, products.coefficients, total[:k, :k]
        )
        if self.weight <= p or n <= p:
            raise FitError(
                f"{n} rows cannot determine {p} coefficients and a residual variance; "
                "simplify the formula"
            )
        response, self.shift = _response(products, self.coordinates)
        fixed = np.pad(self.coordinates.columns.T, ((0, 0), (0, 1)))
        self.columns = np.concatenate([fixed, response[None]])
        _check_residual(self.columns @ total @ self.columns.T)
        self.structure: Structure | None = None
        self.objective: Profiled | None = None
        if not products.random:
            return
        structure = _structure(products, self.weight)
        self.columns = np.concatenate([self.columns, _whitened(products, structure)])
        cells = self.columns @ products.products @ self.columns.T
        chain = structure.chain
        self.structure = structure
        self.objective = Profiled(
            np.add.reduceat(cells[chain.order], chain.starts, axis=0),
            p,
            self.weight,
            chain,
            structure.covariance,
            reml=method == "reml",
        )


def _check_residual(products: FloatArray) -> None:
    """Refuse a response that the columns fit to the last digit."""
    p = len(products) - 1
    size = float(products[p, p])
    fit = np.linalg.solve(products[:p, :p], products[:p, p])
    rest = size - float(products[:p, p] @ fit)
    if rest <= _ROUNDING * size:
        raise FitError(
            "the response is constant or fitted without error; a residual variance "
            "cannot be estimated; check the response column"
        )


def _response(
    products: CrossProducts, coordinates: Coordinates
) -> tuple[FloatArray, FloatArray]:
    """
    The response in terms of [basis, s], and what its centring took from gamma.

    With the constant in the model the centre is given back after the fit; without
    it the response must keep its centre.
    """
    k = coordinates.Q.shape[0]
    response = np.zeros(k + 1)
    response[k] = products.response_scale
    p = coordinates.Q.shape[1]
    if products.response_center == 0.0:
        return response, np.zeros(p)
    if products.const < 0:
        raise FitError("the centred response needs the constant among the functions")
    const = np.eye(k)[products.const]
    gamma = coordinates.constant(const)
    if gamma is not None:
        return response, products.response_center * gamma
    response[:k] += products.response_center * const
    return response, np.zeros(p)


def _structure(products: CrossProducts, weight: float) -> Structure:
    """Chain and covariance; every term's columns whitened through the basis."""
    total = products.products.sum(axis=0)
    k = len(total) - 1
    n = int(products.n_rows.sum())
    roots = []
    for term in products.random:
        effects = len(np.unique(term.index)) * len(term.names)
        if effects >= n:
            raise FitError(
                f"random effects by {term.group!r}: {effects} effects for {n} rows "
                "cannot be told from the residual; simplify the random part"
            )
        Qz, Rz = np.linalg.qr(term.coefficients.T)
        gram = Qz.T @ total[:k, :k] @ Qz / weight
        values, vectors = np.linalg.eigh(gram)
        half = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
        roots.append(np.asarray(np.linalg.qr(half @ Rz, mode="r")))
    return build_structure(products.random, roots)


def _whitened(products: CrossProducts, structure: Structure) -> FloatArray:
    """Whitened random-effects columns in terms of [basis, s], chain order."""
    k = products.coefficients.shape[1]
    columns = np.zeros((structure.chain.width, k + 1))
    for t, term in enumerate(products.random):
        R = structure.covariance.factors[t]
        place = structure.covariance.columns[t]
        columns[place, :k] = np.linalg.solve(R.T, term.coefficients)
    return columns


def maximise_profile(
    objective: Profiled, structure: Structure
) -> tuple[Maximum, BoolArray]:
    """The best theta, and which of its elements are not held at zero."""
    covariance = structure.covariance
    start = np.zeros(covariance.size)
    start[covariance.diagonal()] = 0.5
    limit = np.full(covariance.size, 4.0)

    def curvature(theta: FloatArray) -> FloatArray:
        return definite(information(objective, theta, np.full(len(theta), 0.1)), 1e-3)

    found = maximise(objective, start, curvature(start), limit)
    place = slice(0, covariance.size)
    return on_boundary(
        objective,
        covariance,
        place,
        found,
        np.ones(covariance.size, dtype=np.bool_),
        curvature=curvature,
        limit=limit,
    )
