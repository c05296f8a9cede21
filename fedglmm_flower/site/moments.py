"""From rows to sums: the only file that turns a site's rows into numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fedglmm_flower.glmm.evaluate import AtomRows
from fedglmm_flower.site.cells import CellCounts
from fedglmm_flower.site.dominance import Dominance
from fedglmm_flower.site.labels import Path
from fedglmm_flower.site.row_sets import RowPlaces
from fedglmm_flower.site.values import ValueCounts
from fedglmm_flower.site.windows import Window
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.release import Statistic

FloatArray = npt.NDArray[np.float64]


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
    value_counts: Mapping[str, ValueCounts]
    at_anchor: Mapping[str, Dominance] = field(default_factory=dict)
    measures: Mapping[str, Dominance] = field(default_factory=dict)
    by_level: Mapping[str, Dominance] = field(default_factory=dict)
    leverage: Mapping[Window, float] = field(default_factory=dict)


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
    """

    clusters: Mapping[Path, Moments]
    n_missing: int
    snapshot: str = ""
    places: Mapping[Path, RowPlaces] = field(default_factory=dict)


def row_cells(model: Model, rows: AtomRows) -> CellCounts:
    """Each row as a cell of its own, to be counted."""
    codes = rows.values[:, list(model.factors)].astype(np.int64)
    y, m = rows.response, rows.trials
    one = np.ones(len(y))
    if model.family == "binomial" or response_is_binary(model):
        some, not_all = (y > 0).astype(np.float64), (y < m).astype(np.float64)
        return CellCounts(codes, one, y, m - y, some, not_all)
    if model.family in ("poisson", "nbinom2"):
        return CellCounts(codes, one, event_rows=(y > 0).astype(np.float64))
    return CellCounts(codes, one)


def response_is_binary(model: Model) -> bool:
    """Whether the response is a 0/1 column or a level of a factor."""
    response = model.response
    if response.column is not None:
        return True
    column = model.columns.get(response.name)
    return column is not None and column.kind == "binary"
