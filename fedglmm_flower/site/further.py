"""How much a site tells in further rounds, before it is asked."""

from dataclasses import dataclass
from math import floor, inf

from fedglmm_flower.glmm.frame import Frame
from fedglmm_flower.site.policy import Policy
from fedglmm_flower.site.scored import numbers_of
from fedglmm_flower.study.study import Study


@dataclass(frozen=True)
class Further:
    """
    What a study may ask of a site after the one round; does not leave the site.

    Parameters
    ----------
    rounds : int
        Points at which it may ask for a likelihood.
    numbers : int
        Told at each.
    allowed : int
        Points that this site answers, with the one round before them.
    answered : int
        Points that were asked already.
    """

    rounds: int
    numbers: int
    allowed: int
    answered: int


def numbers_allowed(study: Study, units: int, policy: Policy) -> float:
    """
    Numbers that a site tells of its rows in all rounds of all studies together.

    Each is an equation in the values of the rows.  The other rules see one answer; of
    many answers, at points that somebody else has chosen, there could be as many
    equations as values, and these be solved for.

    Parameters
    ----------
    study : Study
        The question.
    units : int
        Rows of the site, or its units.
    policy : Policy
        The officer's thresholds.
    """
    if not policy.enabled:
        return inf
    return floor(units * len(study.model.used_columns) / policy.values_per_number)


def further(
    study: Study, units: int, policy: Policy, told: int, answered: int
) -> Further | None:
    """
    What is told after a one round of so many numbers; None if nothing is asked.

    Parameters
    ----------
    study : Study
        The question.
    units : int
        Rows of the site, or its units.
    policy : Policy
        The officer's thresholds.
    told : int
        Numbers of the one round, and of other studies.
    answered : int
        Points that were asked already.
    """
    if not study.rounds:
        return None
    numbers = numbers_of(Frame.of(study.model).size)
    left = (numbers_allowed(study, units, policy) - told) / numbers
    allowed = study.rounds if left == inf else max(0, min(study.rounds, floor(left)))
    return Further(study.rounds, numbers, allowed, answered)
