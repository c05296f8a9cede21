"""Sums at an anchor that the study gives: plain sums, nothing is fitted here."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fedglmm_flower.glmm.anchor import AnchorFrame
from fedglmm_flower.glmm.evaluate import AtomRows
from fedglmm_flower.glmm.expansion import Expansion
from fedglmm_flower.site.dominance import Dominance, update_dominance
from fedglmm_flower.site.measures import measure_on_rows
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.release import PUBLIC, Statistic, measure_of
from fedglmm_flower.study.study import Study

FloatArray = npt.NDArray[np.float64]
_CELLS = 262_144


@dataclass
class PublicSums:
    """
    Value, score, information and bend at a public anchor, over batches.

    Parameters
    ----------
    model : Model
        The question.
    anchor : array of shape (p,)
        Coefficients of the study's columns.

    Notes
    -----
    Its sums leave the site, if the gate lets them out; ``at_anchor`` does not.
    """

    model: Model
    anchor: FloatArray
    at_anchor: dict[str, Dominance] = field(default_factory=dict)

    def __post_init__(self) -> None:
        frame = AnchorFrame(self.model)
        self._expansion = Expansion(frame, self.anchor, frame.intercept_spread)
        self._sums = np.zeros(1 + 2 * len(frame.columns) + len(frame.monomials))

    @classmethod
    def of(cls, study: Study) -> "PublicSums | None":
        """Sums at the anchor of a study, if it gives one."""
        anchor = study.anchor_values
        return None if anchor is None else cls(study.model, np.array(anchor))

    def add(self, rows: AtomRows) -> None:
        """Add a batch."""
        measure = measure_on_rows(rows, measure_of(self.model))
        size = max(256, _CELLS // len(self._sums))
        for start in range(0, len(measure), size):
            part = slice(start, start + size)
            values = rows.values[part]
            with np.errstate(over="ignore", invalid="ignore"):
                self._sums += self._expansion.values(values) @ measure[part]
                weights = self._expansion.weights(values)
            update_dominance(
                self.at_anchor, {k: w * measure[part] for k, w in weights.items()}
            )

    def values(self, statistics: tuple[Statistic, ...]) -> dict[Statistic, float]:
        """The sums, by statistic; none where one overflows."""
        frame = self._expansion.frame
        p, k = len(frame.columns), len(frame.monomials)
        if not np.isfinite(self._sums).all():
            return {}
        found = {}
        for s in statistics:
            if s.role == "value":
                at = 0
            elif s.role == "score":
                at = 1 + s.column
            elif s.role == "information":
                at = 1 + p + frame.monomials.index(s.monomial)
            elif s.role == "bend":
                at = 1 + p + k + s.column
            else:
                continue
            found[s] = float(self._sums[at])
        return found


def is_public(statistics: tuple[Statistic, ...]) -> bool:
    """Whether sums at a public anchor are among the statistics."""
    return any(s.role == PUBLIC for s in statistics)
