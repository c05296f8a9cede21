"""The rows behind a likelihood: those of all clusters of a site together."""

import numpy as np

from fedglmm_flower.glmm.design import rows_of_table
from fedglmm_flower.glmm.evaluate import AtomRows, atom_rows
from fedglmm_flower.glmm.rows import ModelRows
from fedglmm_flower.glmm.table import typed_table
from fedglmm_flower.site.labels import parts_of
from fedglmm_flower.site.source import TableSource
from fedglmm_flower.site.units import IntArray, UnitCodes, with_units
from fedglmm_flower.study.grouping import is_site
from fedglmm_flower.study.study import Study

_BATCH = 65_536


def site_rows(
    study: Study, source: TableSource, site: str, unit: str | None = None
) -> tuple[ModelRows, IntArray | None]:
    """
    All complete rows of a site, with their clusters, in memory.

    Does not leave the site.

    Parameters
    ----------
    study : Study
        The question.
    source : TableSource
        The site's rows.
    site : str
        Name of the site.
    unit : str or None
        Column that names units.

    Returns
    -------
    rows : ModelRows
    units : integer array of shape (n,), or None
        The unit of each row, where there is such a column.

    Raises
    ------
    DataError
        If a cell is not what the study declares.
    """
    model, where = study.model, source.name
    used = [model.columns[name] for name in model.used_columns]
    names = [*study.clusters, *([] if unit is None else [unit])]
    columns = list(dict.fromkeys([*model.used_columns, *names]))
    codes = UnitCodes()
    parts: list[AtomRows] = []
    paths: list[tuple[str, ...]] = []
    first = 0
    for frame in source.batches(columns, _BATCH):
        table = typed_table(frame, used, where=where, first_row=first + 1)
        first += len(frame)
        complete = atom_rows(model, table, where=where)
        if unit is not None:
            complete = with_units(complete, codes.of(frame[unit]))
        found, _ = parts_of(frame, study.clusters, complete, where)
        for path, _, rows in found:
            parts.append(rows)
            paths += [path] * len(rows.response)
    whole = AtomRows(
        values=np.concatenate([part.values for part in parts]),
        response=np.concatenate([part.response for part in parts]),
        trials=np.concatenate([part.trials for part in parts]),
        offset=np.concatenate([part.offset for part in parts]),
        weights=np.concatenate([part.weights for part in parts]),
        kept=np.ones(len(paths), dtype=np.bool_),
        n_missing=0,
    )
    at = {name: k for k, name in enumerate(study.clusters)}
    groups = {}
    for name in (n for part in model.formula.random for n in part.group):
        column = np.empty(len(paths), dtype=object)
        mine = is_site(name, study.site_column)
        column[:] = site if mine else [path[at[name]] for path in paths]
        groups[name] = column
    units = [part.units for part in parts if part.units is not None]
    made = rows_of_table(model, whole, groups, n_rows=len(paths))
    return made, np.concatenate(units) if units else None
