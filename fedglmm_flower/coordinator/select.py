"""Variable selection by AIC from one release."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from fedglmm_flower.coordinator.compare import Compared, fit_one
from fedglmm_flower.coordinator.reopened import Reopened
from fedglmm_flower.coordinator.submodel import submodel
from fedglmm_flower.errors import FitError
from fedglmm_flower.glmm.refit import contains, terms_of
from fedglmm_flower.study.formula import Formula, parse_formula

Direction = Literal["forward", "backward"]


@dataclass(frozen=True)
class Step:
    """
    One step of a selection.

    Parameters
    ----------
    change : str
        ``+ x``, ``- x``, or nothing at the start.
    model : Compared
        The model after it.
    tried : int
        Models that were fitted for it.
    """

    change: str
    model: Compared
    tried: int


def select(
    again: Reopened,
    formula: str | None = None,
    direction: Direction = "backward",
    tell: Callable[[str], None] | None = None,
) -> list[Step]:
    """
    Add or drop one fixed term at a time as long as AIC falls.

    A term that is part of an interaction stays as long as that does, and an interaction
    comes only after its parts (the principle of marginality).  Random parts and offset
    stay as they are.

    Parameters
    ----------
    again : Reopened
        The releases.
    formula : str, optional
        The largest model; the released one when left out.
    direction : {"forward", "backward"}
        From no term, or from all.
    tell : callable, optional
        Called with each formula before it is fitted.

    Returns
    -------
    list of Step
        From the start to the model of least AIC.

    Notes
    -----
    Intervals and p values of a model that was selected on the same data are too good.
    """
    scope = parse_formula(again.released.formula if formula is None else formula)
    names = tuple(c.name for c in submodel(again.released, scope.text).model.fixed)
    terms = list(terms_of(names))

    def attempt(kept: list[str]) -> Compared | None:
        text = written(scope, kept, constant="Intercept" in names)
        if tell is not None:
            tell(text)
        try:
            return fit_one(again, text, judged=False)
        except FitError:
            return None

    kept = [] if direction == "forward" else terms
    now = attempt(kept)
    if now is None:
        raise FitError(
            f"select: {written(scope, kept, constant='Intercept' in names)!r}: the "
            "model to start from cannot be fitted; another start is required; choose "
            "the other direction or a smaller formula"
        )
    steps = [Step("", now, 1)]
    while True:
        moves = _moves(kept, terms, direction)
        tried = [(change, after, attempt(after)) for change, after in moves]
        usable = [
            (one.fitted.aic, change, after, one)
            for change, after, one in tried
            if one is not None and one.fitted.converged
        ]
        if not usable:
            return steps
        aic, change, after, one = min(usable, key=lambda item: item[:2])
        if aic >= now.fitted.aic:
            return steps
        now, kept = one, after
        steps.append(Step(change, one, len(moves)))


def _moves(
    kept: list[str], terms: list[str], direction: Direction
) -> list[tuple[str, list[str]]]:
    if direction == "backward":
        return [
            (f"- {term}", [t for t in kept if t != term])
            for term in kept
            if not any(contains(other, term) for other in kept)
        ]
    return [
        (f"+ {term}", [t for t in terms if t in kept or t == term])
        for term in terms
        if term not in kept
        and all(part in kept for part in terms if contains(term, part))
    ]


def written(scope: Formula, terms: list[str], *, constant: bool) -> str:
    """
    A formula with some of the fixed terms of another.

    Examples
    --------
    >>> scope = parse_formula("y ~ a + b + offset(log(e)) + (1 + a || s)")
    >>> written(scope, ["b"], constant=True)
    'y ~ 1 + b + offset(log(e)) + (1 + a || s)'
    """
    parts = ["1" if constant else "0", *terms]
    parts += [] if scope.offset is None else [f"offset({scope.offset.text})"]
    for random in scope.random:
        bar = "|" if random.correlated else "||"
        parts.append(f"({random.terms} {bar} {random.name})")
    return f"{scope.text.partition('~')[0].strip()} ~ {' + '.join(parts)}"
