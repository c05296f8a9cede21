"""Generalised linear (mixed) models, by Laplace or adaptive quadrature."""

from dataclasses import replace

import numpy as np

from fedglmm_flower.errors import FitError, UsageError
from fedglmm_flower.glmm.conditioning import well_conditioned
from fedglmm_flower.glmm.coordinates import Coordinates, build_coordinates
from fedglmm_flower.glmm.families import family_class
from fedglmm_flower.glmm.fitted import FittedModel, RandomEffects
from fedglmm_flower.glmm.latent import latent_share
from fedglmm_flower.glmm.linear import fit_products
from fedglmm_flower.glmm.marginal import Marginal
from fedglmm_flower.glmm.optimise import Maximum, definite, inverse
from fedglmm_flower.glmm.problem import Problem
from fedglmm_flower.glmm.reduce import cross_products
from fedglmm_flower.glmm.rows import BoolArray, FloatArray, ModelRows, select_rows
from fedglmm_flower.glmm.structure import Structure, build_structure
from fedglmm_flower.glmm.verdict import Verdict

_MOST_NODES = 10_000
_MOST_NODES_EACH = 200


def fit_rows(
    rows: ModelRows, *, family: str, link: str | None = None, method: str | None = None
) -> FittedModel:
    """
    Fit a model to rows, real or pseudo.

    Parameters
    ----------
    rows : ModelRows
    family : {"gaussian", "binomial", "poisson", "gamma", "nbinom2"}
    link : str, optional
        Canonical, and log for gamma and nbinom2, unless said otherwise.
    method : str, optional
        ``"reml"`` or ``"ml"`` for gaussian models; ``"laplace"`` or ``"aghq:k"`` with
        k nodes per random effect for the others.

    Raises
    ------
    FitError
        If the model is not determined by these data.
    """
    family_class(family, link)  # an unknown name is refused before anything is done
    if family == "gaussian":
        fitted = fit_products(cross_products(usable_rows(rows)), method)
        return replace(fitted, source=rows)
    try:
        problem, coordinates = build_problem(rows, family, link, method)
        found, free = problem.solve()
        fitted = _report(problem, coordinates, found, free, method or "laplace")
    except np.linalg.LinAlgError as error:
        raise FitError(Verdict.UNIDENTIFIABLE.value) from error
    return replace(fitted, source=rows)


def usable_rows(rows: ModelRows) -> ModelRows:
    """Rows of positive weight over a basis that a likelihood can bear."""
    kept = select_rows(rows, rows.weights > 0)
    if not len(kept.response):
        raise FitError("no row has a positive weight; nothing can be fitted")
    parts = {
        "columns": kept.basis,
        "response": kept.response,
        "weights": kept.weights,
        "trials": kept.trials,
        "offset": kept.offset,
    }
    for name, values in parts.items():
        if not np.isfinite(values).all():
            raise FitError(
                f"{name}: a row holds a value that is not finite; correct or remove it"
            )
    return well_conditioned(kept)


def build_problem(
    rows: ModelRows, family: str, link: str | None, method: str | None
) -> tuple[Problem, Coordinates]:
    """The likelihood of a generalised model, ready to be maximised."""
    chosen = family_class(family, link)
    rows = usable_rows(rows)
    method = method or "laplace"
    nodes = parse_nodes(method)
    w = np.sqrt(rows.weights)[:, None]
    coordinates = build_coordinates(
        rows.names, rows.coefficients, (w * rows.basis).T @ (w * rows.basis)
    )
    structure = None
    if rows.random:
        scale = w / np.sqrt(rows.weights.sum())
        roots = [
            np.asarray(np.linalg.qr(scale * t.Z, mode="r"), dtype=np.float64)
            for t in rows.random
        ]
        structure = build_structure(rows.random, roots)
        _check_nodes(structure, nodes, method)
    problem = Problem(rows, chosen, coordinates, structure, nodes=nodes)
    _check_rows(rows, len(problem.start))
    return problem, coordinates


def parse_nodes(method: str) -> int:
    """Nodes of ``"laplace"`` or ``"aghq:k"``."""
    if method == "laplace":
        return 1
    name, _, count = method.partition(":")
    if name == "aghq" and count.isdigit() and 1 <= int(count) <= _MOST_NODES_EACH:
        return int(count)
    raise UsageError(
        f"method: found {method!r}; use laplace or aghq:k, k from 1 to 200"
    )


def _check_rows(rows: ModelRows, parameters: int) -> None:
    """One effect a row models overdispersion; more than that models nothing."""
    if rows.random and parameters > rows.n_rows:
        raise FitError(
            f"{rows.n_rows} rows cannot determine {parameters} parameters "
            "(coefficients, variances and correlations); more rows than parameters "
            "are required; simplify the random part"
        )
    for term in rows.random:
        effects = len(np.unique(term.index)) * len(term.names)
        if effects > rows.n_rows:
            raise FitError(
                f"random effects by {term.group!r}: {effects} effects for "
                f"{rows.n_rows} rows cannot be told apart; at most one for each row is "
                "possible; simplify the random part"
            )


