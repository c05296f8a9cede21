"""Integer sums of clipped records: what the noise is added to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fedglmm_flower.glmm.evaluate import AtomRows
from fedglmm_flower.site.clipping import Clipping
from fedglmm_flower.site.features import Features
from fedglmm_flower.site.fixed_point import FloatArray, IntArray, guarded
from fedglmm_flower.site.labels import Path
from fedglmm_flower.site.privacy import Privacy
from fedglmm_flower.site.public_scales import clipping_of
from fedglmm_flower.site.records import bounded_cells, bounded_rows, label_of
from fedglmm_flower.site.snapshot import Snapshot
from fedglmm_flower.site.source import RecordSource
from fedglmm_flower.study.study import Study

# A batch has this many numbers, so that memory does not grow with the table.
_CELLS = 4_000_000


@dataclass(frozen=True)
class PrivateSums:
    """
    Exact integer sums of each declared cluster.

    Does not leave the site: noise comes first.

    Parameters
    ----------
    sums : integer array of shape (clusters, coordinates)
        In the order of the declared clusters; zeros for one without records.
    records : tuple of int
        Rows, or patients, of each cluster, usable or not.
    snapshot : str
        Digest of the rows, taken in the same pass.
    """

    sums: IntArray
    records: tuple[int, ...]
    snapshot: str


def private_sums(
    study: Study,
    source: RecordSource,
    features: Features,
    weights: FloatArray,
    privacy: Privacy,
    *,
    key: bytes = b"",
) -> PrivateSums:
    """
    Sum the records of a table, each with a norm of at most the clipping norm.

    Law: a row, or all rows of one patient, moves the whole result by a vector of
    Euclidean norm at most ``radius(privacy.clipping_norm)``.  A patient belongs to the
    cluster of the first row that names both; rows elsewhere count as empty.

    Parameters
    ----------
    study : Study
        The question.
    source : RecordSource
        The site's rows.
    features : Features
        What is summed.
    weights : array of shape (coordinates,)
        See :func:`~fedglmm_flower.site.public_scales.public_weights`.
    privacy : Privacy
        Clipping norm, unit and clusters.
    key : bytes
        The site's secret, for the digest.

    Raises
    ------
    DataError
        If the table cannot be read or lacks a column: never because of a row.
    """
    paths = privacy.clusters if study.clusters else ((),)
    snapshot = Snapshot(key)
    unit = privacy.unit_column
    clipping = clipping_of(features, weights, privacy.clipping_norm)
    reader = _Reader(study, source, features, weights, clipping, unit, paths, snapshot)
    if privacy.unit_column is None:
        return _by_row(reader, len(paths), privacy.clipping_norm)
    return _by_unit(reader, len(paths), privacy.clipping_norm)


def _by_row(reader: "_Reader", clusters: int, norm: float) -> PrivateSums:
    sums = np.zeros((clusters, reader.features.size), dtype=np.int64)
    records = np.zeros(clusters, dtype=np.int64)
    for batch in reader.read():
        whole = guarded(batch.terms.T, norm)
        _add(sums, batch.cluster, whole)
        records += _counted(batch.cluster, clusters)
    return reader.found(sums, records)


def _by_unit(reader: "_Reader", clusters: int, norm: float) -> PrivateSums:
    totals: dict[str, FloatArray] = {}
    homes: dict[str, int] = {}
    for batch in reader.read():
        for i, unit in enumerate(batch.units):
            home = int(batch.cluster[i])
            if unit is None or home < 0:
                continue
            if homes.setdefault(unit, home) != home:
                continue
            if unit not in totals:
                totals[unit] = np.zeros(reader.features.size)
            # Row after row in their order: a total depends on the unit's rows alone.
            with np.errstate(all="ignore"):
                totals[unit] += batch.terms[:, i]
    sums = np.zeros((clusters, reader.features.size), dtype=np.int64)
    records = np.zeros(clusters, dtype=np.int64)
    if totals:
        at = np.array([homes[unit] for unit in totals], dtype=np.int64)
        _add(sums, at, guarded(np.stack(list(totals.values())), norm))
        records = _counted(at, clusters)
    return reader.found(sums, records)


def _add(sums: IntArray, cluster: IntArray, whole: IntArray) -> None:
    """Add integer vectors to the sums of their clusters."""
    for k in np.unique(cluster[cluster >= 0]):
        sums[k] += whole[cluster == k].sum(axis=0)


def _counted(cluster: IntArray, clusters: int) -> IntArray:
    return np.bincount(cluster[cluster >= 0], minlength=clusters).astype(np.int64)


@dataclass(frozen=True)
class _Batch:
    """Weighted terms of rows, and to whom they belong."""

    terms: FloatArray
    cluster: IntArray
    units: Sequence[str | None]


@dataclass(frozen=True)
class _Reader:
    """Batches of a table; every row is there, whatever its cells."""

    study: Study
    source: RecordSource
    features: Features
    weights: FloatArray
    clipping: Clipping
    unit_column: str | None
    paths: tuple[Path, ...]
    snapshot: Snapshot

    def found(self, sums: IntArray, records: IntArray) -> PrivateSums:
        """What was read, once all of it was."""
        return PrivateSums(sums, tuple(map(int, records)), self.snapshot.digest())

    def read(self) -> Iterator[_Batch]:
        """Terms of all rows, zero for those that are not usable."""
        used = list(self.features.model.used_columns)
        unit = [] if self.unit_column is None else [self.unit_column]
        names = list(dict.fromkeys([*used, *self.study.clusters, *unit]))
        size = max(256, _CELLS // (self.features.size + 1))
        for frame in self.source.records(names, size):
            cells = bounded_cells(self.features.model, frame)
            self.snapshot.add(cells, frame[[*self.study.clusters, *unit]])
            rows, counted = bounded_rows(self.features.model, cells, len(frame))
            terms = self._terms(rows, counted)
            units: Sequence[str | None] = [None] * len(frame)
            if self.unit_column is not None:
                units = _labels(frame[self.unit_column])
            yield _Batch(terms, self._clusters(frame), units)

    def _terms(self, rows: AtomRows, counted: FloatArray) -> FloatArray:
        """Weighted terms; of rows that are records by themselves, shortened."""
        if self.unit_column is None:
            return self.clipping.terms(rows, counted)
        with np.errstate(all="ignore"):
            return self.weights[:, None] * self.features.on_rows(rows, counted)

    def _clusters(self, frame: pd.DataFrame) -> IntArray:
        """Position of each row's cluster among the declared ones, or -1."""
        if not self.study.clusters:
            return np.zeros(len(frame), dtype=np.int64)
        at: dict[tuple[str | None, ...], int] = {p: i for i, p in enumerate(self.paths)}
        columns = [_labels(frame[name]) for name in self.study.clusters]
        found = [at.get(path, -1) for path in zip(*columns, strict=True)]
        return np.array(found, dtype=np.int64)


def _labels(series: pd.Series) -> list[str | None]:
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(object)
    return [label_of(cell) or None for cell in series.to_list()]
