"""Model columns on rows of atoms: from a question and its values to engine arrays."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedglmm_flower.errors import DataError
from fedglmm_flower.glmm.evaluate import AtomRows, evaluate_monomials
from fedglmm_flower.glmm.rows import (
    CrossProducts,
    FloatArray,
    ModelRows,
    ProductTerm,
    RandomTerm,
)
from fedglmm_flower.study.model import Model, ModelColumn
from fedglmm_flower.study.polynomial import Monomial, multiply_monomials

Labels = Sequence[str] | npt.NDArray[np.object_] | pd.Categorical


@dataclass(frozen=True)
class Basis:
    """
    Monomials of which all columns of a model are combinations.

    Parameters
    ----------
    monomials : tuple of tuple of int
        The constant first.
    fixed : array of shape (p, k)
        Fixed-effects columns in terms of the monomials.
    random : tuple of arrays of shape (q, k)
        Columns of each random part.
    offset : array of shape (k,)
        The offset where it is one more column; zeros otherwise.
    """

    monomials: tuple[Monomial, ...]
    fixed: FloatArray
    random: tuple[FloatArray, ...]
    offset: FloatArray


def basis_of(model: Model) -> Basis:
    """Basis of a model's columns."""
    columns = [*model.fixed, *(c for effect in model.random for c in effect.columns)]
    if model.offset_column is not None:
        columns.append(model.offset_column)
    found = {m for column in columns for m in column.polynomial}
    monomials = (model.constant, *sorted(found - {model.constant}, reverse=True))
    at = {m: j for j, m in enumerate(monomials)}

    def matrix(part: Sequence[ModelColumn]) -> FloatArray:
        out = np.zeros((len(part), len(monomials)))
        for i, column in enumerate(part):
            for m, coefficient in column.polynomial.items():
                out[i, at[m]] = coefficient
        return out

    offset = np.zeros(len(monomials))
    if model.offset_column is not None:
        offset = matrix([model.offset_column])[0]
    return Basis(
        monomials=monomials,
        fixed=matrix(model.fixed),
        random=tuple(matrix(effect.columns) for effect in model.random),
        offset=offset,
    )


def rows_of_table(
    model: Model, rows: AtomRows, groups: Mapping[str, Labels], *, n_rows: int
) -> ModelRows:
    """
    Engine rows of real data.

    Parameters
    ----------
    model : Model
        The question.
    rows : AtomRows
        Complete rows.
    groups : mapping
        Labels of each grouping column on these rows.
    n_rows : int
        The n of AIC and BIC.
    """
    out = rows_of_atoms(
        model,
        rows.values,
        groups,
        response=rows.response,
        trials=rows.trials,
        weights=rows.weights,
        constant=None,
        n_rows=n_rows,
    )
    # An offset that is a model column is evaluated with the atoms already.
    offset = out.offset if model.offset_column is not None else rows.offset
    return ModelRows(**{**vars(out), "offset": offset})


def rows_of_atoms(
    model: Model,
    values: FloatArray,
    groups: Mapping[str, Labels],
    *,
    response: FloatArray,
    trials: FloatArray,
    weights: FloatArray,
    constant: float | None,
    n_rows: int,
) -> ModelRows:
    """
    Engine rows of atoms, real or pseudo.

    Parameters
    ----------
    model : Model
        The question.
    values : array of shape (n, atoms)
        Atoms as :class:`AtomRows` holds them.
    groups : mapping
        Labels of each grouping column.
    response, trials, weights : arrays of shape (n,)
        See :class:`ModelRows`.
    constant : float or None
        Response-only part of the log-likelihood; None computes it from the rows.
    n_rows : int
        The n of AIC and BIC.
    """
    basis = basis_of(model)
    functions = evaluate_monomials(values, basis.monomials, model.factors).T
    random = []
    for effect, coefficients in zip(model.random, basis.random, strict=True):
        levels, index = _index(effect.group, groups)
        random.append(
            RandomTerm(
                group=effect.name,
                names=tuple(column.name for column in effect.columns),
                index=index,
                levels=levels,
                Z=functions @ coefficients.T,
                correlated=effect.correlated,
            )
        )
    return ModelRows(
        names=tuple(column.name for column in model.fixed),
        basis=functions,
        coefficients=basis.fixed,
        response=response,
        weights=weights,
        trials=trials,
        offset=functions @ basis.offset,
        random=tuple(random),
        constant=constant,
        n_rows=n_rows,
    )


