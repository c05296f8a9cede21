"""Declared columns of a study: kind, levels, bounds, centre and scale."""

import math
from dataclasses import dataclass
from typing import Literal

from fedglmm_flower.errors import StudyError

ColumnKind = Literal["continuous", "binary", "categorical"]

MAX_LEVELS = 1000


@dataclass(frozen=True)
class Column:
    """
    One column that the sites' tables must hold.

    Parameters
    ----------
    name : str
        Name in the table.
    kind : {"continuous", "binary", "categorical"}
        ``binary`` is a numeric column of zeros and ones: it enters the model as a
        number, and its counts are protected as those of a factor.
    levels : tuple of str
        Levels of a categorical column, the first is the reference; else empty.
    unit : str
        Unit of measurement, for people.
    low, high : float or None
        Public bounds; a value outside them is an error.
    center, scale : float
        Public constants; moments are sums of powers of ``(x - center) / scale``.
    """

    name: str
    kind: ColumnKind
    levels: tuple[str, ...] = ()
    unit: str = ""
    low: float | None = None
    high: float | None = None
    center: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.kind == "binary":
            # One spelling, so that a study has one digest however it was made.
            object.__setattr__(self, "low", 0.0)
            object.__setattr__(self, "high", 1.0)
            object.__setattr__(self, "center", 0.0)
            object.__setattr__(self, "scale", 1.0)
        where = f"column {self.name!r}"
        if self.kind == "categorical":
            _check_levels(self.levels, where)
        elif self.levels:
            raise StudyError(
                f"{where}: levels declared for a {self.kind} column; only a "
                "categorical column has levels; change its kind or drop them"
            )
        _check_numbers(self, where)


def _check_levels(levels: tuple[str, ...], where: str) -> None:
    if len(levels) < 2:
        raise StudyError(
            f"{where}: {len(levels)} level declared; a categorical column needs at "
            "least two; declare its levels or leave it out"
        )
    if len(set(levels)) != len(levels):
        raise StudyError(
            f"{where}: a level is declared twice; levels must differ; remove the "
            "repetition"
        )
    if len(levels) > MAX_LEVELS:
        raise StudyError(
            f"{where}: {len(levels)} levels; at most {MAX_LEVELS} are accepted; group "
            "them, or declare the column continuous"
        )


def _check_numbers(column: Column, where: str) -> None:
    low, high, scale = column.low, column.high, column.scale
    for value in (low, high, column.center, scale):
        if value is not None and not math.isfinite(value):
            raise StudyError(
                f"{where}: bounds, center and scale hold {value!r}; finite numbers are "
                "required; leave an open bound out"
            )
    if not scale > 0:
        raise StudyError(
            f"{where}: scale {scale!r}; a scale must be positive; use about the "
            "standard deviation of the column"
        )
    if low is not None and high is not None and not low < high:
        raise StudyError(
            f"{where}: bounds [{low!r}, {high!r}]; the lower bound must be below the "
            "upper one; exchange or widen them"
        )
