"""From rows to sums: the only file that turns a site's rows into numbers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fedglmm_flower.glmm.evaluate import AtomRows
from fedglmm_flower.site.binary_response import response_is_binary
from fedglmm_flower.site.cells import CellCounts
from fedglmm_flower.site.dominance import Dominance
from fedglmm_flower.site.labels import Path
from fedglmm_flower.site.row_places import RowPlaces
from fedglmm_flower.site.unit_values import UnitValues
from fedglmm_flower.site.units import distinct
from fedglmm_flower.site.values import ValueCounts
from fedglmm_flower.site.windows import Window
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.release import Statistic

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Moments:
    """
    The sums of one cluster, before any gate.

    Does not leave the site: only what passes the disclosure gate and the privacy
    mechanism does.

    Parameters
    ----------
    study_digest : str
        The question.
    site : str
        Who answers.
    order : int
        Highest order that was computed.
    statistics : tuple of Statistic
        What each value is: the union over the study's acceptable releases.
    values : array of shape (statistics,)
        The sums.
    n_rows, n_missing : int
        Complete rows, and rows of the site dropped for a missing value.
    units : int or None
        Distinct units of the complete rows; None where every row is one.
    cells : CellCounts
        Counts over all factor atoms.
    dominance : mapping
        For each single numeric column, expression, weight and measure.
    value_counts : mapping
        Counts at the values of each numeric column that is more than a count of
        events.
    at_anchor : mapping
        Dominance of single records in what an anchored release sums.
    measures, by_level : mapping
        Dominance in what weighs rows, of all of them and of those of each level.
    leverage : mapping
        The largest share of one record in a square whose sum is determined.
    """

    study_digest: str
    site: str
    order: int
    statistics: tuple[Statistic, ...]
    values: FloatArray
    n_rows: int
    n_missing: int
    cells: CellCounts
    dominance: Mapping[str, Dominance]
    value_counts: Mapping[str, ValueCounts | UnitValues]
    at_anchor: Mapping[str, Dominance] = field(default_factory=dict)
    measures: Mapping[str, Dominance] = field(default_factory=dict)
    by_level: Mapping[str, Dominance] = field(default_factory=dict)
    leverage: Mapping[Window, float] = field(default_factory=dict)
    units: int | None = None

    @property
    def has_units(self) -> bool:
        """Whether rules count units, of which each may have several rows."""
        return self.units is not None

    @property
    def n_units(self) -> int:
        """What thresholds count: units, or rows."""
        return self.n_rows if self.units is None else self.units

    @property
    def counted(self) -> str:
        """What thresholds count, in a word."""
        return "rows" if self.units is None else "units"


@dataclass(frozen=True)
class SiteMoments:
    """
    The sums of every cluster of a site, before any gate.

    Does not leave the site.

    Parameters
    ----------
    clusters : mapping
        Label in each cluster column to sums, sorted; ``()`` is the site as a whole.
    n_missing : int
        Rows of the site dropped for a missing value, of a cluster column too.
    snapshot : str
        Digest of all its rows, see :class:`~fedglmm_flower.site.snapshot.Snapshot`.
    places : mapping
        Where in the table the rows of each cluster stand.
    units : integer array or None
        Unit of each row of the table, by its place, -1 for none; None where every row
        is a unit.
    missing_units : int
        Distinct units of rows that are in no cluster.
    """

    clusters: Mapping[Path, Moments]
    n_missing: int
    snapshot: str = ""
    places: Mapping[Path, RowPlaces] = field(default_factory=dict)
    units: IntArray | None = None
    missing_units: int = 0

    def counted(self, paths: Iterable[Path]) -> int:
        """Rows of some clusters together, or distinct units where rows have them."""
        chosen = list(paths)
        if self.units is None:
            return sum(self.clusters[path].n_rows for path in chosen)
        at = [p for path in chosen for p in self.places[path].places]
        return distinct(self.units[np.concatenate(at)]) if at else 0


def row_cells(model: Model, rows: AtomRows) -> CellCounts:
    """Each row as a cell of its own, to be counted."""
    codes = rows.values[:, list(model.factors)].astype(np.int64)
    y, m = rows.response, rows.trials
    one, by_unit = np.ones(len(y)), rows.units is not None
    if rows.units is not None:
        codes = np.column_stack([codes, rows.units])
    if model.family == "binomial" or response_is_binary(model):
        some, not_all = (y > 0).astype(np.float64), (y < m).astype(np.float64)
        return CellCounts(codes, one, y, m - y, some, not_all, by_unit=by_unit)
    if model.family in ("poisson", "nbinom2"):
        some = (y > 0).astype(np.float64)
        return CellCounts(codes, one, event_rows=some, by_unit=by_unit)
    return CellCounts(codes, one, by_unit=by_unit)
