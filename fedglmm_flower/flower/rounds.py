"""How many rounds are asked for, and of which kind."""

import re
from dataclasses import dataclass

from fedglmm_flower.coordinator.penalty import PATH, Choice
from fedglmm_flower.errors import StudyError, UsageError
from fedglmm_flower.study import Study

MOST_STEPS = 20
MOST_ITERATIONS = 40
MOST_VALUES = 50


@dataclass(frozen=True)
class Rounds:
    """
    What follows the one round.

    Parameters
    ----------
    steps : int
        Newton steps at most; 0 for one round alone.
    fresh : bool
        Start from the model without random effects instead of the one-round estimate.
    choice : Choice or None
        Penalty of the iterative fit; None for none.
    """

    steps: int = 0
    fresh: bool = False
    choice: Choice | None = None

    @property
    def text(self) -> str:
        """
        What :func:`parse_rounds` reads as this.

        Examples
        --------
        >>> parse_rounds("iterative:bic:0,2.5").text
        'iterative:bic:0,2.5'
        """
        if not self.steps:
            return "1"
        if not self.fresh:
            return f"refine:{self.steps}"
        if self.choice is None:
            return "iterative"
        values = ",".join(f"{value:g}" for value in self.choice.path)
        return f"iterative:{self.choice.by}:{values}"

    @property
    def points(self) -> int:
        """Points at which a site may be asked."""
        if not self.steps:
            return 0
        return self.steps + 1 if self.choice is None else self.choice.points(self.steps)


ONE_ROUND = Rounds()


def parse_rounds(text: str) -> Rounds:
    """
    What ``--rounds`` asks for.

    Raises
    ------
    UsageError
        If the text is none of ``1``, ``refine:R``, ``iterative``,
        ``iterative:aic[:PATH]``, ``iterative:bic[:PATH]`` and ``iterative:l2:VALUE``.

    Examples
    --------
    >>> parse_rounds("refine:3").steps
    3
    """
    if text == "1":
        return ONE_ROUND
    if text == "iterative":
        return Rounds(MOST_ITERATIONS, fresh=True)
    penalised = re.fullmatch(r"iterative:(aic|bic|l2)(?::([0-9.,]+))?", text)
    if penalised:
        choice = _choice(text, *penalised.groups())
        return Rounds(MOST_ITERATIONS, fresh=True, choice=choice)
    found = re.fullmatch(r"refine:([0-9]{1,3})", text)
    steps = int(found[1]) if found else 0
    if not 1 <= steps <= MOST_STEPS:
        raise UsageError(
            f"rounds: {text!r} was found; 1, iterative, iterative:aic, iterative:bic, "
            f"iterative:l2:VALUE, or refine:R with R from 1 to {MOST_STEPS}, is "
            "required; two or three steps are plenty"
        )
    return Rounds(steps)


def _choice(text: str, by: str, values: str | None) -> Choice:
    try:
        path = PATH if values is None else tuple(map(float, values.split(",")))
    except ValueError:
        path = ()
    most = 1 if by == "l2" else MOST_VALUES
    if not 0 < len(path) <= most or sorted(set(path)) != list(path):
        raise UsageError(
            f"rounds: {text!r} was found; 'iterative:l2:' with one penalty, or "
            "'iterative:aic:' or 'iterative:bic:' with 1 to "
            f"{MOST_VALUES} of them in rising order, is required; for example "
            "iterative:bic:0,0.5,1,2"
        )
    return Choice("aic" if by == "aic" else "bic" if by == "bic" else "l2", path)


def require_rounds(study: Study, rounds: Rounds) -> None:
    """
    Refuse more rounds than the sites have approved.

    Raises
    ------
    StudyError
        If the study allows fewer, or no part of the rows to be held out.
    """
    if not rounds.steps or study.family == "gaussian":
        return
    if study.rounds < rounds.points:
        raise StudyError(
            f"study {study.name!r}: allows {study.rounds} rounds after the first; "
            f"{rounds.text} asks at up to {rounds.points} points; write rounds = "
            f"{rounds.points} in the study, which every site then approves, or ask "
            "for fewer steps"
        )
    if rounds.choice is not None and rounds.choice.splits and not study.held_out:
        raise StudyError(
            f"study {study.name!r}: holds out no rows; a penalty that is chosen needs "
            "some; write held_out = 0.3 in the study, which every site then approves, "
            "or give the penalty with iterative:l2:VALUE"
        )
