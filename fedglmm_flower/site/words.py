"""What a statistic is, in words that an officer can check."""

from fedglmm_flower.study.model import Model
from fedglmm_flower.study.polynomial import Monomial
from fedglmm_flower.study.release import (
    ANCHORED,
    Statistic,
    anchor_columns,
    anchor_measures,
)
from fedglmm_flower.study.shapes import SHAPES

_MEASURES = {
    "rows": "",
    "trials": ", each row counted as often as its trials",
    "exposure": ", each row weighted by its exposure exp(offset)",
    "amount": ", each row weighted by its {response}{exposure}",
    "events": ", each row counted {response} times",
    "others": ", each row counted as often as it has trials without {response}",
}
_CURVES = {
    ("binomial", "logit"): ("log(1 + exp(eta))",),
    ("poisson", "log"): ("exp(eta)",),
    ("gamma", "log"): ("exp(-eta)",),
    ("binomial", "probit"): ("-log(Phi(-eta))", "-log(Phi(eta))"),
    ("binomial", "cloglog"): ("exp(eta)", "-log(1 - exp(-exp(eta)))"),
    ("nbinom2", "log"): ("log(1 + exp(eta) / theta)",) * 2,
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
    if statistic.role == "log_factorial":
        return f"minus sum of log({model.atoms[statistic.column].name}!){weighted}"
    if statistic.role == "shape":
        theta = f"{SHAPES[statistic.column]:.6g}"
        summed = f"log(gamma({response} + {theta}) / gamma({theta}))"
    elif statistic.role == "y":
        summed = response if function == "1" else f"{response} * {function}"
    elif statistic.role == "x":
        summed = f"{function}{_measure(model, statistic)}"
    else:
        summed = {
            "constant": "the response-only part of the log-likelihood",
            "yy": f"{response}^2",
            "y_offset": f"{response} * offset",
            "offset": "offset",
        }[statistic.role]
    return f"sum of {summed}{weighted}"


def _measure(model: Model, statistic: Statistic) -> str:
    exposure = "" if model.offset is None else " / exp(offset)"
    text = _MEASURES[statistic.measure]
    return text.format(response=model.response.name, exposure=exposure)


def _at_anchor(model: Model, statistic: Statistic, function: str) -> str:
    column = anchor_columns(model)[statistic.column].name
    curves = _CURVES[model.family, model.link]
    curve = curves[anchor_measures(model).index(statistic.measure)]
    tail = _measure(model, statistic)
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
