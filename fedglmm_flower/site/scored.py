"""What is asked of a site after the one round, and what it says."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from fedglmm_flower.site.released import Spent

# Which of a site's rows: all of them, those that a penalty is judged on, or the others.
Part: TypeAlias = Literal["all", "kept", "held-out"]
PARTS: Final[tuple[Part, ...]] = ("all", "kept", "held-out")


@dataclass(frozen=True)
class Point:
    """
    Parameters at which the coordinator asks for a site's likelihood.

    Leaves the coordinator, sealed to the site: it holds estimates.

    Parameters
    ----------
    number : int
        Which question of the run this is, from 1.
    nodes : int
        Of the quadrature for each random effect; 1 is Laplace.
    values : tuple of float
        (gamma, theta, psi) in the frame of the study, see
        :class:`~fedglmm_flower.glmm.frame.Frame`.
    part : {"all", "kept", "held-out"}
        Of which rows; of held-out ones the log-likelihood alone is told.
    """

    number: int
    nodes: int
    values: tuple[float, ...]
    part: Part = "all"


@dataclass(frozen=True)
class ReleasedScore:
    """
    A site's marginal log-likelihood at a point: all that leaves it in a further round.

    Leaves the site: each field does, sealed to the coordinator's key.

    Parameters
    ----------
    site : str
        Name of the site.
    study_digest : str
        SHA-256 of the study's canonical bytes, 64 lower-case hex digits.
    point : Point
        What was asked.
    n_rows : int
        Complete rows that are summed.
    value : float
        Log-likelihood with all constants.
    gradient : tuple of float
        Of d parameters; empty for held-out rows.
    information : tuple of float
        Lower triangle of minus the Hessian, row by row: d (d + 1) / 2 numbers; empty
        for held-out rows.
    spent : Spent
        The mechanism and its privacy loss.
    software : str
        Name and version of the software.
    """

    site: str
    study_digest: str
    point: Point
    n_rows: int
    value: float
    gradient: tuple[float, ...]
    information: tuple[float, ...]
    spent: Spent
    software: str


def numbers_of(parameters: int) -> int:
    """
    Numbers of a score beside the count of rows.

    Examples
    --------
    >>> numbers_of(3)
    10
    """
    return 1 + parameters + parameters * (parameters + 1) // 2
