"""Whether a public anchor can be one: what it predicts over the declared bounds."""

import math
from collections.abc import Mapping, Sequence

from fedglmm_flower.errors import StudyError
from fedglmm_flower.study.model import Model, ModelColumn

# Linear predictors beyond which no data are: odds of 1e13, rates of 1e21.
_MOST = {"binomial": 30.0}
_MOST_ELSEWHERE = 50.0
# Where a column has no bounds, this many of its declared scales.
_SCALES = 4.0


def require_reasonable(
    model: Model, columns: Sequence[ModelColumn], anchor: Sequence[float]
) -> None:
    """
    Refuse an anchor that is no estimate of anything.

    One atom at a time goes from bound to bound, or over the levels of a factor, with
    the others in the middle of theirs: two columns at their extremes at once may be no
    patient at all.

    Parameters
    ----------
    model : Model
        The question.
    columns : sequence of ModelColumn
        The anchor's columns.
    anchor : sequence of float
        Their coefficients, on the raw scale.

    Raises
    ------
    StudyError
        It names the coefficient or the column, and the predictor that follows.
    """
    for column, value in zip(columns, anchor, strict=True):
        if not math.isfinite(value):
            raise StudyError(
                f"study: the public anchor is {value} for {column.name!r}; a finite "
                "coefficient for every column is required; correct it"
            )
    places = [_places(model, at) for at in range(len(model.atoms))]
    middle = [place[0] for place in places]
    most = _MOST.get(model.family, _MOST_ELSEWHERE)
    for at, atom in enumerate(model.atoms):
        for value in places[at]:
            point = [*middle[:at], value, *middle[at + 1 :]]
            eta = sum(
                b * _value(column.polynomial, point, model.factors)
                for b, column in zip(anchor, columns, strict=True)
            )
            if not abs(eta) <= most:
                raise StudyError(
                    f"study: the public anchor predicts {eta:.3g} on the {model.link} "
                    f"scale within the declared range of {atom.name!r}; at most "
                    f"{most:g} either way is required, for it to be an estimate on "
                    "the raw scale of the columns; correct its coefficients, or the "
                    "bounds of the column"
                )


def _places(model: Model, at: int) -> list[float]:
    """Scaled values of an atom, the middle first, or codes of its levels."""
    atom = model.atoms[at]
    if atom.is_factor:
        return [float(k) for k in range(len(atom.levels))]
    column = model.columns.get(atom.name)
    low = None if column is None else column.low
    high = None if column is None else column.high
    if low is None or high is None:
        return [0.0, -_SCALES, _SCALES]
    ends = [(low + high) / 2, low, high]
    return [(x - atom.center) / atom.scale for x in ends]


def _value(
    polynomial: Mapping[tuple[int, ...], float],
    point: Sequence[float],
    factors: Sequence[bool],
) -> float:
    total = 0.0
    for monomial, coefficient in polynomial.items():
        term = coefficient
        for e, x, is_factor in zip(monomial, point, factors, strict=True):
            if e:
                term *= float(x == e) if is_factor else x**e
        total += term
    return total
