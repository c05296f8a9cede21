"""From accepted releases to one fitted model."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from fedglmm_flower.coordinator.pseudodata import PseudoRows, generate
from fedglmm_flower.coordinator.responses import (
    responses_of,
    rows_of_counts,
    rows_of_events,
)
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
from fedglmm_flower.glmm.shape import ShapeCurve
from fedglmm_flower.study.families import TWO_MEASURES
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.polynomial import multiply_monomials

# A site, or a cluster inside one.
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class PseudoSite:
    """
    Pseudo-data of one site, or of one of its clusters, with responses.

    Parameters
    ----------
    rows : PseudoRows
        Weighted rows.
    responses : array of shape (rows,)
        Response mass of each row; for gamma, where that is the weight of ``rows``, the
        prior weight.
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
    if model.family == "binomial" and (model.family, model.link) in TWO_MEASURES:
        rows, events = rows_of_events(model, targets, starts, block)
        return PseudoSite(rows, events, rows.residual)
    rows = generate(model, targets, starts, block)
    if model.family == "nbinom2" and not rows.exact:
        rows, counts = rows_of_counts(model, rows, targets, starts, block)
        return PseudoSite(rows, counts, rows.residual)
    responses, missed = responses_of(model, rows, targets)
    return PseudoSite(rows, responses, max(rows.residual, missed))


def fit_sums(
    model: Model,
    targets: Mapping[Key, Targets],
    method: str,
    groups: Mapping[str, str],
    labels: Mapping[str, Sequence[str]] | None = None,
) -> FittedModel:
    """
    Gaussian fit from sums alone: lossless.

    Parameters
    ----------
    model : Model
        The question.
    targets : mapping
        Sums of each cluster.
    method : {"reml", "ml"}
        Estimator.
    groups : mapping
        Grouping columns of the formula, and the column of a table that each means.
    labels : mapping or None
        Label of each of the targets in every grouping column; None where all of them
        mean the site.
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
    of_blocks = _labels(targets, groups, labels)
    fitted = fit_products(products_of_sums(model, blocks, of_blocks), method)
    return replace(fitted, asked=Asked(model, dict(groups)))


def _labels(
    targets: Mapping[Key, Targets],
    groups: Mapping[str, str],
    labels: Mapping[str, Sequence[str]] | None,
) -> Mapping[str, Sequence[str]]:
    return labels or {name: [str(key) for key in targets] for name in groups}


def require_determined(model: Model, targets: Mapping[Key, Targets]) -> None:
    """
    Refuse fixed effects that depend on each other at all sites.

    Judged from the released sums, which are exact: in pseudo-data that miss a moment
    by a hair, a repeated column would no longer be one.

    Parameters
    ----------
    model : Model
        The question.
    targets : mapping
        Sums of each cluster; at order 1 they cannot tell, and nothing is refused.

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
    targets: Mapping[Key, Targets],
    draws: Mapping[Key, list[PseudoSite]],
    groups: Mapping[str, str],
    labels: Mapping[str, Sequence[str]] | None = None,
) -> ModelRows:
    """
    Engine rows of pseudo-data; several draws of a cluster share its mass.

    Parameters
    ----------
    model : Model
        The question.
    targets : mapping
        Sums of each cluster.
    draws : mapping
        Pseudo-data of each cluster, one or several.
    groups, labels : mapping
        See :func:`fit_sums`.
    """
    values, mass, events, index = [], [], [], []
    offsets: list[npt.NDArray[np.float64]] = []
    for k, key in enumerate(targets):
        many = draws[key]
        for one in many:
            values.append(one.rows.values)
            mass.append(one.rows.weights / len(many))
            events.append(one.responses / len(many))
            index.append(np.full(len(one.responses), k))
            offsets.append(np.full(len(one.responses), targets[key].offset))
    weights = np.concatenate(mass)
    responses = np.concatenate(events)
    ones = trials = np.ones(len(weights))
    offset = np.concatenate(offsets)
    if model.family == "binomial":
        trials, weights = weights, ones
    elif model.family == "gamma":
        # The offset of a row is in its amount already; the mean over rows is what the
        # rest of the likelihood sees of it.
        weights, responses = responses, weights / responses * np.exp(offset)
    else:
        # Poisson: y * eta - exp(eta) with mass w is w * (y/w * eta - exp(eta)).
        responses = responses / weights
    at = np.concatenate(index)
    of_rows = {
        name: np.asarray(of_blocks, dtype=object)[at]
        for name, of_blocks in _labels(targets, groups, labels).items()
    }
    rows = rows_of_atoms(
        model,
        np.concatenate(values),
        of_rows,
        response=responses,
        trials=trials,
        weights=weights,
        constant=sum(t.constant for t in targets.values()),
        n_rows=sum(t.n_rows for t in targets.values()),
    )
    if model.family == "gamma":
        return replace(rows, offset=offset)
    return replace(rows, shape_sum=_shape_curve(model, targets))


def _shape_curve(model: Model, targets: Mapping[Key, Targets]) -> ShapeCurve | None:
    """What all sites together tell of the gamma functions of their counts."""
    values = [t.shapes for t in targets.values() if t.shapes is not None]
    if not values:
        return None
    events = sum(t.responses[model.constant] for t in targets.values())
    return ShapeCurve.through(np.sum(values, axis=0), events)


def fit_pseudo(
    model: Model,
    targets: Mapping[Key, Targets],
    draws: Mapping[Key, list[PseudoSite]],
    method: str,
    groups: Mapping[str, str],
    labels: Mapping[str, Sequence[str]] | None = None,
) -> FittedModel:
    """Fit the GLMM to pseudo-data."""
    rows = pseudo_rows(model, targets, draws, groups, labels)
    fitted = fit_rows(rows, family=model.family, link=model.link, method=method)
    return replace(fitted, asked=Asked(model, dict(groups)))
