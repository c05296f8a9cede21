"""A site's anchored sums: its own estimate, and the likelihood around it."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import numpy.typing as npt

from fedglmm_flower.glmm.anchor import AnchorFrame
from fedglmm_flower.glmm.evaluate import AtomRows, evaluate_monomials
from fedglmm_flower.glmm.expansion import Expansion
from fedglmm_flower.glmm.penalised import penalised_estimate
from fedglmm_flower.site.dominance import Dominance, update_dominance
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
        Sums of response times moment function.
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
    linear = np.zeros(len(frame.columns))
    for i, row in enumerate(frame.columns):
        linear[i] = sum(
            c * responses[m] for c, m in zip(row, frame.monomials, strict=True) if c
        )
    center = frame.center(responses[model.constant], mass)

    def passes() -> Iterable[tuple[FloatArray, FloatArray]]:
        size = max(256, _CELLS // len(frame.monomials))
        for rows in batches():
            measure = measure_on_rows(rows, kind)
            for start in range(0, len(measure), size):
                some = slice(start, start + size)
                functions = evaluate_monomials(
                    rows.values[some], frame.monomials, model.factors
                )
                yield functions.T, measure[some]

    anchor = penalised_estimate(frame, passes, linear, center)
    k, p = len(frame.monomials), len(anchor)
    plain = Expansion(frame, anchor, np.zeros((p, p)))
    sums = np.zeros(1 + 2 * p + k)
    for atoms, measure in _parts(batches, kind, k):
        sums += plain.values(atoms) @ measure
    information = sums[1 + p : 1 + p + k]
    expansion = Expansion(frame, anchor, frame.spread(information))
    bend = np.zeros(p)
    for atoms, measure in _parts(batches, kind, k):
        functions = expansion.values(atoms)
        bend += functions[1 + p + k :] @ measure
        weights = expansion.weights(atoms)
        update_dominance(dominance, {name: w * measure for name, w in weights.items()})
    at = {m: j for j, m in enumerate(frame.monomials)}
    out: dict[Statistic, float] = {}
    for s in statistics:
        if s.role not in ANCHORED:
            continue
        if s.role == "anchor":
            out[s] = float(anchor[s.column])
        elif s.role == "value":
            out[s] = float(sums[0])
        elif s.role == "information":
            out[s] = float(information[at[s.monomial]])
        else:
            out[s] = float(bend[s.column])
    return out


def measure_on_rows(rows: AtomRows, kind: str) -> FloatArray:
    """Weight of each row in the sums of a measure."""
    if kind == "trials":
        return rows.weights * rows.trials
    if kind == "exposure":
        return np.asarray(rows.weights * np.exp(rows.offset))
    return rows.weights


def _parts(
    batches: Callable[[], Iterable[AtomRows]], kind: str, functions: int
) -> Iterable[tuple[FloatArray, FloatArray]]:
    size = max(256, _CELLS // functions)
    for rows in batches():
        measure = measure_on_rows(rows, kind)
        for start in range(0, len(measure), size):
            yield rows.values[start : start + size], measure[start : start + size]
