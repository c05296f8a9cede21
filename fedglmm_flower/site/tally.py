"""The sums of one cluster in the making, and all that the gate judges of its rows."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fedglmm_flower.glmm.evaluate import AtomRows
from fedglmm_flower.site.cells import CellCounts, count_cells, merge_cells
from fedglmm_flower.site.dominance import Contributions, valued_columns, watched_columns
from fedglmm_flower.site.measures import (
    levels_on_rows,
    measured_columns,
    response_totals,
    unequal_measures,
)
from fedglmm_flower.site.moments import Moments, row_cells
from fedglmm_flower.site.public_anchor import PublicSums
from fedglmm_flower.site.row_places import RowPlaces
from fedglmm_flower.site.sums import sums
from fedglmm_flower.site.unit_values import UnitValues, count_unit_values
from fedglmm_flower.site.values import ValueCounts, count_values
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.release import Statistic, release_statistics
from fedglmm_flower.study.study import Study

FloatArray = npt.NDArray[np.float64]


class Tally:
    """Sums and facts of a cluster; grows batch by batch, does not leave the site."""

    def __init__(
        self, values: FloatArray, at_public: PublicSums | None, places: RowPlaces
    ) -> None:
        self.places = places
        self.values = values
        self.at_public = at_public
        self.n_rows = 0
        self.cells: CellCounts | None = None
        self.dominance = Contributions()
        self.measures = Contributions()
        self.by_level = Contributions()
        self.values_at: dict[str, ValueCounts | UnitValues] = {}

    def add(
        self,
        model: Model,
        statistics: tuple[Statistic, ...],
        columns: Mapping[str, FloatArray],
        rows: AtomRows,
    ) -> None:
        """Add the rows of a batch."""
        self.n_rows += len(rows.response)
        with np.errstate(over="ignore", invalid="ignore"):  # refused later
            self.values += sums(model, statistics, rows)
        if self.at_public is not None:
            self.at_public.add(rows)
        each = row_cells(model, rows)
        counted = count_cells(each.codes, each.rows, *each.responses)
        counted = replace(counted, by_unit=each.by_unit)
        self.cells = counted if self.cells is None else merge_cells(self.cells, counted)
        watched, units = watched_columns(model, columns, rows), rows.units
        self.dominance.add(watched, units)
        measures = unequal_measures(model, rows)
        self.measures.add(measures, units)
        totals = response_totals(model, rows)
        for level, mask in levels_on_rows(model, rows):
            own = None if units is None else units[mask]
            parts = {f"{name} x {level}": m[mask] for name, m in measures.items()}
            self.by_level.add(parts, own)
            parts = {f"{name} x {level}": t[mask] for name, t in totals.items()}
            self.dominance.add(parts, own)
        self.dominance.add(measured_columns(model, measures, columns), units)
        for name in valued_columns(model, watched):
            known, column = self.values_at.get(name), watched[name]
            if units is None:
                assert not isinstance(known, UnitValues)  # noqa: S101 - of rows
                self.values_at[name] = count_values(known, column, each)
            else:
                assert not isinstance(known, ValueCounts)  # noqa: S101 - of units
                self.values_at[name] = count_unit_values(known, column, units, each)

    def moments(
        self,
        study: Study,
        site: str,
        order: int,
        statistics: tuple[Statistic, ...],
        n_missing: int,
    ) -> Moments:
        """The sums when all rows are in."""
        assert self.cells is not None  # noqa: S101 - a tally has rows
        public, at_anchor = self.at_public, {}
        more: dict[Statistic, float] = {}
        if public is not None:
            more = public.values(release_statistics(study.model, "public", 1))
            at_anchor = public.at_anchor.found()
        return Moments(
            study_digest=study.digest,
            site=site,
            order=order,
            statistics=(*statistics, *more),
            values=np.append(self.values, list(more.values())),
            n_rows=self.n_rows,
            n_missing=n_missing,
            cells=self.cells,
            dominance=self.dominance.found(),
            value_counts=self.values_at,
            at_anchor=at_anchor,
            measures=self.measures.found(),
            by_level=self.by_level.found(),
            units=self.places.units(),
        )
