"""Linear (mixed) models by ML or REML, from cross-products."""

from dataclasses import dataclass, replace

import numpy as np

from fedglmm_flower.errors import FitError, UsageError
from fedglmm_flower.glmm.boundary import on_boundary
from fedglmm_flower.glmm.coordinates import Coordinates, build_coordinates
from fedglmm_flower.glmm.fitted import FittedModel, RandomEffects
from fedglmm_flower.glmm.optimise import Maximum, definite, information, maximise
from fedglmm_flower.glmm.profiled import Profile, Profiled
from fedglmm_flower.glmm.rows import BoolArray, CrossProducts, FloatArray
from fedglmm_flower.glmm.structure import Structure, build_structure
from fedglmm_flower.glmm.verdict import Verdict


def fit_products(products: CrossProducts, method: str | None = None) -> FittedModel:
    """
    Fit a linear mixed model to cross-products; exact, and independent of n.

    Parameters
    ----------
    products : CrossProducts
    method : {"reml", "ml"}
        REML unless said otherwise.

    Raises
    ------
    FitError
        If the model is not determined by these data.
    """
    method = method or "reml"
    if method not in ("reml", "ml"):
        raise UsageError(f"method: found {method!r}; gaussian models take reml or ml")
    total = products.products.sum(axis=0)
    k = len(total) - 1
    weight = float(products.weight_sums.sum())
    coordinates = build_coordinates(
        products.names, products.coefficients, total[:k, :k]
    )
    p = len(products.names)
    if weight <= p or int(products.n_rows.sum()) <= p:
        raise FitError(
            f"{int(products.n_rows.sum())} rows cannot determine {p} coefficients and "
            "a residual variance; simplify the formula"
        )
    response, shift = _response(products, coordinates)
    if not products.random:
        estimate = _least_squares(total, coordinates, response, method, weight)
        estimate = replace(estimate, gamma=estimate.gamma + shift)
        return _fitted(products, coordinates, estimate, method, (Verdict.CONVERGED,))
    structure = _structure(products, weight)
    fixed = np.pad(coordinates.columns.T, ((0, 0), (0, 1)))
    columns = np.concatenate([fixed, response[None], _whitened(products, structure)])
    cells = columns @ products.products @ columns.T
    order = structure.chain.order
    stacked = np.add.reduceat(cells[order], structure.chain.starts, axis=0)
    objective = Profiled(
        stacked,
        p,
        weight,
        structure.chain,
        structure.covariance,
        reml=method == "reml",
    )
    found, free = _maximise(objective, structure)
    theta = structure.covariance.with_signs(found.point)
    profile = objective.at(theta)
    verdicts = [] if found.converged else [Verdict.NOT_CONVERGED]
    if not free.all():
        verdicts.append(Verdict.BOUNDARY)
    return _fitted(
        products,
        coordinates,
        Estimate(profile.value, profile.gamma + shift, profile.sigma2, profile.L),
        method,
        tuple(verdicts) or (Verdict.CONVERGED,),
        random=_random(structure, theta, profile),
        theta=theta,
    )


@dataclass(frozen=True)
class Estimate:
    """Value, gamma, residual variance, and a factor of the products of X."""

    value: float
    gamma: FloatArray
    sigma2: float
    L: FloatArray


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


def _maximise(objective: Profiled, structure: Structure) -> tuple[Maximum, BoolArray]:
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


def _random(
    structure: Structure, theta: FloatArray, profile: Profile
) -> tuple[RandomEffects, ...]:
    s2 = profile.sigma2
    effects = structure.effects(theta, profile.u, profile.factor)
    return tuple(
        RandomEffects(
            term.group,
            term.names,
            term.correlated,
            s2 * structure.covariance.sigma(theta, t),
            structure.chain.stages[structure.stage_of[t]].levels,
            effects[t][0],
            s2 * effects[t][1],
        )
        for t, term in enumerate(structure.terms)
    )


def _least_squares(
    total: FloatArray,
    coordinates: Coordinates,
    response: FloatArray,
    method: str,
    weight: float,
) -> Estimate:
    """The linear model without random effects."""
    p = coordinates.Q.shape[1]
    columns = np.concatenate(
        [np.pad(coordinates.columns.T, ((0, 0), (0, 1))), response[None]]
    )
    rest = columns @ total @ columns.T
    L = np.asarray(np.linalg.cholesky(rest[:p, :p]), dtype=np.float64)
    half = np.linalg.solve(L, rest[:p, p])
    rss = float(rest[p, p] - half @ half)
    if not rss > 0:
        raise FitError("the response is fitted without error: no residual variation")
    nu = weight - p if method == "reml" else weight
    deviance = nu * (1.0 + np.log(2 * np.pi * rss / nu))
    if method == "reml":
        deviance += 2.0 * np.log(np.diag(L)).sum()
    gamma = np.asarray(np.linalg.solve(L.T, half), dtype=np.float64)
    return Estimate(-0.5 * deviance, gamma, rss / nu, L)


def _fitted(
    products: CrossProducts,
    coordinates: Coordinates,
    estimate: Estimate,
    method: str,
    verdicts: tuple[Verdict, ...],
    *,
    random: tuple[RandomEffects, ...] = (),
    theta: FloatArray | None = None,
) -> FittedModel:
    """Back to the scale of the columns."""
    root = np.linalg.inv(estimate.L).T * np.sqrt(estimate.sigma2)
    covariance = coordinates.covariance(root)
    # log|R_X' R_X| was taken in gamma; on the columns themselves it is larger.
    jacobian = coordinates.logdet if method == "reml" else 0.0
    theta = np.zeros(0) if theta is None else theta
    relative = float(theta @ theta)
    return FittedModel(
        family="gaussian",
        link="identity",
        method=method,
        names=products.names,
        estimates=coordinates.estimates(estimate.gamma),
        covariance=covariance,
        covariance_fixed_theta=covariance,
        random=random,
        dispersion=None,
        residual_sd=float(np.sqrt(estimate.sigma2)),
        loglik=float(estimate.value - jacobian),
        df=len(products.names) + len(theta) + 1,
        n_rows=int(products.n_rows.sum()),
        verdicts=verdicts,
        icc=relative / (1.0 + relative) if random else None,
        eta_range=None,
    )
