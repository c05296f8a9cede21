"""A site's anchored sums: its own estimate, and the likelihood around it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fedglmm_flower.glmm.anchor import AnchorFrame
from fedglmm_flower.glmm.curves import curves_of
from fedglmm_flower.glmm.evaluate import AtomRows, evaluate_monomials
from fedglmm_flower.glmm.expansion import Expansion
from fedglmm_flower.glmm.penalised import penalised_estimate
from fedglmm_flower.site.dominance import Contributions
from fedglmm_flower.site.measures import measure_on_rows
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.polynomial import Monomial
from fedglmm_flower.study.release import ANCHORED, Statistic

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
_CELLS = 8_000_000


def anchored_sums(
    model: Model,
    statistics: tuple[Statistic, ...],
    batches: Callable[[], Iterable[AtomRows]],
    responses: Mapping[Monomial, float],
    mass: float,
    dominance: Contributions,
    *,
    shape: float = 1.0,
) -> dict[Statistic, float]:
    """
    Values of the statistics at the site's own anchor.

    Parameters
    ----------
    model : Model
        The question.
    statistics : tuple of Statistic
        Those of the anchored set; the others are left out.
    batches : callable
        Gives all complete rows, anew at each call.
    responses : mapping
        See :func:`~fedglmm_flower.study.release.linear_sums`.
    mass : float
        Sum of the measure.
    dominance : Contributions
        Receives the shares of the largest rows in value, information and bend.
    shape : float
        theta of a negative binomial study.

    Raises
    ------
    FitError
        If the estimate does not converge.
    """
    frame = AnchorFrame(model)
    curves = curves_of(model, shape)
    k, p = len(frame.monomials), len(frame.columns)

    def parts() -> Iterator[tuple[FloatArray, list[FloatArray], IntArray | None]]:
        size = max(256, _CELLS // k)
        for rows in batches():
            measures = [measure_on_rows(rows, curve.measure) for curve in curves]
            for start in range(0, len(rows.response), size):
                part = slice(start, start + size)
                own = None if rows.units is None else rows.units[part]
                yield rows.values[part], [measure[part] for measure in measures], own

    def passes() -> Iterator[tuple[FloatArray, list[FloatArray]]]:
        for atoms, measures, _ in parts():
            functions = evaluate_monomials(atoms, frame.monomials, model.factors)
            yield functions.T, measures

    linear = frame.linear(responses)
    center = frame.center(responses[model.constant], mass)
    anchor = penalised_estimate(frame, curves, passes, linear, center)
    plain = [Expansion(frame, anchor, np.zeros((p, p)), curve) for curve in curves]
    sums = np.zeros((len(curves), 1 + 2 * p + k))
    for atoms, measures, _ in parts():
        for at, (expansion, measure) in enumerate(zip(plain, measures, strict=True)):
            sums[at] += expansion.values(atoms) @ measure
    information = sums[:, 1 + p : 1 + p + k]
    factors = np.array([curve.factor for curve in curves])
    bent = [replace(e, spread=frame.spread(factors @ information)) for e in plain]
    bend = np.zeros((len(curves), p))
    for atoms, measures, units in parts():
        for at, (expansion, measure) in enumerate(zip(bent, measures, strict=True)):
            bend[at] += expansion.values(atoms)[1 + p + k :] @ measure
            dominance.add(expansion.shares(atoms, measure), units)
    released = {
        curve.measure: Sums(
            anchor, float(one[0]), one[1 : 1 + p], one[1 + p : 1 + p + k], last
        )
        for curve, one, last in zip(curves, sums, bend, strict=True)
    }
    return {
        s: released[s.measure].of(s, frame) for s in statistics if s.role in ANCHORED
    }


@dataclass(frozen=True)
class Sums:
    """
    Sums of one function at the anchor.

    Parameters
    ----------
    anchor, score, bend : arrays of shape (p,)
    value : float
    information : array of shape (k,)
    """

    anchor: FloatArray
    value: float
    score: FloatArray
    information: FloatArray
    bend: FloatArray

    def of(self, statistic: Statistic, frame: AnchorFrame) -> float:
        """Value of one statistic."""
        if statistic.role == "anchor":
            return float(self.anchor[statistic.column])
        if statistic.role == "value":
            return self.value
        if statistic.role == "score":
            return float(self.score[statistic.column])
        if statistic.role == "information":
            return float(self.information[frame.monomials.index(statistic.monomial)])
        return float(self.bend[statistic.column])
