"""Gaussian rows reduced to the cross-products that the likelihood sees."""

import numpy as np

from fedglmm_flower.glmm.nesting import build_chain
from fedglmm_flower.glmm.rows import (
    CrossProducts,
    FloatArray,
    IntArray,
    ModelRows,
    ProductTerm,
    RandomTerm,
)


def cross_products(rows: ModelRows) -> CrossProducts:
    """
    Per-cluster cross-products of a linear model's rows.

    One pass over the rows; afterwards the cost of a fit does not depend on n.
    """
    basis = [np.ascontiguousarray(c) for c in rows.basis.T]
    const = next((j for j, c in enumerate(basis) if (c == 1.0).all()), -1)
    if const < 0:
        const = len(basis)
        basis.append(np.ones(len(rows.response)))
    in_basis = [_in_basis(term, rows.weights, basis, const) for term in rows.random]
    k = len(basis)
    w = rows.weights
    y = rows.response - rows.offset
    total = max(float(w.sum()), 1e-300)
    center = float(w @ y) / total
    scale = float(np.sqrt(w @ (y - center) ** 2 / total))
    if scale <= 1e-14 * abs(center):  # what rounding leaves of a constant response
        y, scale = np.full_like(y, center), 1.0
    scale = scale or 1.0
    columns = [*basis, (y - center) / scale]
    if rows.random:
        groups = distinct_groups(rows.random)
        chain = build_chain(groups)
        order, starts = chain.order, chain.starts
    else:
        order, starts = np.arange(len(y)), np.zeros(1, dtype=np.intp)
    sorted_columns = [c[order] for c in columns]
    ws = w[order]
    products = np.empty((len(starts), k + 1, k + 1))
    for i, left in enumerate(sorted_columns):
        weighted = ws * left
        for j in range(i + 1):
            cell = np.add.reduceat(weighted * sorted_columns[j], starts)
            products[:, i, j] = products[:, j, i] = cell
    first = order[starts]
    return CrossProducts(
        names=rows.names,
        coefficients=_padded(rows.coefficients, k),
        products=products,
        response_center=center,
        response_scale=scale,
        const=const,
        n_rows=_shares(rows.n_rows, np.diff(np.r_[starts, len(y)])),
        weight_sums=np.add.reduceat(ws, starts),
        random=tuple(
            ProductTerm(
                term.group,
                term.names,
                term.index[first],
                term.levels,
                _padded(coefficients, k),
                term.correlated,
            )
            for term, coefficients in zip(rows.random, in_basis, strict=True)
        ),
    )


def distinct_groups(
    terms: tuple[RandomTerm | ProductTerm, ...],
) -> list[tuple[str, IntArray, tuple[str, ...], int]]:
    """Grouping factors of some random terms, with their numbers of effects."""
    found: dict[str, tuple[str, IntArray, tuple[str, ...], int]] = {}
    for term in terms:
        width = len(term.names)
        if term.group in found:
            width += found[term.group][3]
        found[term.group] = (term.group, term.index, term.levels, width)
    return list(found.values())


def _shares(total: int, counts: IntArray) -> IntArray:
    """Row counts by cluster; pseudo-data have their own, only the sum is real."""
    shares = counts.astype(np.intp)
    shares[0] += total - int(shares.sum())
    return shares


def _in_basis(
    term: RandomTerm, weights: FloatArray, basis: list[FloatArray], const: int
) -> FloatArray:
    """Columns of Z in terms of the basis, which grows where it lacks them."""
    coefficients = []
    for column in term.Z.T:
        mean = float(weights @ column) / max(float(weights.sum()), 1e-300)
        spread = float(np.sqrt(weights @ (column - mean) ** 2))
        unit = np.zeros(len(basis) + 1)
        if spread == 0:
            unit[const] = mean
        else:
            spread /= float(np.sqrt(weights.sum()))
            unit[const] = mean
            unit[len(basis)] = spread
            basis.append((column - mean) / spread)
        coefficients.append(unit)
    return np.array([_padded(c, len(basis)) for c in coefficients])


def _padded(coefficients: FloatArray, k: int) -> FloatArray:
    pad = k - coefficients.shape[-1]
    widths = [(0, 0)] * (coefficients.ndim - 1) + [(0, max(pad, 0))]
    return np.pad(coefficients, widths)[..., :k]
