"""How far a record is shortened: by what it could be, whatever its response.

A record that is shortened because of its response makes clipped sums those of another
question: where an outcome is rare, most records with it are long and few without.
Shortened by the longest that it could be, a record is one of a weighted table, with
weights that follow from its columns alone; where the model holds, estimates are not
moved by such weights.

At an anchor, what holds the response and what does not are shortened each by itself, so
that an unusual record keeps its residual where only its squares are long.  Without one,
moments of the columns must be those of the records whose responses are summed: one
factor shortens both.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fedglmm_flower.glmm.evaluate import AtomRows
from fedglmm_flower.site.features import Features
from fedglmm_flower.site.fixed_point import FloatArray

RESPONSES = (0.0, 1.0)


@dataclass(frozen=True)
class Clipping:
    """
    How far the two parts of a record may reach; public.

    Parameters
    ----------
    features : Features
        What is summed.
    weights : array of shape (coordinates,)
        Public weights.
    response : array of bool, shape (coordinates,)
        Which coordinates hold the response.
    reach : (float, float) or None
        Longest part with the response and without it: their squares add up to that
        of the clipping norm.  None where a response has more than two values: then a
        record is shortened as it is.
    """

    features: Features
    weights: FloatArray
    response: npt.NDArray[np.bool_]
    reach: tuple[float, float] | None

    def terms(self, rows: AtomRows, counted: FloatArray) -> FloatArray:
        """
        Weighted terms of records, shortened.

        Law: the column of a record depends on that record alone, to the last bit, and
        what it is scaled by does not depend on its response.

        Parameters
        ----------
        rows : AtomRows
            The records.
        counted : array of shape (n,)
            1 for a row that counts, else 0.

        Returns
        -------
        array of shape (coordinates, n)
            About as long as the norm at most, which
            :func:`~fedglmm_flower.site.fixed_point.guarded` makes exact.
        """
        with np.errstate(all="ignore"):
            terms = self._weighted(rows, counted)
            if self.reach is None:
                return terms
            longest = self.longest(rows, counted)
            # A term that is no number leaves the record to the guard.
            if self.features.anchor is None:
                most, length = (
                    np.sqrt(a * a + b * b) for a, b in (self.reach, longest)
                )
                return np.asarray(terms * np.where(length > most, most / length, 1.0))
            both = (self.response, ~self.response)
            for part, length, reach in zip(both, longest, self.reach, strict=True):
                terms[part] *= np.where(length > reach, reach / length, 1.0)
            return terms

    def longest(
        self, rows: AtomRows, counted: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Lengths of the parts with and without the response, the longest of it."""
        found = []
        for response in RESPONSES:
            other = replace(rows, response=np.full(len(counted), response))
            found.append(self._weighted(other, counted))
        none, one = (_lengths(terms[self.response]) for terms in found)
        return np.maximum(none, one), _lengths(found[0][~self.response])

    def _weighted(self, rows: AtomRows, counted: FloatArray) -> FloatArray:
        return np.asarray(self.weights[:, None] * self.features.on_rows(rows, counted))


def holds_response(features: Features) -> npt.NDArray[np.bool_]:
    """Which coordinates hold the response; the count, which is last, does not."""
    roles = [s.role for s in features.statistics]
    return np.array([*(role in ("y", "y_offset", "yy") for role in roles), False])


def has_two_responses(features: Features) -> bool:
    """Whether a record has 0 or 1 for a response, so that both can be looked at."""
    return features.model.family == "binomial" and features.model.trials is None


def _lengths(terms: FloatArray) -> FloatArray:
    """Length of each record, added up coordinate by coordinate in one order."""
    total = np.zeros(terms.shape[1])
    for coordinate in terms:
        total += coordinate * coordinate
    return np.asarray(np.sqrt(total))
