"""Sums of moment functions over a batch of rows."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from fedglmm_flower.errors import DataError
from fedglmm_flower.glmm.evaluate import AtomRows, evaluate_monomials
from fedglmm_flower.glmm.shape import shape_values
from fedglmm_flower.site.measures import measure_on_rows
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.polynomial import Monomial, multiply_monomials
from fedglmm_flower.study.release import Role, Statistic

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
# Matrix products are quick, but not worth more than these for each sum that is needed.
_PRODUCTS_PER_SUM = 8
# A block of functions that stays near the processor.
_CELLS_AT_ONCE = 262_144


def sums(model: Model, statistics: tuple[Statistic, ...], rows: AtomRows) -> FloatArray:
    """
    Values of statistics on rows.

    Parameters
    ----------
    model : Model
        The question.
    statistics : tuple of Statistic
        What to sum.
    rows : AtomRows
        Complete rows.

    Returns
    -------
    array of shape (statistics,)
        Sums are taken of ``(y - offset - center) / scale`` where the response is
        gaussian, and of ``y`` elsewhere.
    """
    plan = _plan(statistics, model.factors)
    w = rows.weights
    y = shifted_response(model, rows)
    measures = [measure_on_rows(rows, name) for name in plan.measures]
    left, right = len(plan.left), len(plan.right)
    products = np.zeros((len(measures), left, right))
    responses = np.zeros(len(plan.responses))
    at_once = max(256, _CELLS_AT_ONCE // (left + right + len(plan.responses)))
    for start in range(0, len(w), at_once):
        part = slice(start, start + at_once)
        values = rows.values[part]
        functions = evaluate_monomials(values, plan.functions, model.factors)
        first, second = functions[plan.left], functions[plan.right]
        for k, measure in enumerate(measures):
            products[k] += (first * measure[part]) @ second.T
        responses += functions[plan.responses] @ (w * y)[part]
    single = _single(model, {s.role for s in statistics}, y, rows)
    at_shapes = shape_values(y, w) if model.family == "nbinom2" else np.zeros(0)
    out = np.empty(len(statistics))
    for i, s in enumerate(statistics):
        if s.role == "x":
            out[i] = products[plan.measures.index(s.measure)][plan.x_at[s.monomial]]
        elif s.role == "y":
            out[i] = responses[plan.y_at[s.monomial]]
        elif s.role == "log_factorial":
            out[i] = -float(w @ gammaln(_counts(model, rows, s.column) + 1))
        elif s.role == "shape":
            out[i] = at_shapes[s.column]
        else:
            out[i] = single[s.role]
    return out


def _single(
    model: Model, roles: AbstractSet[Role], y: FloatArray, rows: AtomRows
) -> dict[Role, float]:
    """Sums of which a release has one at most."""
    w = rows.weights
    out: dict[Role, float] = {}
    if "yy" in roles:
        out["yy"] = float(np.sum(w * y * y))
    if "y_offset" in roles:
        out["y_offset"] = float(np.sum(w * y * rows.offset))
    if "offset" in roles:
        out["offset"] = float(np.sum(w * rows.offset))
    if "constant" in roles:
        out["constant"] = float(np.sum(w * constant_on_rows(model, rows)))
    return out


@dataclass(frozen=True)
class _Plan:
    """
    Which functions are evaluated, and whose products are the sums.

    A moment function is the product of two of half its degree or so, so that all of
    them come of one matrix product of fewer functions.

    Parameters
    ----------
    functions : list of monomials
        What is evaluated on rows.
    left, right, responses : list of int
        Positions of the functions that are multiplied with each other, and with the
        response.
    x_at, y_at : dict
        Where the sum of a moment function is found.
    measures : list of str
        Measures of the moments.
    """

    functions: list[Monomial]
    left: list[int]
    right: list[int]
    responses: list[int]
    x_at: dict[Monomial, tuple[int, int]]
    y_at: dict[Monomial, int]
    measures: list[str]


@lru_cache(maxsize=16)
def _plan(statistics: tuple[Statistic, ...], factors: tuple[bool, ...]) -> _Plan:
    one = (0,) * len(factors)
    x = {s.monomial: s.degree if any(s.monomial) else 0 for s in statistics
         if s.role == "x"}  # fmt: skip
    y = [s.monomial for s in statistics if s.role == "y"]
    order = max(x.values(), default=0)
    degrees = {one: 0, **x}
    left = [m for m, d in degrees.items() if d <= order // 2]
    right = [m for m, d in degrees.items() if d <= order - order // 2]
    pairs: dict[Monomial, tuple[int, int]] = {}
    if len(left) * len(right) <= _PRODUCTS_PER_SUM * len(x):
        for i, a in enumerate(left):
            for j, b in enumerate(right):
                joint = multiply_monomials(a, b, factors)
                if joint is not None:
                    pairs.setdefault(joint, (i, j))
    if any(m not in pairs for m in x):
        left, right = [one], list(degrees)
        pairs = {m: (0, j) for j, m in enumerate(right)}
    functions = list(dict.fromkeys([*left, *right, *y]))
    at = {m: i for i, m in enumerate(functions)}
    return _Plan(
        functions,
        [at[m] for m in left],
        [at[m] for m in right],
        [at[m] for m in y],
        pairs,
        {m: i for i, m in enumerate(y)},
        sorted({s.measure for s in statistics if s.role == "x"}),
    )


def shifted_response(model: Model, rows: AtomRows) -> FloatArray:
    """The response as it is summed: a gaussian one is shifted and scaled."""
    if model.family != "gaussian":
        return rows.response
    response = model.response
    return (rows.response - rows.offset - response.center) / response.scale


def _counts(model: Model, rows: AtomRows, at: int) -> FloatArray:
    atom = model.atoms[at]
    y = atom.center + atom.scale * rows.values[:, at]
    whole = np.round(y)
    # Up to the rounding of shifting and scaling.
    bad = int(((whole < 0) | (np.abs(y - whole) > 1e-6 * (1 + whole))).sum())
    if bad:
        raise DataError(
            f"column {atom.name!r}: {bad} rows with a value that is no count; whole "
            "numbers from 0 on are required of a column of unit 'count'; correct the "
            "cells or the unit"
        )
    return np.asarray(whole)


def constant_on_rows(model: Model, rows: AtomRows) -> FloatArray:
    """Part of each row's log-likelihood that holds the response alone."""
    y, m = rows.response, rows.trials
    if model.family in ("poisson", "nbinom2"):
        return -gammaln(y + 1)
    if model.family == "gamma":
        return -np.log(y)
    if model.family == "binomial":
        return gammaln(m + 1) - gammaln(y + 1) - gammaln(m - y + 1)
    return np.zeros_like(y)
