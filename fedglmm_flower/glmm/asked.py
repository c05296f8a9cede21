"""What a fitted model was asked: the question, and where its groups stand."""

from collections.abc import Mapping
from dataclasses import dataclass

from fedglmm_flower.study.model import Model


@dataclass(frozen=True)
class Asked:
    """
    The question behind a fit, by which new tables are read.

    Attributes
    ----------
    model : Model
        Formula, columns with their levels, and atoms.
    groups : mapping
        Grouping columns of the formula, and the column of a table that each means.
    """

    model: Model
    groups: Mapping[str, str]
