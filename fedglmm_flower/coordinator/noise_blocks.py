"""From opened releases to noisy sums in the coordinates that carry the noise."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from fedglmm_flower.coordinator.blocks import Block, labels_of
from fedglmm_flower.coordinator.noise_fit import NoisySums
from fedglmm_flower.coordinator.noise_mixed import Term
from fedglmm_flower.coordinator.noise_population import Records, records_of
from fedglmm_flower.coordinator.opening import Opened
from fedglmm_flower.errors import FitError
from fedglmm_flower.glmm.anchor import AnchorFrame
from fedglmm_flower.site.residual_basis import mixing_of
from fedglmm_flower.study.release import anchor_columns
from fedglmm_flower.study.study import Study

FloatArray = npt.NDArray[np.float64]
_OPEN: Final = np.inf


def noisy_sums(study: Study, opened: Mapping[str, Opened]) -> NoisySums:
    """
    Sort what the sites sent.

    Parameters
    ----------
    study : Study
        The question.
    opened : mapping
        Accepted releases, all with noise.

    Raises
    ------
    FitError
        If some releases carry no noise, or the model is one that is not fitted under
        noise.
    """
    exact = [site for site, one in opened.items() if one.released.noise is None]
    if exact:
        raise FitError(
            f"privacy: {len(exact)} of {len(opened)} sites released their sums without "
            "noise; noise at all sites or at none is required for one fit; agree on "
            "it, or refit with the sites of one kind"
        )
    known: dict[object, int] = {}
    records: list[Records] = []
    sums, variances, most, kinds = [], [], [], []
    blocks: list[Block] = []
    sites: list[tuple[int, ...]] = []
    for site, one in opened.items():
        noise = one.released.noise
        assert noise is not None  # noqa: S101 - checked above
        clipping = noise.norm if noise.unit == "row" else None
        key = (one.offer, noise.weights, clipping)
        weights = np.array(noise.weights)
        if key not in known:
            known[key] = len(records)
            records.append(records_of(study, *one.offer, weights, clipping))
        kind = known[key]
        mixing = mixing_of(study.model, one.noisy[0].statistics)
        at = range(len(blocks), len(blocks) + len(one.noisy))
        sites.append(tuple(at))
        for cluster in one.noisy:
            values = np.append(cluster.values, cluster.rows)
            coordinates = weights * np.linalg.solve(mixing, values)
            sums.append(coordinates[records[kind].used])
            variances.append((noise.scale * 2.0**-noise.bits) ** 2)
            told = cluster.records is not None and noise.unit == "row"
            most.append(float(cluster.records or 0) if told else _OPEN)
            kinds.append(kind)
            blocks.append((site, *cluster.cluster))
    design, maps = coefficient_maps(study)
    labels = labels_of(study, blocks)
    terms = []
    for effect, columns in zip(study.model.random, maps, strict=True):
        levels = zip(*(labels[name] for name in effect.group), strict=True)
        names = tuple(":".join(level) for level in levels)
        terms.append(Term(columns, names, effect.correlated))
    return NoisySums(
        tuple(sums),
        np.array(variances),
        np.array(most),
        tuple(kinds),
        tuple(records),
        design,
        tuple(terms),
        tuple(sites),
        tuple(block[0] for block in blocks),
    )


def coefficient_maps(study: Study) -> tuple[FloatArray, list[FloatArray]]:
    """Standardised coefficients of the fixed effects, and of each random term's."""
    model = study.model
    to_standard = np.asarray(
        np.linalg.inv(AnchorFrame(model).transform).T, dtype=np.float64
    )
    columns = anchor_columns(model)
    polynomials = [column.polynomial for column in columns]
    maps = [
        to_standard[:, [polynomials.index(c.polynomial) for c in effect.columns]]
        for effect in model.random
    ]
    return to_standard[:, : len(model.fixed)], maps


def starting_point(study: Study, sums: NoisySums) -> FloatArray:
    """The public anchor, else the overall rate and no slopes."""
    p = len(study.model.fixed)
    if study.anchor_values is not None:
        return np.array(study.anchor_values[:p])
    start = np.zeros(p)
    frame = AnchorFrame(study.model)
    if frame.intercept is None:
        return start
    # The rate that makes the first sum with the response what it is on average.
    records = sums.records[0]
    at = int(np.flatnonzero(~records.of_columns)[0])
    pooled = np.sum(
        [s for s, k in zip(sums.sums, sums.kinds, strict=True) if k == 0], 0
    )
    shares = np.full(len(records.columns), 1.0 / len(records.columns))
    grid = np.linspace(-6.0, 4.0, 101)
    rates = []
    for level in grid:
        point = start.copy()
        point[frame.intercept] = level
        mean, _ = records.moments(shares, sums.design @ point)
        rates.append(mean[at] / mean[-1])
    gap = np.abs(np.array(rates) - pooled[at] / max(pooled[-1], 1.0))
    start[frame.intercept] = grid[int(np.argmin(gap))]
    return start
