"""From rows to sums: the only file that turns a site's rows into numbers."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from fedglmm_flower.errors import DataError, EmptySiteError, FitError
from fedglmm_flower.glmm.evaluate import (
    AtomRows,
    atom_rows,
    evaluate_monomials,
)
from fedglmm_flower.glmm.shape import shape_values
from fedglmm_flower.glmm.table import TypedTable, typed_table
from fedglmm_flower.site.anchoring import anchored_sums
from fedglmm_flower.site.cells import CellCounts, count_cells, merge_cells
from fedglmm_flower.site.dominance import (
    Dominance,
    update_dominance,
    valued_columns,
    watched_columns,
    watched_measures,
)
from fedglmm_flower.site.source import TableSource
from fedglmm_flower.site.values import ValueCounts, count_values
from fedglmm_flower.study.columns import Column
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.release import (
    Statistic,
    linear_sums,
    measure_of,
    release_statistics,
)
from fedglmm_flower.study.study import Study

FloatArray = npt.NDArray[np.float64]
_CELLS_PER_BATCH = 8_000_000
_MAX_BATCH = 65_536
# Rows are kept between passes while they are few; else they are read again.
_KEPT_CELLS = 32_000_000


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
        Complete rows, and rows dropped for a missing value.
    cells : CellCounts
        Counts over all factor atoms.
    dominance : mapping
        For each single numeric column, expression, weight and measure.
    value_counts : mapping
        Counts at the values of each numeric column that is more than a count of
        events.
    at_anchor : mapping
        Dominance of single records in what an anchored release sums.
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


def summarise(study: Study, source: TableSource, *, site: str) -> Moments:
    """
    Sums of a site's rows over batches: one pass for moments, more for an anchor.

    Memory is bounded by the batch, not by the table.

    Parameters
    ----------
    study : Study
        The question; sums are taken to its highest order.
    source : TableSource
        The site's rows.
    site : str
        The site's name.

    Returns
    -------
    Moments
        Equal, up to rounding, to the sums over any division into batches.

    Raises
    ------
    EmptySiteError
        If no row is complete.
    DataError
        If the table does not agree with the study.
    """
    model = study.model
    order = max(k for _, k in study.offers)
    statistics = release_statistics(model, "canonical", order)
    anchored = any(name == "anchored" for name, _ in study.offers)
    used = [model.columns[name] for name in model.used_columns]
    size = max(256, min(_MAX_BATCH, _CELLS_PER_BATCH // (len(statistics) + 1)))
    values = np.zeros(len(statistics))
    cells: CellCounts | None = None
    dominance: dict[str, Dominance] = {}
    values_at: dict[str, ValueCounts] = {}
    n_rows = n_missing = 0
    names = [column.name for column in used]
    kept_rows: list[AtomRows] | None = [] if anchored else None
    for table, rows in _batches(model, source, used, size):
        n_missing += rows.n_missing
        n = len(rows.response)
        if n == 0:
            continue
        n_rows += n
        if kept_rows is not None:
            kept_rows.append(rows)
            if n_rows * (len(model.atoms) + 4) > _KEPT_CELLS:
                kept_rows = None
        with np.errstate(over="ignore", invalid="ignore"):  # refused below
            values += sums(model, statistics, rows)
        each = _cells(model, rows)
        counted = count_cells(each.codes, each.rows, *each.responses)
        cells = counted if cells is None else merge_cells(cells, counted)
        kept = {name: c[rows.kept] for name, c in table.columns.items()}
        watched = watched_columns(model, kept, rows)
        update_dominance(dominance, watched)
        update_dominance(dominance, watched_measures(model, kept, rows))
        for name in valued_columns(model, watched):
            values_at[name] = count_values(values_at.get(name), watched[name], each)
    if cells is None:
        raise EmptySiteError(
            f"{source.name}: no complete row ({n_missing} rows with a missing value); "
            "at least one complete row is required; check the used columns "
            f"{', '.join(names)}"
        )
    if not np.isfinite(values).all():
        raise DataError(
            f"{source.name}: a sum overflows; columns and offsets must be of moderate "
            "size; declare center and scale of the columns in the study"
        )
    at_anchor: dict[str, Dominance] = {}
    if anchored:

        def again() -> Iterable[AtomRows]:
            read = (rows for _, rows in _batches(model, source, used, size))
            return read if kept_rows is None else kept_rows

        more = _at_anchor(model, statistics, values, n_rows, again, at_anchor)
        statistics = (*statistics, *more)
        values = np.append(values, list(more.values()))
    return Moments(
        study_digest=study.digest,
        site=site,
        order=order,
        statistics=statistics,
        values=values,
        n_rows=n_rows,
        n_missing=n_missing,
        cells=cells,
        dominance=dominance,
        value_counts=values_at,
        at_anchor=at_anchor,
    )


def _batches(
    model: Model, source: TableSource, used: list[Column], size: int
) -> Iterator[tuple[TypedTable, AtomRows]]:
    """Checked batches and their complete rows."""
    first = 0
    for frame in source.batches([column.name for column in used], size):
        table = typed_table(frame, used, where=source.name, first_row=first + 1)
        first += len(frame)
        yield table, atom_rows(model, table, where=source.name)


def _at_anchor(
    model: Model,
    canonical: tuple[Statistic, ...],
    values: FloatArray,
    n_rows: int,
    again: Callable[[], Iterable[AtomRows]],
    dominance: dict[str, Dominance],
) -> dict[Statistic, float]:
    """Sums at the site's anchor; none where it has no estimate."""
    measure, one = measure_of(model), model.constant
    sums_of = dict(zip(canonical, values, strict=True))
    responses = linear_sums(model, sums_of, n_rows)
    mass = sums_of.get(Statistic("x", measure, one, 0), float(n_rows))
    wanted = release_statistics(model, "anchored", 1)
    try:
        found = anchored_sums(model, wanted, again, responses, mass, dominance)
    except (FitError, np.linalg.LinAlgError):
        return {}
    return found if np.isfinite(list(found.values())).all() else {}


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
    w = rows.weights
    y = _shifted_response(model, rows)
    measures = {"rows": w, "trials": w * rows.trials}
    measures["exposure"] = w * np.exp(rows.offset)
    measures["amount"] = w * rows.response * np.exp(-rows.offset)
    functions = list({s.monomial: None for s in statistics})
    at = {monomial: i for i, monomial in enumerate(functions)}
    matrix = evaluate_monomials(rows.values, functions, model.factors)
    needed = {s.measure for s in statistics if s.role == "x"}
    by_measure = {name: matrix @ measures[name] for name in needed}
    by_response = matrix @ (w * y)
    constant = float(np.sum(w * _constant(model, rows)))
    at_shapes = shape_values(y, w) if model.family == "nbinom2" else np.zeros(0)
    out = np.empty(len(statistics))
    for i, s in enumerate(statistics):
        if s.role == "x":
            out[i] = by_measure[s.measure][at[s.monomial]]
        elif s.role == "y":
            out[i] = by_response[at[s.monomial]]
        elif s.role == "yy":
            out[i] = float(np.sum(w * y * y))
        elif s.role == "y_offset":
            out[i] = float(np.sum(w * y * rows.offset))
        elif s.role == "offset":
            out[i] = float(np.sum(w * rows.offset))
        elif s.role == "shape":
            out[i] = at_shapes[s.column]
        else:
            out[i] = constant
    return out


