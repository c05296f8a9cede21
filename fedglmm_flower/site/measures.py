"""What weighs rows besides themselves: weights, trials, exposure and amounts."""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from fedglmm_flower.glmm.evaluate import AtomRows, evaluate_expression
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.release import measure_of

FloatArray = npt.NDArray[np.float64]


def measure_on_rows(rows: AtomRows, kind: str) -> FloatArray:
    """Weight of each row in the sums of a measure."""
    with np.errstate(over="ignore"):  # refused where sums overflow
        if kind == "trials":
            return rows.weights * rows.trials
        if kind == "exposure":
            return np.asarray(rows.weights * np.exp(rows.offset))
        if kind == "amount":
            return np.asarray(rows.weights * rows.response * np.exp(-rows.offset))
        if kind == "events":
            return rows.weights * rows.response
        if kind == "others":
            return rows.weights * (rows.trials - rows.response)
    return rows.weights


def unequal_measures(model: Model, rows: AtomRows) -> dict[str, FloatArray]:
    """Measures under which rows need not count alike."""
    found = {}
    if rows.units is not None:
        found["rows"] = np.ones(len(rows.response))
    if model.weights is not None:
        found["weights"] = rows.weights
    kind = measure_of(model)
    if kind != "rows":
        found[kind] = measure_on_rows(rows, kind)
    return found


def levels_on_rows(
    model: Model, rows: AtomRows
) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Each level of each factor, in words, and which rows have it."""
    for at, atom in enumerate(model.atoms):
        if atom.is_factor:
            for code, level in enumerate(atom.levels):
                yield f"[{atom.name} = {level}]", rows.values[:, at] == code


def response_totals(model: Model, rows: AtomRows) -> dict[str, FloatArray]:
    """Counts of events whose totals could be those of one record."""
    counted = model.family in ("poisson", "nbinom2") or model.trials is not None
    if counted or (rows.units is not None and model.family == "binomial"):
        return {"events": rows.response}
    return {}


def measured_columns(
    model: Model,
    measures: Mapping[str, FloatArray],
    columns: Mapping[str, FloatArray],
) -> Iterator[tuple[str, FloatArray]]:
    """Products of measures with columns at their raw scale."""
    for name, measure in measures.items():
        if name == "rows":
            continue  # that is the column itself
        for atom in model.atoms:
            if atom.expression is not None and not atom.is_factor:
                raw = evaluate_expression(atom.expression, columns)
                yield f"{name} x {atom.name}", measure * raw
