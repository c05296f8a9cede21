"""A site's anchored sums: its own estimate, and the likelihood around it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedglmm_flower.glmm.anchor import AnchorFrame
from fedglmm_flower.glmm.evaluate import AtomRows, evaluate_monomials
from fedglmm_flower.glmm.expansion import Expansion
from fedglmm_flower.glmm.penalised import penalised_estimate
from fedglmm_flower.site.dominance import Dominance, update_dominance
from fedglmm_flower.site.measures import measure_on_rows
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.polynomial import Monomial
from fedglmm_flower.study.release import ANCHORED, Statistic, measure_of

FloatArray = npt.NDArray[np.float64]
_CELLS = 8_000_000


def anchored_sums(
    model: Model,
    statistics: tuple[Statistic, ...],
    batches: Callable[[], Iterable[AtomRows]],
    responses: Mapping[Monomial, float],
    mass: float,
    dominance: dict[str, Dominance],
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
    dominance : dict
        Receives the shares of the largest rows in value, information and bend.

    Raises
    ------
    FitError
        If the estimate does not converge.
    """
    frame = AnchorFrame(model)
    kind = measure_of(model)
    k, p = len(frame.monomials), len(frame.columns)

    def parts() -> Iterator[tuple[FloatArray, FloatArray]]:
        size = max(256, _CELLS // k)
        for rows in batches():
            measure = measure_on_rows(rows, kind)
            for start in range(0, len(measure), size):
                yield rows.values[start : start + size], measure[start : start + size]

    def passes() -> Iterator[tuple[FloatArray, FloatArray]]:
        for atoms, measure in parts():
            yield evaluate_monomials(atoms, frame.monomials, model.factors).T, measure

    linear = frame.linear(responses)
    center = frame.center(responses[model.constant], mass)
    anchor = penalised_estimate(frame, passes, linear, center)
    plain = Expansion(frame, anchor, np.zeros((p, p)))
    sums = np.zeros(1 + 2 * p + k)
    for atoms, measure in parts():
        sums += plain.values(atoms) @ measure
    information = sums[1 + p : 1 + p + k]
    expansion = Expansion(frame, anchor, frame.spread(information))
    bend = np.zeros(p)
    for atoms, measure in parts():
        bend += expansion.values(atoms)[1 + p + k :] @ measure
        weights = expansion.weights(atoms)
        update_dominance(dominance, {name: w * measure for name, w in weights.items()})
    released = Sums(anchor, float(sums[0]), information, bend)
    return {s: released.of(s, frame) for s in statistics if s.role in ANCHORED}


@dataclass(frozen=True)
class Sums:
    """
    Sums at the anchor.

    Parameters
    ----------
    anchor, bend : arrays of shape (p,)
    value : float
    information : array of shape (k,)
    """

    anchor: FloatArray
    value: float
    information: FloatArray
    bend: FloatArray

    def of(self, statistic: Statistic, frame: AnchorFrame) -> float:
        """Value of one statistic."""
        if statistic.role == "anchor":
            return float(self.anchor[statistic.column])
        if statistic.role == "value":
            return self.value
        if statistic.role == "information":
            return float(self.information[frame.monomials.index(statistic.monomial)])
        return float(self.bend[statistic.column])
