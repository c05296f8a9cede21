"""Responses of pseudo-rows: what the likelihood sees of the real ones, met again.

A second mass on the rows whose sums with the moment functions are released: events,
counts, or, for gamma, whose rows carry amounts, the prior weights.
"""

import numpy as np
import numpy.typing as npt

from fedglmm_flower.coordinator.event_shares import event_shares
from fedglmm_flower.coordinator.pseudodata import PseudoRows
from fedglmm_flower.coordinator.targets import Targets
from fedglmm_flower.coordinator.tilting import tilt
from fedglmm_flower.glmm.evaluate import evaluate_monomials
from fedglmm_flower.study.families import TWO_MEASURES
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.polynomial import Monomial
from fedglmm_flower.study.release import moment_degrees

FloatArray = npt.NDArray[np.float64]

# Difference of an orthonormal function at which the sums count as met.
_MET = 1e-6
_MOST_ORDER = 6


def responses_of(
    model: Model, rows: PseudoRows, targets: Targets
) -> tuple[FloatArray, float]:
    """
    Response mass of each row, or its weight for gamma.

    With a canonical link the likelihood sees the response through its sums with the
    columns alone, so any responses with them will do; the ones nearest to proportional
    are taken.  Elsewhere they must be smooth and within range: positive ones that are
    log-linear in the functions, or shares of events whose log-odds are.

    Returns
    -------
    responses : array of shape (rows,)
        With the released sums; of a lower order where these are out of reach.
    residual : float
        Largest difference of a sum, normalised.
    """
    two = (model.family, model.link) in TWO_MEASURES
    if model.family != "gamma" and (rows.exact or not two):
        out, residual = _linear(model, rows, targets)
        return (np.clip(out, 0.0, None) if two else out), residual
    if targets.responses[model.constant] <= 0:
        return np.zeros(len(rows.weights)), 0.0
    out, residual = rows.weights, np.inf
    for monomials in _falling(model, targets):
        out, residual = _smooth(model, rows, targets, monomials)
        if residual < _MET:
            break
    return out, residual


def _linear(
    model: Model, rows: PseudoRows, targets: Targets
) -> tuple[FloatArray, float]:
    monomials = list(targets.responses)
    wanted = np.array([targets.responses[m] for m in monomials])
    functions = evaluate_monomials(rows.values, monomials, model.factors)
    start = rows.weights * (targets.responses[model.constant] / rows.weights.sum())
    gap = wanted - functions @ start
    root = np.sqrt(rows.weights)
    scaled = functions * root
    step, *_ = np.linalg.lstsq(scaled, gap, rcond=1e-12)
    out = start + root * step
    size = max(1.0, float(np.abs(wanted).max(initial=0.0)))
    return out, float(np.abs(functions @ out - wanted).max(initial=0.0) / size)


def _falling(model: Model, targets: Targets) -> list[list[Monomial]]:
    """Moment functions of every released order, the highest first."""
    found: list[list[Monomial]] = []
    for order in range(_MOST_ORDER, 0, -1):
        degrees = moment_degrees(model, order)
        kept = [m for m in targets.responses if m in degrees]
        if not found or len(kept) < len(found[-1]):
            found.append(kept)
    return found


def _smooth(
    model: Model, rows: PseudoRows, targets: Targets, monomials: list[Monomial]
) -> tuple[FloatArray, float]:
    functions = evaluate_monomials(rows.values, monomials, model.factors)
    wanted = np.array([targets.responses[m] for m in monomials])
    total = targets.responses[model.constant]
    mass = float(rows.weights.sum())
    weights = rows.weights / mass
    if model.family == "binomial":
        shares = event_shares(weights, functions, wanted / mass, total / mass)
        return shares.values * rows.weights, shares.residual
    tilted = tilt(weights, functions, wanted / total)
    return tilted.weights * (total / tilted.weights.sum()), tilted.residual
