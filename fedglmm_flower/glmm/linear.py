"""Linear (mixed) models by ML or REML, from cross-products."""

from dataclasses import dataclass

import numpy as np

from fedglmm_flower.errors import FitError
from fedglmm_flower.glmm.fitted import FittedModel, RandomEffects
from fedglmm_flower.glmm.linear_problem import LinearProblem, maximise_profile
from fedglmm_flower.glmm.profiled import Profile
from fedglmm_flower.glmm.rows import CrossProducts, FloatArray
from fedglmm_flower.glmm.structure import Structure
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
    try:
        return _fit(products, method)
    except np.linalg.LinAlgError as error:
        raise FitError(Verdict.UNIDENTIFIABLE.value) from error


def _fit(products: CrossProducts, method: str) -> FittedModel:
    problem = LinearProblem(products, method)
    structure, objective = problem.structure, problem.objective
    if structure is None or objective is None:
        estimate = _least_squares(problem, method)
        return _fitted(products, problem, estimate, method, (Verdict.CONVERGED,))
    found, free = maximise_profile(objective, structure)
    theta = structure.covariance.with_signs(found.point)
    profile = objective.at(theta)
    verdicts = [] if found.converged else [Verdict.NOT_CONVERGED]
    if not free.all():
        verdicts.append(Verdict.BOUNDARY)
    return _fitted(
        products,
        problem,
        Estimate(profile.value, profile.gamma, profile.sigma2, profile.L),
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


def _least_squares(problem: LinearProblem, method: str) -> Estimate:
    """The linear model without random effects."""
    p = problem.coordinates.Q.shape[1]
    rest = problem.columns @ problem.total @ problem.columns.T
    L = np.asarray(np.linalg.cholesky(rest[:p, :p]), dtype=np.float64)
    half = np.linalg.solve(L, rest[:p, p])
    rss = float(rest[p, p] - half @ half)
    nu = problem.weight - p if method == "reml" else problem.weight
    deviance = nu * (1.0 + np.log(2 * np.pi * rss / nu))
    if method == "reml":
        deviance += 2.0 * np.log(np.diag(L)).sum()
    gamma = np.asarray(np.linalg.solve(L.T, half), dtype=np.float64)
    return Estimate(-0.5 * deviance, gamma, rss / nu, L)


def _fitted(
    products: CrossProducts,
    problem: LinearProblem,
    estimate: Estimate,
    method: str,
    verdicts: tuple[Verdict, ...],
    *,
    random: tuple[RandomEffects, ...] = (),
    theta: FloatArray | None = None,
) -> FittedModel:
    """Back to the scale of the columns."""
    coordinates = problem.coordinates
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
        estimates=coordinates.estimates(estimate.gamma + problem.shift),
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
        point=theta,
        source=products,
    )