def _check_nodes(structure: Structure, nodes: int, method: str) -> None:
    if nodes > 1 and len(structure.chain.stages) > 1:
        raise UsageError(
            f"method: found {method!r} for nested clusters; quadrature takes one "
            "level of clusters; use laplace"
        )
    if nodes**structure.chain.width > _MOST_NODES:
        raise UsageError(
            f"method: found {method!r} for {structure.chain.width} random effects per "
            f"cluster; at most {_MOST_NODES} nodes in all; use fewer, or laplace"
        )


def _report(
    problem: Problem,
    coordinates: Coordinates,
    found: Maximum,
    free: BoolArray,
    method: str,
) -> FittedModel:
    """Back to the scale of the columns, with effects and verdicts."""
    p, family, structure = problem.p, problem.family, problem.structure
    size = 0 if structure is None else structure.covariance.size
    theta = found.point[p : p + size]
    psi = float(found.point[p + size]) if family.dispersed else 0.0
    fixed = problem.X @ found.point[:p] + problem.offset
    eta = fixed
    random: tuple[RandomEffects, ...] = ()
    if structure is not None:
        eta, random = _effects(problem, structure, fixed, theta, psi)
    joint = inverse(
        found.information if found.definite else definite(found.information)
    )
    held = inverse(definite(problem.objective.information(found.point)))
    covariance = _covariance(coordinates, problem.back, joint[:p, :p])
    fixed_theta = _covariance(coordinates, problem.back, held)
    diverging = problem.diverging(found, coordinates)
    verdicts = _verdicts(problem, found, free, separated=bool(diverging.any()))
    if not np.isfinite(covariance).all() and Verdict.CONVERGED in verdicts:
        verdicts = (Verdict.UNIDENTIFIABLE,)
    # What has no maximum has no error either: a number would be one to believe.
    unknown = diverging | (Verdict.UNIDENTIFIABLE in verdicts)
    for matrix in (covariance, fixed_theta):
        matrix[unknown] = np.nan
        matrix[:, unknown] = np.nan
    return FittedModel(
        family=family.name,
        link=family.link,
        method="ml" if structure is None else method,
        names=problem.rows.names,
        estimates=coordinates.estimates(problem.back @ found.point[:p]),
        covariance=covariance,
        covariance_fixed_theta=fixed_theta,
        random=random,
        dispersion=float(np.exp(psi)) if family.dispersed else None,
        residual_sd=None,
        loglik=found.value,
        df=len(found.point),
        n_rows=problem.rows.n_rows,
        verdicts=verdicts,
        icc=latent_share(family, float(theta @ theta), fixed, psi) if random else None,
        eta_range=(float(eta.min()), float(eta.max())),
        point=found.point,
        source=problem.rows,
        diverging=tuple(
            name
            for name, runs in zip(problem.rows.names, diverging, strict=True)
            if runs
        ),
    )


def _effects(
    problem: Problem,
    structure: Structure,
    fixed: FloatArray,
    theta: FloatArray,
    psi: float,
) -> tuple[FloatArray, tuple[RandomEffects, ...]]:
    """Fitted linear predictor, and the effects of every term."""
    marginal = problem.objective
    if not isinstance(marginal, Marginal):  # pragma: no cover
        raise TypeError(type(marginal))
    signed = structure.covariance.with_signs(theta)
    if not np.array_equal(signed, theta):  # the last mode found is not near
        theta = signed
        marginal.u = tuple(np.zeros_like(u) for u in marginal.u)
    mode = marginal.mode(fixed, structure.covariance.matrix(theta), psi)
    effects = structure.effects(theta, mode.u, mode.factor)
    return mode.eta, tuple(
        RandomEffects(
            term.group,
            term.names,
            term.correlated,
            structure.covariance.sigma(theta, t),
            structure.chain.stages[structure.stage_of[t]].levels,
            *effects[t],
        )
        for t, term in enumerate(structure.terms)
    )


def _verdicts(
    problem: Problem, found: Maximum, free: BoolArray, *, separated: bool
) -> tuple[Verdict, ...]:
    verdicts: list[Verdict] = []
    if separated:
        verdicts.append(Verdict.SEPARATION)
    elif not found.definite:
        verdicts.append(Verdict.UNIDENTIFIABLE)
    elif not found.converged:
        verdicts.append(Verdict.NOT_CONVERGED)
    tail = int(problem.family.dispersed)
    if not free[: len(free) - tail].all():
        verdicts.append(Verdict.BOUNDARY)
    if tail and not free[-1]:
        verdicts.append(Verdict.POISSON_LIMIT)
    return tuple(verdicts) or (Verdict.CONVERGED,)


def _covariance(
    coordinates: Coordinates, back: FloatArray, covariance: FloatArray
) -> FloatArray:
    """Covariance of the named coefficients; NaN where the likelihood is flat."""
    try:
        root = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
    except np.linalg.LinAlgError:
        return np.full((len(back), len(back)), np.nan)
    return coordinates.covariance(back @ root)
