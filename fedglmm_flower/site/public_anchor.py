"""Sums at an anchor that the study gives: plain sums, nothing is fitted here."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fedglmm_flower.glmm.anchor import AnchorFrame
from fedglmm_flower.glmm.curves import curves_of
from fedglmm_flower.glmm.evaluate import AtomRows
from fedglmm_flower.glmm.expansion import Expansion
from fedglmm_flower.glmm.marginal_shape import NEUTRAL
from fedglmm_flower.site.dominance import Contributions
from fedglmm_flower.site.measures import measure_on_rows
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.release import Statistic
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
    at_anchor: Contributions = field(default_factory=Contributions)

    def __post_init__(self) -> None:
        self._frame = frame = AnchorFrame(self.model)
        spread = frame.intercept_spread
        curves = curves_of(self.model, NEUTRAL)
        self._parts = [Expansion(frame, self.anchor, spread, c) for c in curves]
        size = 1 + 2 * len(frame.columns) + len(frame.monomials)
        self._sums = {curve.measure: np.zeros(size) for curve in curves}

    @classmethod
    def of(cls, study: Study) -> "PublicSums | None":
        """Sums at the anchor of a study, if it gives one."""
        anchor = study.anchor_values
        return None if anchor is None else cls(study.model, np.array(anchor))

    def add(self, rows: AtomRows) -> None:
        """Add a batch."""
        for expansion in self._parts:
            name = expansion.curve.measure
            measure = measure_on_rows(rows, name)
            size = max(256, _CELLS // len(self._sums[name]))
            for start in range(0, len(measure), size):
                part = slice(start, start + size)
                values = rows.values[part]
                with np.errstate(over="ignore", invalid="ignore"):
                    self._sums[name] += expansion.values(values) @ measure[part]
                    shares = expansion.shares(values, measure[part])
                own = None if rows.units is None else rows.units[part]
                self.at_anchor.add(shares, own)

    def values(self, statistics: tuple[Statistic, ...]) -> dict[Statistic, float]:
        """The sums, by statistic; none where one overflows."""
        frame = self._frame
        p, k = len(frame.columns), len(frame.monomials)
        if not all(np.isfinite(sums).all() for sums in self._sums.values()):
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
            found[s] = float(self._sums[s.measure][at])
        return found


def is_public(statistics: tuple[Statistic, ...]) -> bool:
    """Whether sums at a public anchor are among the statistics."""
    roles = {s.role for s in statistics}
    return "value" in roles and "anchor" not in roles
