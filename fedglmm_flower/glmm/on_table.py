"""Fit a question to a table that may be seen as a whole."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from fedglmm_flower.errors import DataError
from fedglmm_flower.glmm.asked import Asked
from fedglmm_flower.glmm.coordinates import build_coordinates
from fedglmm_flower.glmm.design import Labels, rows_of_table
from fedglmm_flower.glmm.evaluate import AtomRows, atom_rows
from fedglmm_flower.glmm.fitted import FittedModel
from fedglmm_flower.glmm.generalized import fit_rows, usable_rows
from fedglmm_flower.glmm.table import as_labels, typed_table
from fedglmm_flower.glmm.verdict import Verdict
from fedglmm_flower.study.model import Model


def fit_table(
    model: Model,
    frame: pd.DataFrame,
    *,
    groups: Mapping[str, str],
    method: str,
    whole_counts: bool = True,
) -> FittedModel:
    """
    Fit a model to the complete rows of a table.

    Parameters
    ----------
    model : Model
        The question.
    frame : DataFrame
        All rows.
    groups : mapping
        Grouping columns of the formula, and the column of the table that each means.
    method : str
        Estimator.
    whole_counts : bool
        Require counts to be whole numbers.

    Raises
    ------
    DataError, FitError
        If the table does not agree with the model, or does not determine it.
    """
    labels: dict[str, pd.Categorical] = {}
    present = np.ones(len(frame), dtype=np.bool_)
    for name, column in groups.items():
        if column not in frame.columns:
            raise DataError(
                f"table: the grouping column {column!r} is missing; it is named in the "
                "formula; add the column or correct the formula"
            )
        labels[name] = as_labels(frame[column])
        present &= labels[name].codes >= 0
    complete = frame[present]
    columns = [model.columns[name] for name in model.used_columns]
    rows = atom_rows(model, typed_table(complete, columns), whole_counts=whole_counts)
    n = len(rows.response)
    if n == 0:
        raise DataError(
            "table: no complete row of positive weight; at least one is required; "
            f"check the used columns {', '.join(model.used_columns)}"
        )
    require_both_outcomes(model, rows, "table")
    kept: dict[str, Labels] = {
        name: column[present][rows.kept] for name, column in labels.items()
    }
    fitted = fit_rows(
        rows_of_table(model, rows, kept, n_rows=n),
        family=model.family,
        link=model.link,
        method=method,
    )
    if _fractional(model, rows):
        doubts = (*fitted.verdicts, Verdict.FRACTIONAL_RESPONSE)
        fitted = replace(fitted, verdicts=doubts)
    return replace(fitted, asked=Asked(model, dict(groups)))


def _fractional(model: Model, rows: AtomRows) -> bool:
    """Whether counts are no whole numbers, as pooled or weighted data may be."""
    if model.family not in ("binomial", "poisson", "nbinom2"):
        return False
    y, m = rows.response, rows.trials
    return bool((y != np.floor(y)).any() or (m != np.floor(m)).any())


def require_both_outcomes(model: Model, rows: AtomRows, where: str) -> None:
    """
    Refuse counts that leave nothing to explain in any row of a table.

    Parameters
    ----------
    model : Model
        The question.
    rows : AtomRows
        Complete rows.
    where : str
        Name of the table in messages.

    Raises
    ------
    DataError
        If no row has an event, or every trial is one.
    """
    if model.family not in ("binomial", "poisson", "nbinom2"):
        return
    found = None
    if not rows.response.any():
        found = "no complete row has an event"
    elif model.family == "binomial" and (rows.response == rows.trials).all():
        found = "every trial of every complete row is an event"
    if found is not None:
        raise DataError(
            f"{where}: response {model.response.name!r}: {found}; a response must "
            "vary; check its coding"
        )


def require_determined(model: Model, rows: AtomRows) -> None:
    """
    Refuse fixed effects that depend on each other in every row of a table.

    Parameters
    ----------
    model : Model
        The question.
    rows : AtomRows
        Complete rows.

    Raises
    ------
    FitError
        If they do; it names the column.
    """
    fixed = replace(model, random=())
    usable = usable_rows(rows_of_table(fixed, rows, {}, n_rows=len(rows.response)))
    basis = np.sqrt(usable.weights)[:, None] * usable.basis
    build_coordinates(usable.names, usable.coefficients, basis.T @ basis)
