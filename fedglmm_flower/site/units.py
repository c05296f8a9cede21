"""Whose each row is: the column that names patients, which never leaves the site."""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedglmm_flower.errors import StudyMismatchError
from fedglmm_flower.glmm.evaluate import AtomRows
from fedglmm_flower.site.records import label_of
from fedglmm_flower.study.study import Study

IntArray = npt.NDArray[np.int64]


@dataclass
class UnitCodes:
    """
    Numbers of units in the order of their first rows, over batches and passes.

    Does not leave the site.  Holds every label once.
    """

    known: dict[str, int] = field(default_factory=dict)

    def of(self, series: pd.Series) -> IntArray:
        """
        Number of the unit of each row; -1 for a row that names none.

        Examples
        --------
        >>> UnitCodes().of(pd.Series(["p2", "p1", None, "p2"])).tolist()
        [0, 1, -1, 0]
        """
        if isinstance(series.dtype, pd.CategoricalDtype):
            series = series.astype(object)
        codes, cells = pd.factorize(series)
        labels = [label_of(cell) or None for cell in cells]
        numbers = [
            -1 if label is None else self.known.setdefault(label, len(self.known))
            for label in labels
        ]
        # A missing cell has the code -1, the last of these.
        return np.array([*numbers, -1], dtype=np.int64)[codes]


def distinct(units: IntArray) -> int:
    """
    How many units there are; all rows without one count as one.

    Examples
    --------
    >>> distinct(np.array([4, 4, -1, -1]))
    2
    """
    return len(np.unique(units))


def with_units(rows: AtomRows, codes: IntArray) -> AtomRows:
    """The rows that name a unit, each with it; another one is an incomplete row."""
    own = codes[rows.kept]
    named = own >= 0
    found = replace(rows.select(named), units=own[named])
    kept = rows.kept & (codes >= 0)
    n_missing = rows.n_missing + int((~named).sum())
    return replace(found, kept=kept, n_missing=n_missing)


def require_unit_unused(study: Study, unit: str | None) -> None:
    """
    Refuse a study that reads the column that names units.

    Raises
    ------
    StudyMismatchError
        If it is a column of the model, or names clusters.
    """
    if unit is None:
        return
    if unit in study.clusters:
        raise StudyMismatchError(
            f"study {study.name!r}: asks for effects of each {unit!r}, the unit that "
            "is protected; effects of groups of units are required; leave that term "
            "out of the study"
        )
    if unit in study.moment_model.used_columns:
        raise StudyMismatchError(
            f"study {study.name!r}: reads the column {unit!r}, which names the unit "
            "that is protected; a study without it is required; leave it out"
        )