@dataclass(frozen=True)
class BlockSums:
    """
    Released sums of one cluster of a gaussian study.

    Parameters
    ----------
    x, y : mapping
        Monomial to its sum, and to its sum with the shifted response.
    yy : float
        Sum of the squared shifted response.
    n_rows : int
        Rows.
    weight_sum : float
        Sum of prior weights.
    """

    x: Mapping[Monomial, float]
    y: Mapping[Monomial, float]
    yy: float
    n_rows: int
    weight_sum: float


def products_of_sums(
    model: Model, blocks: Sequence[BlockSums], groups: Mapping[str, Labels]
) -> CrossProducts:
    """
    Cross-products of a gaussian model from released sums: no row is needed.

    Parameters
    ----------
    model : Model
        The question.
    blocks : sequence of BlockSums
        One for each cluster.
    groups : mapping
        Labels of each grouping column on the clusters.
    """
    basis = basis_of(model)
    k = len(basis.monomials)
    products = np.zeros((len(blocks), k + 1, k + 1))
    for a, first in enumerate(basis.monomials):
        for b, second in enumerate(basis.monomials):
            joint = multiply_monomials(first, second, model.factors)
            for g, block in enumerate(blocks):
                products[g, a, b] = 0.0 if joint is None else block.x[joint]
        for g, block in enumerate(blocks):
            products[g, a, k] = products[g, k, a] = block.y[first]
    for g, block in enumerate(blocks):
        products[g, k, k] = block.yy
    random = []
    for effect, coefficients in zip(model.random, basis.random, strict=True):
        levels, index = _index(effect.group, groups)
        random.append(
            ProductTerm(
                group=effect.name,
                names=tuple(column.name for column in effect.columns),
                index=index,
                levels=levels,
                coefficients=coefficients,
                correlated=effect.correlated,
            )
        )
    return CrossProducts(
        names=tuple(column.name for column in model.fixed),
        coefficients=basis.fixed,
        products=products,
        response_center=model.response.center,
        response_scale=model.response.scale,
        const=0,
        n_rows=np.array([block.n_rows for block in blocks], dtype=np.intp),
        weight_sums=np.array([block.weight_sum for block in blocks]),
        random=tuple(random),
    )


def _index(
    group: tuple[str, ...], groups: Mapping[str, Labels]
) -> tuple[tuple[str, ...], npt.NDArray[np.intp]]:
    """Sorted levels of a group, and the position of each row among them."""
    for name in group:
        if name not in groups:
            raise DataError(
                f"group {name!r}: the grouping column is missing; it is named in the "
                "formula; add the column or correct the formula"
            )
    labels: list[pd.Categorical | npt.NDArray[np.object_]] = []
    code: npt.NDArray[np.intp] = np.zeros(1, dtype=np.intp)
    for name in group:
        column = groups[name]
        if isinstance(column, pd.Categorical):
            mine, size = column.codes.astype(np.intp), len(column.categories)
        else:
            column = np.asarray(column, dtype=object)
            mine, values = pd.factorize(column)
            size = len(values)
        labels.append(column)
        code = code * size + mine
    place, found = pd.factorize(code)
    first = np.empty(len(found), dtype=np.intp)
    first[place[::-1]] = np.arange(len(code))[::-1]
    # Paths and not joined names: "a:b" in "c" is not "b:c" in "a".
    paths = [tuple(str(column[i]) for column in labels) for i in first]
    order = sorted(range(len(paths)), key=lambda i: as_counted(*paths[i]))
    rank = np.empty(len(order), dtype=np.intp)
    rank[order] = np.arange(len(order))
    return tuple(":".join(paths[i]) for i in order), rank[place]


def as_counted(*path: str) -> tuple[list[str | int], tuple[str, ...]]:
    """
    Key of the order in which people count; equal numbers go by their spelling.

    Examples
    --------
    >>> sorted(["ward 10", "ward 2"], key=as_counted)
    ['ward 2', 'ward 10']
    """
    # The odd pieces are numbers, so kinds never meet.
    pieces = re.split(r"(\d{1,18})", ":".join(path))
    return [int(p) if j % 2 else p for j, p in enumerate(pieces)], path
