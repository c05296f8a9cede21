"""Responses of pseudo-rows: what the likelihood sees of the real ones, met again.

A second mass on the rows whose sums with the moment functions are released: events,
counts, or, for gamma, whose rows carry amounts, the prior weights.  Where a likelihood
sees events and non-events apart, they have rows of their own.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from fedglmm_flower.coordinator.pseudodata import PseudoRows, generate
from fedglmm_flower.coordinator.starts import Starts
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
# Share of the rows that rows of counts stand for: the engine wants a positive weight.
_NO_WEIGHT = 1e-9


def responses_of(
    model: Model, rows: PseudoRows, targets: Targets
) -> tuple[FloatArray, float]:
    """
    Response mass of each row, or its weight for gamma.

    With a canonical link the likelihood sees the response through its sums with the
    columns alone, so any responses with them will do; the ones nearest to proportional
    are taken.  Those of gamma and of the negative binomial must be positive and
    smooth: log-linear in the functions.

    Returns
    -------
    responses : array of shape (rows,)
        With the released sums; without the highest products where no positive
        responses on these rows have them.
    residual : float
        Largest difference of a sum that is met, normalised.
    """
    two = (model.family, model.link) in TWO_MEASURES
    if model.family != "gamma" and (rows.exact or not two):
        out, residual = _linear(model, rows, targets)
        return (np.clip(out, 0.0, None) if two else out), residual
    total = targets.responses[model.constant]
    if total <= 0:
        return np.zeros(len(rows.weights)), 0.0
    out, residual = rows.weights, np.inf
    for monomials in _falling(model, targets):
        functions = evaluate_monomials(rows.values, monomials, model.factors)
        means = np.array([targets.responses[m] for m in monomials]) / total
        tilted = tilt(rows.weights / rows.weights.sum(), functions, means)
        out, residual = tilted.weights, tilted.residual
        if residual < _MET:
            break
    return out * (total / out.sum()), residual


def rows_of_events(
    model: Model, targets: Targets, starts: Starts, block: int
) -> tuple[PseudoRows, FloatArray]:
    """
    Rows of events and rows of non-events, each with moments of their own.

    Shares of events on common rows would be fewer, but in small sites no shares between
    zero and one have the sums that zeros and ones had.

    Returns
    -------
    rows : PseudoRows
        Events first; exact where both are.
    events : array of shape (rows,)
        Their weight, and zeros.
    """
    whole, total = targets.total, targets.responses[model.constant]
    yes = {m: targets.responses[m] for m in targets.moments}
    no = {m: v * whole - yes[m] for m, v in targets.moments.items()}
    parts: list[PseudoRows] = []
    masses: list[FloatArray] = []
    at_others = targets.anchored
    at_events = at_others.events if at_others is not None else None
    for sums, mass, is_event, anchored in (
        (yes, total, 1.0, at_events),
        (no, whole - total, 0.0, at_others),
    ):
        if mass <= 0:
            continue
        one = replace(
            targets,
            n_rows=max(1, round(targets.n_rows * mass / whole)),
            total=mass,
            moments={m: v / mass for m, v in sums.items()},
            anchored=anchored,
        )
        if one.n_rows < len(one.moments):
            # Moments all but determine so few rows; more would bend them out of shape.
            one = replace(one, anchored=None)
        rows = generate(model, one, starts, block)
        parts.append(rows)
        masses.append(is_event * rows.weights)
    together = PseudoRows(
        np.concatenate([one.values for one in parts]),
        np.concatenate([one.weights for one in parts]),
        max(one.residual for one in parts),
        all(one.exact for one in parts),
    )
    return together, np.concatenate(masses)


def rows_of_counts(
    model: Model, rows: PseudoRows, targets: Targets, starts: Starts, block: int
) -> tuple[PseudoRows, FloatArray]:
    """
    Rows without counts, and counts all but without rows.

    Parameters
    ----------
    model : Model
        A negative binomial study.
    rows : PseudoRows
        Rows with the moments of the site's.
    targets : Targets
        Released sums.
    starts, block
        See :func:`~fedglmm_flower.coordinator.pseudodata.generate`.

    Returns
    -------
    rows : PseudoRows
        Those of the counts have next to no weight.
    counts : array of shape (rows,)
        Zeros, and the mass of the counts.
    """
    total = targets.responses[model.constant]
    if total <= 0:
        return rows, np.zeros(len(rows.weights))
    moments = {m: targets.responses[m] / total for m in targets.moments}
    n_rows = int(min(targets.n_rows, max(1.0, total)))
    anchored = None if targets.anchored is None else targets.anchored.events
    one = replace(
        targets, n_rows=n_rows, total=total, moments=moments, anchored=anchored
    )
    counts = generate(model, one, starts, block)
    least = _NO_WEIGHT * targets.total / total
    together = PseudoRows(
        np.concatenate([rows.values, counts.values]),
        np.concatenate([rows.weights * (1.0 - _NO_WEIGHT), counts.weights * least]),
        max(rows.residual, counts.residual),
        exact=False,
    )
    return together, np.concatenate([np.zeros(len(rows.weights)), counts.weights])


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
    """All functions, then without the largest products, down to the columns alone."""
    single = moment_degrees(model, 1)
    sizes = {m: _size(m, model.factors) for m in targets.responses}
    found: list[list[Monomial]] = []
    for most in range(max(sizes.values()), 0, -1):
        kept = [m for m, size in sizes.items() if m in single or size <= most]
        if not found or len(kept) < len(found[-1]):
            found.append(kept)
    return found


def _size(monomial: Monomial, factors: tuple[bool, ...]) -> int:
    return sum(bool(e) if f else e for e, f in zip(monomial, factors, strict=True))
