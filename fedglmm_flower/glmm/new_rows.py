"""A new table as rows to predict: no response is needed, and no row is lost."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from fedglmm_flower.errors import DataError, UsageError
from fedglmm_flower.glmm.design import Labels, rows_of_atoms
from fedglmm_flower.glmm.evaluate import atom_value, finite_value
from fedglmm_flower.glmm.fitted import FittedModel
from fedglmm_flower.glmm.rows import BoolArray, ModelRows
from fedglmm_flower.glmm.table import as_text, missing_text, typed_table
from fedglmm_flower.study.model import Model

_WHERE = "predict"


@dataclass(frozen=True)
class NewRows:
    """
    Rows of a new table.

    Attributes
    ----------
    rows : ModelRows
        The complete ones; responses are zeros and mean nothing.
    complete : boolean array over the rows of the table
    """

    rows: ModelRows
    complete: BoolArray


def new_rows(
    fitted: FittedModel, frame: pd.DataFrame, groups: Sequence[str]
) -> NewRows:
    """
    Read a table by the question of a fit.

    Public bounds of columns bind the data that are fitted, not those predicted.

    Parameters
    ----------
    fitted : FittedModel
    frame : DataFrame
    groups : sequence of str
        Random terms, by group, whose effects are wanted; columns that only the others
        use need not be there.

    Raises
    ------
    UsageError
        If the model was not fitted by a formula.
    DataError
        If columns are missing, or a cell is of an unknown level or no number.
    """
    if fitted.asked is None:
        raise UsageError(
            "predict: the model was fitted to arrays and cannot read a table; give "
            "ModelRows, or fit with glmm.fit"
        )
    model = fitted.asked.model
    wanted = {
        fitted.asked.groups.get(name, name)
        for effect in model.random
        if effect.name in groups
        for name in effect.group
    }
    used = _used_atoms(model, groups)
    names = {
        name
        for atom, needed in zip(model.atoms, used, strict=True)
        if needed
        for name in (atom.expression.columns if atom.expression else (atom.name,))
    }
    if model.offset is not None:
        names.update(model.offset.columns)
    _require_all(frame, [name for name in model.columns if name in names], wanted)
    columns = [
        replace(c, low=None, high=None) if c.kind == "continuous" else c
        for c in map(model.columns.__getitem__, sorted(names))
    ]
    table = typed_table(frame, columns, where=_WHERE)
    complete = np.ones(table.n_rows, dtype=np.bool_)
    for column in table.columns.values():
        complete &= ~np.isnan(column)
    text = {column: as_text(frame[column]) for column in wanted}
    for series in text.values():
        complete &= ~missing_text(series).to_numpy(dtype=bool)
    n = int(complete.sum())
    cells = {name: column[complete] for name, column in table.columns.items()}
    values = np.zeros((n, len(model.atoms)))
    for j, atom in enumerate(model.atoms):
        if used[j]:
            values[:, j] = atom_value(atom, cells, _WHERE)
    labels: dict[str, Labels] = {}
    for name in {g for effect in model.random for g in effect.group}:
        named = fitted.asked.groups.get(name, name)
        # No cluster is named by empty text, so it stands for a new one.
        labels[name] = (
            text[named].to_numpy(dtype=object)[complete] if named in text else [""] * n
        )
    rows = rows_of_atoms(
        model,
        values,
        labels,
        response=np.zeros(n),
        trials=np.ones(n),
        weights=np.ones(n),
        constant=0.0,
        n_rows=n,
    )
    if model.offset is not None and model.offset_column is None:
        rows = replace(rows, offset=finite_value(model.offset, cells, _WHERE))
    return NewRows(rows, complete)


def _used_atoms(model: Model, groups: Sequence[str]) -> list[bool]:
    """Atoms in the fixed part, in the offset, or in a wanted random part."""
    columns = list(model.fixed)
    columns += [c for e in model.random if e.name in groups for c in e.columns]
    if model.offset_column is not None:
        columns.append(model.offset_column)
    monomials = [m for column in columns for m in column.polynomial]
    return [any(m[j] for m in monomials) for j in range(len(model.atoms))]


def _require_all(frame: pd.DataFrame, names: Sequence[str], groups: set[str]) -> None:
    found = set(map(str, frame.columns))
    absent = [name for name in (*names, *sorted(groups)) if name not in found]
    if absent:
        cure = "add them"
        if set(absent) & groups:
            cure += ", or predict without random effects (effects=False)"
        raise DataError(
            f"{_WHERE}: column {', '.join(map(repr, absent))} is missing from the "
            f"table; the model needs {', '.join([*names, *sorted(groups)])}; {cure}"
        )
