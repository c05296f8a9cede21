"""What a statistic is, in words that an officer can check."""

from fedglmm_flower.study.model import Model
from fedglmm_flower.study.polynomial import Monomial
from fedglmm_flower.study.release import ANCHORED, Statistic, anchor_columns

_MEASURES = {
    "rows": "",
    "trials": ", each row counted as often as its trials",
    "exposure": ", each row weighted by its exposure exp(offset)",
}


def describe(model: Model, statistic: Statistic) -> str:
    """
    One statistic in words.

    Parameters
    ----------
    model : Model
        The question.
    statistic : Statistic
        One of its sums.
    """
    weighted = " (times the prior weight)" if model.weights is not None else ""
    response = model.response.name
    if model.family == "gaussian":
        response = f"z({response})"
    function = _function(model, statistic.monomial)
    if statistic.role in ANCHORED:
        return _at_anchor(model, statistic, function) + weighted
    atom = model.atoms[statistic.column].name if model.atoms else ""
    single = {
        "constant": "sum of the response-only part of the log-likelihood",
        "log_factorial": f"minus sum of log({atom}!)",
        "yy": f"sum of {response}^2",
        "y_offset": f"sum of {response} * offset",
    }
    if statistic.role in single:
        return single[statistic.role] + weighted
    if statistic.role == "y":
        product = response if function == "1" else f"{response} * {function}"
        return f"sum of {product}{weighted}"
    return f"sum of {function}{_MEASURES[statistic.measure]}{weighted}"


def _at_anchor(model: Model, statistic: Statistic, function: str) -> str:
    column = anchor_columns(model)[statistic.column].name
    curve = "log(1 + exp(eta))" if model.family == "binomial" else "exp(eta)"
    tail = _MEASURES[statistic.measure]
    if statistic.role == "anchor":
        return f"own penalised estimate of {column}; eta below is its prediction"
    if statistic.role == "value":
        return f"sum of {curve}{tail}"
    if statistic.role == "score":
        return f"sum of first derivative of {curve} * {column}{tail}"
    if statistic.role == "information":
        return f"sum of second derivative of {curve} * {function}{tail}"
    return f"sum of third derivative of {curve} * {column} * variance of eta{tail}"


def _function(model: Model, monomial: Monomial) -> str:
    """A moment function; z(x) is (x - center) / scale of the study."""
    parts = []
    for atom, e in zip(model.atoms, monomial, strict=True):
        if not e:
            continue
        if atom.is_factor:
            parts.append(f"[{atom.name} = {atom.levels[e]}]")
        else:
            parts.append(f"z({atom.name})" + (f"^{e}" if e > 1 else ""))
    return " * ".join(parts) or "1"