def _shifted_response(model: Model, rows: AtomRows) -> FloatArray:
    if model.family != "gaussian":
        return rows.response
    response = model.response
    return (rows.response - rows.offset - response.center) / response.scale


def _constant(model: Model, rows: AtomRows) -> FloatArray:
    """Part of each row's log-likelihood that holds the response alone."""
    y, m = rows.response, rows.trials
    if model.family in ("poisson", "nbinom2"):
        return -gammaln(y + 1)
    if model.family == "gamma":
        return -np.log(y)
    if model.family == "binomial":
        return gammaln(m + 1) - gammaln(y + 1) - gammaln(m - y + 1)
    return np.zeros_like(y)


def _cells(model: Model, rows: AtomRows) -> CellCounts:
    """Each row as a cell of its own, to be counted."""
    codes = rows.values[:, list(model.factors)].astype(np.int64)
    y, m = rows.response, rows.trials
    one = np.ones(len(y))
    if model.family == "binomial" or _response_is_binary(model):
        some, not_all = (y > 0).astype(np.float64), (y < m).astype(np.float64)
        return CellCounts(codes, one, y, m - y, some, not_all)
    if model.family in ("poisson", "nbinom2"):
        return CellCounts(codes, one, event_rows=(y > 0).astype(np.float64))
    return CellCounts(codes, one)


def _response_is_binary(model: Model) -> bool:
    response = model.response
    if response.column is not None:
        return True
    column = model.columns.get(response.name)
    return column is not None and column.kind == "binary"
