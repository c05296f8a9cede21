"""The rows behind a fit, for other programs: model columns, response and weights."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fedglmm_flower.errors import UsageError
from fedglmm_flower.glmm.fitted import FittedModel
from fedglmm_flower.glmm.rows import CrossProducts, ModelRows, RandomTerm
from fedglmm_flower.report.responses_in_range import in_range

FloatArray = npt.NDArray[np.float64]

_UNMET = 1e-6  # of an orthonormal function; one response of a row is about one


def rows_behind(fitted: FittedModel) -> ModelRows:
    """
    Rows that any program for mixed models fits to the same estimates.

    Pseudo-data are what they are, but for responses outside the range of the family: a
    canonical likelihood sees only their sums with the columns, so others with the same
    sums are taken.  A gaussian model was fitted to sums; rows with these sums are made.

    Parameters
    ----------
    fitted : FittedModel

    Returns
    -------
    ModelRows

    Raises
    ------
    UsageError
        For gamma and negative binomial models, whose likelihoods hold sums that no
        rows carry, and where no responses in range have the sums.
    """
    if fitted.family not in ("gaussian", "binomial", "poisson"):
        raise UsageError(
            f"export: found family {fitted.family}; gaussian, binomial or poisson is "
            "required, for the likelihood of others holds released sums beside the "
            "rows; use refit and compare here"
        )
    source = fitted.source
    if isinstance(source, CrossProducts):
        return _of_products(source)
    if fitted.family == "gaussian":
        return source
    return _within_range(source, fitted.family)


def _within_range(rows: ModelRows, family: str) -> ModelRows:
    binomial = family == "binomial"
    out = (rows.response < 0) | (binomial & (rows.response > rows.trials))
    response = rows.response.copy()
    cluster = np.zeros(len(response), dtype=np.intp)
    for term in rows.random:
        cluster = np.unique(
            np.stack([cluster, term.index]), axis=1, return_inverse=True
        )[1].ravel()
    columns = [rows.basis @ rows.coefficients.T, *(term.Z for term in rows.random)]
    X = np.concatenate(columns, axis=1)
    for at in np.unique(cluster[out]):
        mine = cluster == at
        mass = rows.weights[mine]
        sums = X[mine].T @ (mass * response[mine])
        limit = rows.trials[mine] if binomial else None
        response[mine], missed = in_range(X[mine], mass, limit, sums)
        if missed > _UNMET:
            raise UsageError(
                "export: a cluster's pseudo-data have no responses in the range of "
                f"{family} with its sums; a model that R can fit is required; export "
                "one with fewer columns, or use refit and compare here"
            )
    return replace(rows, response=response)


def _of_products(source: CrossProducts) -> ModelRows:
    k = source.products.shape[1] - 1
    values, weights, blocks = [], [], []
    for g, products in enumerate(source.products):
        n, total = int(source.n_rows[g]), float(source.weight_sums[g])
        if n == 0:
            continue
        values.append(_with_products(products, n, total, source.const))
        weights.append(np.full(n, total / n))
        blocks.append(np.full(n, g))
    stacked = np.concatenate(values)
    block = np.concatenate(blocks)
    basis = stacked[:, :k]
    random = tuple(
        RandomTerm(
            term.group,
            term.names,
            term.index[block],
            term.levels,
            basis @ term.coefficients.T,
            term.correlated,
        )
        for term in source.random
    )
    ones = np.ones(len(block))
    return ModelRows(
        names=source.names,
        basis=basis,
        coefficients=source.coefficients,
        response=stacked[:, k] * source.response_scale + source.response_center,
        weights=np.concatenate(weights),
        trials=ones,
        offset=0.0 * ones,
        random=random,
        constant=None,
        n_rows=int(source.n_rows.sum()),
    )


def _with_products(
    products: FloatArray, n: int, total: float, const: int
) -> FloatArray:
    """
    Rows of equal weight with given weighted cross-products.

    Where one function is constant, the others have their means and, along orthonormal
    cosines over the rows, their covariances.
    """
    size = len(products)
    out = np.empty((n, size))
    others = [j for j in range(size) if j != const]
    mean = np.zeros(size)
    if const >= 0:
        mean = products[const] / total
        out[:, const] = 1.0
    spread = products / total - np.outer(mean, mean)
    values, vectors = np.linalg.eigh(spread[np.ix_(others, others)])
    first = 1 if const >= 0 else 0
    rank = min(n - first, len(others))
    waves = np.arange(first, first + rank)
    cosines = np.cos(np.pi * np.outer(np.arange(n) + 0.5, waves) / n)
    cosines *= np.where(waves > 0, np.sqrt(2.0), 1.0)
    largest = np.sqrt(np.maximum(values[::-1][:rank], 0.0))
    out[:, others] = mean[others] + (cosines * largest) @ vectors[:, ::-1][:, :rank].T
    return out
