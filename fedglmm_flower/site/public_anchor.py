"""Sums at an anchor that the study gives: plain sums, nothing is fitted here."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fedglmm_flower.glmm.anchor import AnchorFrame
from fedglmm_flower.glmm.cumulant import cumulant
from fedglmm_flower.glmm.evaluate import AtomRows, evaluate_monomials
from fedglmm_flower.glmm.expansion import Expansion
from fedglmm_flower.site.anchoring import measure_on_rows
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.release import PUBLIC, Statistic, measure_of
from fedglmm_flower.study.study import Study

FloatArray = npt.NDArray[np.float64]
_CELLS = 262_144


@dataclass(frozen=True)
class Effective:
    """Sum of the weights of rows, and of their squares."""

    total: float = 0.0
    squares: float = 0.0

    @property
    def rows(self) -> float:
        """How many equal weights are spread as widely (Kish 1965)."""
        return self.total**2 / self.squares if self.squares > 0 else 0.0

    def plus(self, weights: FloatArray) -> "Effective":
        """With more rows."""
        with np.errstate(over="ignore", under="ignore"):
            squares = float(weights @ weights)
        return Effective(self.total + float(weights.sum()), self.squares + squares)


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
    Its sums leave the site, if the gate lets them out; ``effective`` does not.
    """

    model: Model
    anchor: FloatArray
    effective: dict[str, Effective] = field(default_factory=dict)

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
                for name, weights in self._weights(values).items():
                    known = self.effective.get(name, Effective())
                    self.effective[name] = known.plus(weights * measure[part])

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

    def _weights(self, values: FloatArray) -> dict[str, FloatArray]:
        """
        How much each row counts in each function, and in what is left of the whole.

        A steep anchor makes each of them a window on a few patients: the second
        derivative where the anchor predicts a half, the others on either side of it.
        """
        frame, h = self._expansion.frame, cumulant(self.model.family)
        f = evaluate_monomials(values, frame.monomials, self.model.factors)
        eta = self.anchor @ (frame.columns @ f) + frame.offset @ f
        if self.model.family != "binomial":
            return {"value": h(eta, 0)}
        return {
            "value": h(eta, 0),
            "value of the others": h(-eta, 0),
            "score": h(eta, 1),
            "score of the others": h(-eta, 1),
            "information": h(eta, 2),
        }


def is_public(statistics: tuple[Statistic, ...]) -> bool:
    """Whether sums at a public anchor are among the statistics."""
    return any(s.role == PUBLIC for s in statistics)
