"""Weights of the statistics and the size of a record, from the study alone.

Noise is the same in every coordinate of the weighted vector, so that its weights say
how the noise is shared out.  A statistic with weight w is blurred by ``scale / w``;
what is common in a record then costs norm.  For given mean squares ``m_j`` and
importances ``v_j`` the sum of ``v_j / w_j**2`` at a fixed sum of ``w_j**2 m_j`` is
least at ``w_j = (v_j / m_j)**(1/4)``.

Mean squares are those of a reference law that uses what the study declares and nothing
else: bounds, centre and scale of each column, its levels, the anchor.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy  # scipy.stats loads where it is used: it takes a third of a second
from scipy.special import ndtri

from fedglmm_flower.glmm.anchor import AnchorFrame
from fedglmm_flower.glmm.evaluate import AtomRows, evaluate_monomials
from fedglmm_flower.site.clipping import (
    RESPONSES,
    Clipping,
    has_two_responses,
    holds_response,
)
from fedglmm_flower.site.features import Features
from fedglmm_flower.site.records import bounded_cells, bounded_rows
from fedglmm_flower.study.columns import Column
from fedglmm_flower.study.release import Role, Statistic

FloatArray = npt.NDArray[np.float64]
# A power of two, as the points of a digital net come.
_RECORDS: Final = 4096
_SEED: Final = 1
_TAIL: Final = 1e-9
# How much an error of one standard deviation of each sum matters: residuals, or sums
# with the response, enter the estimates as they are; the information times a step of a
# third or so, the rest times its powers.
_LEVERAGE: Final[dict[Role, float]] = {
    "y": 1.0,
    "score": 0.1,
    "yy": 0.5,
    "y_offset": 0.1,
    "offset": 0.3,
    "constant": 0.05,
    "shape": 0.1,
    "value": 0.1,
    "information": 0.3,
    "bend": 0.1,
}
_COUNT: Final = 0.5
_PER_DEGREE: Final = 0.5
# Below this share of the mean square a sum counts as constant.
_LEAST_SPREAD: Final = 0.05


def public_weights(features: Features) -> FloatArray:
    """
    Weight of each coordinate; the root mean square of a record's norm is then 1.

    Of a record whose response is 0 or 1 the longer of the two forms counts: it is what
    clipping goes by.

    Parameters
    ----------
    features : Features
        Its model's columns have bounds.

    Returns
    -------
    array of shape (coordinates,)
        Positive; the same wherever it is computed from the same study, and told with
        every release.
    """
    rows, counted = reference_rows(features)
    terms = features.on_rows(rows, counted)
    usable = (counted > 0) & np.isfinite(terms).all(axis=0)
    terms = terms[:, usable]
    if not usable.any():
        return np.full(features.size, features.size**-0.5)
    mean_square = _mean_square(features, rows, counted, usable)
    # A function that the reference law never sees gets the weight of a rare one.
    floor = 1e-3 * np.median(mean_square[mean_square > 0])
    mean_square = np.maximum(mean_square, floor)
    spread = np.maximum(np.var(terms, axis=1), _LEAST_SPREAD * mean_square)
    anchored = features.anchor is not None
    levers = [_leverage(s, anchored=anchored) for s in features.statistics]
    if anchored and features.basis is None:
        for i, s in enumerate(features.statistics):
            levers[i] = 1.0 if s.role == "score" else levers[i]
    importance = np.array([*levers, _COUNT]) ** 2 / spread
    weights = (importance / mean_square) ** 0.25
    return np.asarray(weights / np.sqrt(np.sum(weights**2 * mean_square)))


def clipping_of(features: Features, weights: FloatArray, norm: float) -> Clipping:
    """
    How far the two parts of a record may reach: each as much longer than it usually is.

    Parameters
    ----------
    features : Features
        What is summed.
    weights : array of shape (coordinates,)
        See :func:`public_weights`.
    norm : float
        Clipping norm of both parts together.
    """
    response = holds_response(features)
    whole = Clipping(features, weights, response, None)
    if not has_two_responses(features):
        return whole
    rows, counted = reference_rows(features)
    at = np.flatnonzero(counted > 0)
    squares = [
        float(np.mean(lengths[np.isfinite(lengths)] ** 2))
        for lengths in whole.longest(rows.select(at), np.ones(len(at)))
    ]
    usual = np.sqrt(np.array(squares) / max(sum(squares), 1e-300))
    return replace(whole, reach=(norm * float(usual[0]), norm * float(usual[1])))


def _mean_square(
    features: Features,
    rows: AtomRows,
    counted: FloatArray,
    usable: npt.NDArray[np.bool_],
) -> FloatArray:
    """Mean square of each term; of both responses the longer where there are two."""
    if not has_two_responses(features):
        return np.asarray(np.mean(features.on_rows(rows, counted)[:, usable] ** 2, 1))
    largest = np.zeros((features.size, int(usable.sum())))
    for y in RESPONSES:
        answered = replace(rows, response=np.full(len(counted), y))
        terms = features.on_rows(answered, counted)[:, usable]
        largest = np.maximum(largest, terms**2)
    return np.asarray(np.mean(largest, axis=1))


def reference_norms(features: Features, weights: FloatArray) -> FloatArray:
    """Norms of records of the reference law: how many a clipping norm would touch."""
    rows, counted = reference_rows(features)
    at = np.flatnonzero(counted > 0)
    rows, ones = rows.select(at), np.ones(len(at))
    if has_two_responses(features):
        whole = Clipping(features, weights, holds_response(features), None)
        return np.asarray(np.hypot(*whole.longest(rows, ones)))
    terms = weights[:, None] * features.on_rows(rows, ones)
    return np.asarray(np.sqrt(np.sum(terms**2, axis=0)))


def _leverage(s: Statistic, *, anchored: bool) -> float:
    if s.role != "x":
        return _LEVERAGE.get(s.role, _COUNT)
    # With an anchor, moments only carry the shape far from it.
    return _PER_DEGREE ** (s.degree - 1 + 2 * anchored)


def reference_rows(features: Features) -> tuple[AtomRows, FloatArray]:
    """
    Records of the reference law: of what the study declares, and of no site's rows.

    Returns
    -------
    rows : AtomRows
        With responses as the anchor expects them, where there is one.
    counted : array of shape (n,)
        1 for a usable record and 0 for another.
    """
    model = features.model
    rng = np.random.default_rng(_SEED)
    # An even net: drawn at random, the moments that a release does not hold would be
    # off by a few percent, and so would a fit that takes them from here.
    columns = max(len(model.used_columns), 1)
    net = scipy.stats.qmc.Sobol(columns, rng=rng).random(_RECORDS)
    frame = {
        name: _spread(model.columns[name], even)
        for name, even in zip(model.used_columns, net.T, strict=False)
    }
    counts = model.response.name
    if model.family in ("poisson", "nbinom2") and counts in frame:
        frame[counts] = list(np.floor(np.array(frame[counts], dtype=np.float64)))
    cells = bounded_cells(model, pd.DataFrame(frame))
    rows, counted = bounded_rows(model, cells, _RECORDS)
    if features.anchor is None:
        return rows, counted
    return replace(rows, response=_at_anchor(features, rows, rng)), counted


def _spread(column: Column, even: FloatArray) -> list[object]:
    """Values of a column at the levels ``even`` of its law, shape (n,)."""
    if column.kind == "categorical":
        codes = np.minimum(even * len(column.levels), len(column.levels) - 1)
        return [column.levels[int(code)] for code in codes]
    if column.kind == "binary":
        return [int(high) for high in even >= 0.5]
    low, high = bounds_of(column)
    width = high - low
    inside = low < column.center < high
    center = column.center if inside else low + width / 2
    scaled = width / 20 <= column.scale <= width / 2
    scale = column.scale if scaled else width / 6
    inner = np.clip(even, _TAIL, 1.0 - _TAIL)
    values = np.clip(center + scale * ndtri(inner), low, high)
    # Columns of which bounds are all that is declared are often whole numbers.
    whole = column.unit == "count" or not (inside and scaled)
    if whole and low == np.floor(low) and width >= 1:
        values = np.floor(values)
    return list(values)


def _at_anchor(
    features: Features, rows: AtomRows, rng: np.random.Generator
) -> FloatArray:
    """Responses as the anchor expects them."""
    model = features.model
    frame = AnchorFrame(model)
    f = evaluate_monomials(rows.values, frame.monomials, model.factors)
    eta = np.array(features.anchor) @ (frame.columns @ f) + frame.offset @ f
    if model.family == "binomial":
        drawn = rng.binomial(rows.trials.astype(int), 1 / (1 + np.exp(-eta)))
        return np.asarray(drawn, dtype=np.float64)
    mean = np.exp(np.clip(eta + rows.offset, -30.0, 30.0))
    most = _highest(model.columns, model.response.name)
    if model.family == "poisson":
        return np.minimum(rng.poisson(np.minimum(mean, 1e9)), most).astype(np.float64)
    return np.asarray(np.clip(rng.exponential(mean), 1e-9, most))


def _highest(columns: Mapping[str, Column], name: str) -> float:
    return bounds_of(columns[name])[1] if name in columns else np.inf


def bounds_of(column: Column) -> tuple[float, float]:
    """Declared bounds of a numeric column that has both."""
    assert column.low is not None  # noqa: S101 - checked before anything is read
    assert column.high is not None  # noqa: S101 - as above
    return column.low, column.high
