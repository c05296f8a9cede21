"""From accepted releases to one fitted model."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fedglmm_flower.coordinator.pseudodata import PseudoRows, generate, responses_of
from fedglmm_flower.coordinator.starts import Starts
from fedglmm_flower.coordinator.targets import Targets
from fedglmm_flower.glmm import FittedModel, ModelRows, fit_products, fit_rows
from fedglmm_flower.glmm.asked import Asked
from fedglmm_flower.glmm.coordinates import build_coordinates
from fedglmm_flower.glmm.design import (
    BlockSums,
    basis_of,
    products_of_sums,
    rows_of_atoms,
)
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.polynomial import multiply_monomials


@dataclass(frozen=True)
class PseudoSite:
    """
    Pseudo-data of one site with its responses.

    Parameters
    ----------
    rows : PseudoRows
        Weighted rows.
    responses : array of shape (rows,)
        Response mass of each row.
    residual : float
        Largest difference of any sum, normalised.
    """

    rows: PseudoRows
    responses: npt.NDArray[np.float64]
    residual: float


def pseudo_site(
    model: Model, targets: Targets, starts: Starts, block: int
) -> PseudoSite:
    """Pseudo-data and responses of one site."""
    rows = generate(model, targets, starts, block)
    responses, missed = responses_of(model, rows, targets)
    return PseudoSite(rows, responses, max(rows.residual, missed))


def fit_sums(
    model: Model,
    targets: Mapping[str, Targets],
    method: str,
    groups: Mapping[str, str],
) -> FittedModel:
    """
    Gaussian fit from sums alone: lossless.

    Parameters
    ----------
    model : Model
        The question.
    targets : mapping
        Sums of each site.
    method : {"reml", "ml"}
        Estimator.
    groups : mapping
        Name of the grouping column in the formula to itself, for each that means the
        site.
    """
    blocks = [
        BlockSums(
            x={m: v * t.total for m, v in t.moments.items()},
            y=t.responses,
            yy=t.squares,
            n_rows=t.n_rows,
            weight_sum=t.weight_sum,
        )
        for t in targets.values()
    ]
    labels = {name: tuple(targets) for name in groups}
    fitted = fit_products(products_of_sums(model, blocks, labels), method)
    return replace(fitted, asked=Asked(model, dict(groups)))


def require_determined(model: Model, targets: Mapping[str, Targets]) -> None:
    """
    Refuse fixed effects that depend on each other at all sites.

    Judged from the released sums, which are exact: in pseudo-data that miss a moment
    by a hair, a repeated column would no longer be one.

    Parameters
    ----------
    model : Model
        The question.
    targets : mapping
        Sums of each site; at order 1 they cannot tell, and nothing is refused.

    Raises
    ------
    FitError
        If they do; it names the column.
    """
    basis = basis_of(model)
    used = np.flatnonzero(basis.fixed.any(axis=0))
    products = np.zeros((len(used), len(used)))
    for a, first in enumerate(used):
        for b, second in enumerate(used):
            joint = multiply_monomials(
                basis.monomials[first], basis.monomials[second], model.factors
            )
            if joint is None:
                continue
            for one in targets.values():
                if joint not in one.moments:
                    return
                products[a, b] += one.total * one.moments[joint]
    names = tuple(column.name for column in model.fixed)
    build_coordinates(names, basis.fixed[:, used], products)


def pseudo_rows(
    model: Model,
    targets: Mapping[str, Targets],
    draws: Mapping[str, list[PseudoSite]],
    groups: Mapping[str, str],
) -> ModelRows:
    """
    Engine rows of pseudo-data; several draws of a site share its mass.

    Parameters
    ----------
    model : Model
        The question.
    targets : mapping
        Sums of each site.
    draws : mapping
        Pseudo-data of each site, one or several.
    groups : mapping
        Grouping columns that mean the site.
    """
    values, mass, events, labels = [], [], [], []
    for site, many in draws.items():
        for one in many:
            values.append(one.rows.values)
            mass.append(one.rows.weights / len(many))
            events.append(one.responses / len(many))
            labels.extend([site] * len(one.responses))
    weights = np.concatenate(mass)
    responses = np.concatenate(events)
    ones = np.ones(len(weights))
    binomial = model.family == "binomial"
    return rows_of_atoms(
        model,
        np.concatenate(values),
        dict.fromkeys(groups, labels),
        # Poisson: y * eta - exp(eta) with mass w is w * (y/w * eta - exp(eta)).
        response=responses if binomial else responses / weights,
        trials=weights if binomial else ones,
        weights=ones if binomial else weights,
        constant=sum(t.constant for t in targets.values()),
        n_rows=sum(t.n_rows for t in targets.values()),
    )


def fit_pseudo(
    model: Model,
    targets: Mapping[str, Targets],
    draws: Mapping[str, list[PseudoSite]],
    method: str,
    groups: Mapping[str, str],
) -> FittedModel:
    """Fit the GLMM to pseudo-data."""
    rows = pseudo_rows(model, targets, draws, groups)
    fitted = fit_rows(rows, family=model.family, link=model.link, method=method)
    return replace(fitted, asked=Asked(model, dict(groups)))
