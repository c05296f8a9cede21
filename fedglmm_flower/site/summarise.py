"""One pass over a site's rows, in batches, to the sums of each of its clusters."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fedglmm_flower.errors import DataError, EmptySiteError, FitError
from fedglmm_flower.glmm.evaluate import AtomRows, atom_rows
from fedglmm_flower.glmm.marginal_shape import marginal_shape
from fedglmm_flower.glmm.table import typed_table
from fedglmm_flower.site.anchoring import anchored_sums
from fedglmm_flower.site.dominance import (
    Contributions,
)
from fedglmm_flower.site.judge_windows import with_leverage
from fedglmm_flower.site.labels import Path, parts_of, require_few, shares
from fedglmm_flower.site.moments import Moments, SiteMoments
from fedglmm_flower.site.public_anchor import PublicSums
from fedglmm_flower.site.row_places import RowPlaces
from fedglmm_flower.site.snapshot import Snapshot, require_unchanged
from fedglmm_flower.site.source import TableSource
from fedglmm_flower.site.tally import Tally
from fedglmm_flower.site.units import UnitCodes, require_unit_unused, with_units
from fedglmm_flower.study.joint import JOINT
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.products import join_set, split_set
from fedglmm_flower.study.release import (
    Statistic,
    linear_sums,
    measure_of,
    release_statistics,
)
from fedglmm_flower.study.study import Study

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
_CELLS_PER_BATCH = 8_000_000
_MAX_BATCH = 65_536
# Rows are kept between passes while they are few; else they are read again.
_KEPT_CELLS = 32_000_000
_Rows: TypeAlias = tuple[Path, IntArray, Mapping[str, FloatArray], AtomRows]


def summarise(study: Study, source: TableSource, *, site: str) -> Moments:
    """
    Sums of all rows of a site, whatever their clusters.

    See :func:`summarise_clusters`.
    """
    found = summarise_clusters(study, source, site=site, name=lambda _: ())
    return found.clusters[()]


def summarise_clusters(
    study: Study,
    source: TableSource,
    *,
    site: str,
    name: Callable[[Path], Path | None] = lambda path: path,
    key: bytes = b"",
    unit: str | None = None,
) -> SiteMoments:
    """
    Sums of each cluster of a site: one pass for moments, more for an anchor.

    Memory is bounded by the batch and by the sums of all clusters.

    Parameters
    ----------
    study : Study
        The question; sums are taken to its highest order.
    source : TableSource
        The site's rows.
    site : str
        The site's name.
    name : callable
        Cluster that a cluster of the table is counted with; None for no one.
    key : bytes
        The site's secret for the digest of its rows; empty where none is kept.
    unit : str or None
        Column that names units, of which each may have several rows; a row that names
        none is dropped.  None where every row is one.

    Returns
    -------
    SiteMoments
        Equal, up to rounding, to the sums over any division into batches.

    Raises
    ------
    EmptySiteError
        If no row is complete.
    DataError
        If the table does not agree with the study, or changes from pass to pass.
    StudyMismatchError
        If the study reads the column that names units.
    """
    require_unit_unused(study, unit)
    model = study.moment_model
    order = max(k for _, k in study.offers)
    statistics = _summed(study)
    anchored = any(split_set(offered)[0] == "anchored" for offered, _ in study.offers)
    size = max(256, min(_MAX_BATCH, _CELLS_PER_BATCH // (len(statistics) + 1)))
    reader = _Reader(study, source, name, size, key, unit)
    tallies: dict[Path, Tally] = {}
    most = _KEPT_CELLS // (len(model.atoms) + 4)
    kept: dict[Path, list[AtomRows]] | None = {}
    n_rows = n_missing = 0
    for missing, parts in reader.read():
        n_missing += missing
        for path, places, columns, rows in parts:
            if path not in tallies:
                tallies[path] = Tally(
                    np.zeros(len(statistics)),
                    PublicSums.of(study),
                    RowPlaces.of(model, key),
                )
            tally = tallies[path]
            tally.add(model, statistics, columns, rows)
            tally.places.add(places, columns, rows)
            n_rows += len(rows.response)
            if kept is not None:
                kept.setdefault(path, []).append(rows)
                kept = None if n_rows > most else kept
        require_few(len(tallies), study.clusters, source.name)
    _require_sums(tallies, source.name, n_missing, reader.columns)
    clusters = {
        path: tallies[path].moments(study, site, order, statistics, n_missing)
        for path in sorted(tallies)
    }
    if anchored:
        for path, again in _rows_again(clusters, kept, reader, most):
            clusters[path] = _with_anchor(model, clusters[path], again)
    for path, again in _rows_again(clusters, kept, reader, most):
        clusters[path] = with_leverage(study, clusters[path], again)
    where = {path: tallies[path].places for path in clusters}
    units = None if unit is None else np.concatenate(reader.units)
    return SiteMoments(
        clusters,
        n_missing,
        reader.snapshots[0],
        where,
        units,
        # A row of weight zero is absent and not missing: then nothing is known.
        0 if model.weights is not None else len(reader.dropped),
    )


def _summed(study: Study) -> tuple[Statistic, ...]:
    """Sums of all acceptable releases, but for those at an anchor."""
    found = []
    for name, order in study.offers:
        base, products = split_set(name)
        basis = base if base == JOINT else join_set("canonical", products)
        found.append(release_statistics(study.moment_model, basis, order))
    # The largest holds most of the others, all of them where products are alike.
    found.sort(key=len, reverse=True)
    return tuple(dict.fromkeys(s for statistics in found for s in statistics))


def _require_sums(
    tallies: Mapping[Path, "Tally"], where: str, n_missing: int, names: Sequence[str]
) -> None:
    if not tallies:
        raise EmptySiteError(
            f"{where}: no complete row ({n_missing} rows with a missing value); "
            "at least one complete row is required; check the used columns "
            f"{', '.join(names)}"
        )
    if not all(np.isfinite(tally.values).all() for tally in tallies.values()):
        raise DataError(
            f"{where}: a sum overflows; columns and offsets must be of moderate "
            "size; declare center and scale of the columns in the study"
        )


@dataclass(frozen=True)
class _Reader:
    """Checked batches of a table, divided by cluster."""

    study: Study
    source: TableSource
    name: Callable[[Path], Path | None]
    size: int
    key: bytes
    unit: str | None = None
    snapshots: list[str] = field(default_factory=list)
    codes: UnitCodes = field(default_factory=UnitCodes)
    units: list[IntArray] = field(default_factory=list)
    dropped: set[int] = field(default_factory=set)

    @property
    def labels(self) -> list[str]:
        """Columns that name clusters, and the one that names units."""
        unit = [] if self.unit is None else [self.unit]
        return [*self.study.clusters, *unit]

    @property
    def columns(self) -> list[str]:
        """What is read: the model's columns, and those that name."""
        return list(
            dict.fromkeys([*self.study.moment_model.used_columns, *self.labels])
        )

    def read(self) -> Iterator[tuple[int, list[_Rows]]]:
        """Missing rows, and complete rows of each cluster, batch by batch."""
        model, where = self.study.moment_model, self.source.name
        used = [model.columns[name] for name in model.used_columns]
        first, snapshot = 0, Snapshot(self.key)
        for frame in self.source.batches(self.columns, self.size):
            table = typed_table(frame, used, where=where, first_row=first + 1)
            before, first = first, first + len(frame)
            snapshot.add(table.columns, frame[self.labels])
            complete = atom_rows(model, table, where=where)
            codes = None if self.unit is None else self.codes.of(frame[self.unit])
            if codes is not None:
                complete = with_units(complete, codes)
            parts, unnamed = parts_of(frame, self.study.clusters, complete, where)
            named: list[_Rows] = []
            for found, at, rows in parts:
                path = self.name(found)
                if path is not None and len(at):
                    columns = {c: values[at] for c, values in table.columns.items()}
                    named.append((path, before + at.astype(np.int64), columns, rows))
            if codes is not None and not self.snapshots:
                placed = np.concatenate([np.zeros(0, int), *(at for _, at, _ in parts)])
                self.units.append(codes)
                self.dropped.update(np.delete(codes, placed).tolist())
            yield complete.n_missing + unnamed, named
        self.snapshots.append(snapshot.digest())
        require_unchanged(self.snapshots, where)

    def rows_of(self, wanted: Sequence[Path]) -> Iterator[tuple[Path, AtomRows]]:
        """Complete rows of some clusters, read anew."""
        for _, parts in self.read():
            for path, _, _, rows in parts:
                if path in wanted:
                    yield path, rows

    def rows_of_one(self, path: Path) -> Iterator[AtomRows]:
        """Complete rows of a cluster, read anew."""
        return (rows for _, rows in self.rows_of([path]))


