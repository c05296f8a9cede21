"""What the engine is given: rows, or per-cluster cross-products, as plain arrays."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]
ShapeSum = Callable[[float], tuple[float, float]]


@dataclass(frozen=True)
class RandomTerm:
    """
    One random term: its columns, and the cluster each row belongs to.

    Attributes
    ----------
    group : str
        Name of the grouping factor in reports, ``"herd"`` or ``"site:clinic"``.
    names : tuple of str
        ``"Intercept"``, ``"x"``, ...: one name per column of `Z`.
    index : array of shape (n,)
        Position in `levels` of each row's cluster.
    levels : tuple of str
        Names of the clusters.
    Z : array of shape (n, q)
        Random-effects columns.
    correlated : bool
        Whether the effects of a cluster may covary; False for ``||``.
    """

    group: str
    names: tuple[str, ...]
    index: IntArray
    levels: tuple[str, ...]
    Z: FloatArray
    correlated: bool = True


@dataclass(frozen=True)
class ModelRows:
    """
    A model's rows: real ones, or pseudo-data that stand for them.

    The model columns are ``X = basis @ coefficients.T``.  Keeping the two apart
    keeps ``year`` and ``year**2`` accurate: the basis is centred and scaled, the
    coefficients say how the columns are made of it.

    Attributes
    ----------
    names : tuple of str
        Fixed-effect names, length p, in formula order.
    basis : array of shape (n, k)
    coefficients : array of shape (p, k)
    response : array of shape (n,)
        Gaussian response, count, or count of events.  Pseudo-data may be fractional
        and outside the range of the family.
    weights : array of shape (n,)
        Multiplies each row's log-likelihood; not negative, fractions allowed.
    trials : array of shape (n,)
        Binomial trials; ones for other families.
    offset : array of shape (n,)
        On the link scale.
    random : tuple of RandomTerm
        Empty for a model without random effects.
    constant : float or None
        The part of the log-likelihood that depends on the response alone, weighted
        and summed: log C(m, y), -log y!, and -log y for Gamma.  None: computed from
        the rows.  Given for pseudo-data.
    n_rows : int
        Number of real rows, the n of BIC.
    shape_sum : callable or None
        theta -> (sum of w log(Gamma(y + theta) / Gamma(theta)), its derivative), for
        negative binomial pseudo-data.  None: computed from the rows.
    """

    names: tuple[str, ...]
    basis: FloatArray
    coefficients: FloatArray
    response: FloatArray
    weights: FloatArray
    trials: FloatArray
    offset: FloatArray
    random: tuple[RandomTerm, ...]
    constant: float | None
    n_rows: int
    shape_sum: ShapeSum | None = None


@dataclass(frozen=True)
class ProductTerm:
    """
    One random term of a model given by cross-products.

    Attributes
    ----------
    group, names, levels, correlated
        As in `RandomTerm`.
    index : array of shape (G,)
        Position in `levels` of each block of cross-products.
    coefficients : array of shape (q, k)
        The random-effects columns in terms of the basis.
    """

    group: str
    names: tuple[str, ...]
    index: IntArray
    levels: tuple[str, ...]
    coefficients: FloatArray
    correlated: bool = True


@dataclass(frozen=True)
class CrossProducts:
    """
    All that a gaussian likelihood sees of its rows, block by block.

    Attributes
    ----------
    names : tuple of str
        Fixed-effect names, length p.
    coefficients : array of shape (p, k)
        Model columns in terms of the basis.
    products : array of shape (G, k + 1, k + 1)
        Weighted sums of ``[basis, s] [basis, s]'`` over the rows of each block,
        where ``s = (y - response_center) / response_scale``.
    response_center, response_scale : float
    const : int
        Which basis function is the constant 1; -1 if there is none.
    n_rows : array of shape (G,)
        Rows of each block.
    weight_sums : array of shape (G,)
        Summed weights of each block: the n of the likelihood.
    random : tuple of ProductTerm
    """

    names: tuple[str, ...]
    coefficients: FloatArray
    products: FloatArray
    response_center: float
    response_scale: float
    const: int
    n_rows: IntArray
    weight_sums: FloatArray
    random: tuple[ProductTerm, ...]


def select_rows(rows: ModelRows, keep: BoolArray) -> ModelRows:
    """Some of the rows; a weight of zero, for one, is the same as no row."""
    if keep.all():
        return rows
    return replace(
        rows,
        basis=rows.basis[keep],
        response=rows.response[keep],
        weights=rows.weights[keep],
        trials=rows.trials[keep],
        offset=rows.offset[keep],
        random=tuple(
            replace(term, index=term.index[keep], Z=term.Z[keep])
            for term in rows.random
        ),
    )
