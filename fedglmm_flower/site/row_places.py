"""Where the rows of a cluster stand, and what they are, while they are read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from fedglmm_flower.glmm.evaluate import AtomRows
from fedglmm_flower.site.binary_response import response_is_event
from fedglmm_flower.site.column_marks import Marker, Marks, marked_columns
from fedglmm_flower.study.model import Model

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]


@dataclass
class RowPlaces:
    """
    Places, levels and marks of the rows of a cluster; does not leave the site.

    Parameters
    ----------
    model : Model
        The question.
    marker : Marker
        Of the site.
    places : list of arrays
        Of each batch, places in the table.
    codes : list of arrays of shape (rows, factors)
        Levels of the model's factors; then whether there was an event, where the
        response is one.
    marks : list of mappings
        Of each column that is summed.
    """

    model: Model
    marker: Marker
    places: list[IntArray] = field(default_factory=list)
    codes: list[Codes] = field(default_factory=list)
    marks: list[dict[str, Marks]] = field(default_factory=list)
    owners: list[IntArray] = field(default_factory=list)

    @classmethod
    def of(cls, model: Model, key: bytes = b"") -> Self:
        """None yet."""
        return cls(model, Marker.of(key))

    def add(
        self, places: IntArray, columns: Mapping[str, FloatArray], rows: AtomRows
    ) -> None:
        """Add rows of a batch: where they stand, their columns, and in the model."""
        codes = rows.values[:, list(self.model.factors)]
        if response_is_event(self.model):
            codes = np.column_stack([codes, rows.response])
        self.places.append(places)
        self.codes.append(codes.astype(np.int32))
        marked = marked_columns(self.model, columns, rows)
        self.marks.append({c: self.marker.marks(marked[c]) for c in marked})
        if rows.units is not None:
            self.owners = [np.unique(np.concatenate([*self.owners, rows.units]))]

    def units(self) -> int | None:
        """Distinct units of the rows so far; None where every row is one."""
        return len(self.owners[0]) if self.owners else None