def _rows_again(
    found: Mapping[Path, Moments],
    kept: Mapping[Path, list[AtomRows]] | None,
    reader: _Reader,
    most: int,
) -> Iterator[tuple[Path, Callable[[], Iterable[AtomRows]]]]:
    """What gives each cluster's rows anew; the table is read as rarely as can be."""
    if kept is not None:
        for path in found:
            yield path, partial(iter, kept[path])
        return
    sizes = [(path, moments.n_rows) for path, moments in found.items()]
    for share in shares(sizes, most):
        if len(share) == 1:
            yield share[0], partial(reader.rows_of_one, share[0])
            continue
        held: dict[Path, list[AtomRows]] = {path: [] for path in share}
        for path, rows in reader.rows_of(share):
            held[path].append(rows)
        for path in share:
            yield path, partial(iter, held[path])


def _with_anchor(
    model: Model, moments: Moments, again: Callable[[], Iterable[AtomRows]]
) -> Moments:
    """The same sums, and those at the cluster's anchor where it has one."""
    statistics, values = moments.statistics, moments.values
    at_anchor = Contributions()
    more = _at_anchor(model, statistics, values, moments.n_rows, again, at_anchor)
    return replace(
        moments,
        statistics=(*statistics, *more),
        values=np.append(values, list(more.values())),
        at_anchor=at_anchor.found(),
    )


def _at_anchor(
    model: Model,
    canonical: tuple[Statistic, ...],
    values: FloatArray,
    n_rows: int,
    again: Callable[[], Iterable[AtomRows]],
    dominance: Contributions,
) -> dict[Statistic, float]:
    """Sums at the site's anchor; none where it has no estimate."""
    measure, one = measure_of(model), model.constant
    sums_of = dict(zip(canonical, values, strict=True))
    responses = linear_sums(model, sums_of, n_rows)
    mass = sums_of.get(Statistic("x", measure, one, 0), float(n_rows))
    wanted = release_statistics(model, "anchored", 1)
    try:
        shape = marginal_shape(model, sums_of, n_rows)
        found = anchored_sums(
            model, wanted, again, responses, mass, dominance, shape=shape
        )
    except (FitError, np.linalg.LinAlgError):
        return {}
    return found if np.isfinite(list(found.values())).all() else {}
