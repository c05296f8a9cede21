"""From the one-round estimate to the pooled one, by the sites' own likelihoods."""

from dataclasses import replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from fedglmm_flower.coordinator.asking import Asked, AskSites
from fedglmm_flower.coordinator.combine import Combined
from fedglmm_flower.coordinator.iterative import Picked, less, pick, without_effects
from fedglmm_flower.coordinator.newton import Climb, climb, newton_step
from fedglmm_flower.coordinator.penalty import (
    Choice,
    effective_parameters,
    ridge_of,
)
from fedglmm_flower.coordinator.result import Result
from fedglmm_flower.errors import FitError, UsageError
from fedglmm_flower.glmm import FittedModel
from fedglmm_flower.glmm.frame import Frame
from fedglmm_flower.glmm.generalized import parse_nodes
from fedglmm_flower.glmm.optimise import definite, inverse
from fedglmm_flower.glmm.rows import BoolArray, FloatArray
from fedglmm_flower.glmm.score import Score, part_of
from fedglmm_flower.glmm.verdict import Verdict

# Predicted change, in standard errors, below which the maximum counts as found.
EXACT = 1e-6
_ZERO = 1e-6  # of theta: a variance on the boundary
_POISSON = 17.0  # of log theta: a negative binomial that is a Poisson

_STATES = {
    "arrived": None,
    "out-of-rounds": "the refinement ended before it arrived: the next step would "
    "change an estimate by {size:.1e} standard errors; allow one more round",
    "site-lost": "a site that was used did not give its likelihood (see "
    "diagnostics.refinement), without which the sum is "
    "that of other data; the estimates are the last ones for which all sites did; ask "
    "again when the site is back",
    "no-ascent": "the refinement found no point that fits the sites' rows better: the "
    "steps from the one-round estimate diverge; the estimates are the last good ones; "
    "ask for a release of a higher order, or drop the weakest predictor",
}


def refine(
    combined: Combined,
    ask: AskSites,
    steps: int,
    *,
    fresh: bool = False,
    choice: Choice | None = None,
) -> Result:
    """
    Newton steps from the one-round estimate on the summed likelihood of the sites.

    Parameters
    ----------
    combined : Combined
        The one round.
    ask : callable
        Asks sites that are used.
    steps : int
        Steps at most; sites are asked at one point more, and where a penalty is chosen
        at those of :meth:`Choice.points`.
    fresh : bool
        Start from the model without random effects, as Li et al. (2022) do, instead of
        the one-round estimate: then the result owes nothing to the pseudo-data.
    choice : Choice or None
        L2 penalty of a fresh fit; None for none.

    Returns
    -------
    Result
        Estimates, errors and log-likelihood from the sites' own rows, and under
        ``diagnostics.refinement`` how far the one-round estimates were from them.
        Where nothing better than the one-round estimate was found, that estimate, and
        why.

    Raises
    ------
    UsageError
        If the study is one that a single round answers exactly.
    """
    require_refinable(combined)
    study, one = combined.study, combined.fitted.model
    frame = Frame.of(study.model)
    start = frame.point(one)
    held = held_parameters(frame, one, start)
    used, nodes = tuple(sorted(combined.opened)), parse_nodes(combined.method)
    asked = Asked(ask, used, nodes, early=fresh)
    seen: dict[bytes, Score] = {}
    picked = Picked(start, np.zeros((frame.size, frame.size)), "arrived", {})
    with threadpool_limits(1):
        try:
            if fresh:
                held = np.zeros(frame.size, dtype=np.bool_)
                picked, steps = _fresh(frame, asked, choice, steps)
                start = picked.start
            if picked.state != "arrived":
                lost = Climb(start, None, np.inf, asked.number, picked.state, 0)
                return _unrefined(combined, lost, asked)

            def ask_free(free: FloatArray) -> Score | None:
                phi = _placed(start, held, free)
                found = less(asked(phi), phi, picked.ridge)
                if found is None:
                    return None
                seen[phi.tobytes()] = found
                return part_of(found, ~held)

            found = climb(ask_free, start[~held], steps=steps)
        except np.linalg.LinAlgError as error:
            raise FitError(Verdict.UNIDENTIFIABLE.value) from error
        stays = np.array_equal(found.point, start[~held])
        # A fresh start is no estimate before it has arrived.
        if found.score is None or (found.state != "arrived" and (stays or fresh)):
            return _unrefined(combined, found, asked)
        whole = seen[_placed(start, held, found.point).tobytes()]
        leaves = rises(whole, held & _of_effects(frame))
        return _refined(combined, frame, found, asked, held, picked, leaves=leaves)


def _fresh(
    frame: Frame, asked: Asked, choice: Choice | None, steps: int
) -> tuple[Picked, int]:
    """Start and penalty of a fit that owes nothing to the one round."""
    if choice is not None and choice.splits:
        return pick(frame, asked, choice), steps
    strength = 0.0 if choice is None else choice.path[0]
    ridge = strength * ridge_of(frame)
    start, steps = without_effects(
        frame, lambda phi: less(asked(phi), phi, ridge), steps
    )
    notes = {} if choice is None else {"by": "l2", "value": strength, "path": []}
    return Picked(start, ridge, "arrived", notes), steps


def require_refinable(combined: Combined) -> None:
    """
    Refuse more rounds where one is exact by construction.

    Raises
    ------
    UsageError
        If the family is gaussian.
    """
    if combined.study.family == "gaussian":
        raise UsageError(
            "rounds: more than one for a gaussian model; its one round is exact "
            "already; ask for one round"
        )


def held_parameters(frame: Frame, fitted: FittedModel, phi: FloatArray) -> BoolArray:
    """
    Parameters on a boundary, where the likelihood has no slope: they stay there.

    Returns
    -------
    boolean array of shape (d,)
    """
    held: BoolArray = np.zeros(frame.size, dtype=np.bool_)
    if Verdict.BOUNDARY in fitted.verdicts:
        _, theta = frame.parts
        layout = frame.covariance
        Lambda = np.abs(layout.matrix(phi[theta]))
        empty = Lambda.max(axis=0, initial=0.0) < _ZERO
        held[theta] = empty[layout.cols]
    if Verdict.POISSON_LIMIT in fitted.verdicts or (
        frame.family.name == "nbinom2" and phi[-1] > _POISSON
    ):
        held[-1] = True
    return held


def _of_effects(frame: Frame) -> BoolArray:
    """Which parameters are those of the random effects."""
    found: BoolArray = np.zeros(frame.size, dtype=np.bool_)
    found[frame.parts[1]] = True
    return found


def rises(score: Score, held: BoolArray) -> bool:
    """
    Whether the likelihood rises from a boundary at which parameters are held.

    There the slope is nought by symmetry, so that its bend tells.

    Parameters
    ----------
    score : Score
        At the point, of all parameters.
    held : boolean array of shape (d,)
        Those of random effects whose standard deviation is nought.
    """
    if not held.any():
        return False
    block = score.information[np.ix_(held, held)]
    least = float(np.linalg.eigvalsh(block)[0])
    return least < -_ZERO * max(float(np.abs(block).max()), 1.0)


def _placed(start: FloatArray, held: BoolArray, free: FloatArray) -> FloatArray:
    phi = start.copy()
    phi[~held] = free
    return phi


def _refined(
    combined: Combined,
    frame: Frame,
    found: Climb,
    asked: Asked,
    held: BoolArray,
    picked: Picked,
    *,
    leaves: bool,
) -> Result:
    one, score = combined.fitted.model, found.score
    if score is None:  # pragma: no cover - looked at before
        raise TypeError(type(score))
    phi = _placed(picked.start, held, found.point)
    d = len(phi)
    joint, step = np.zeros((d, d)), np.zeros(d)
    free = np.ix_(~held, ~held)
    step[~held], _, bent = newton_step(score)
    whole = definite(score.information) if bent else score.information
    joint[free] = _covariance(whole, picked.ridge[free])
    gamma, _ = frame.parts
    alone = np.zeros((d, d))
    alone[gamma, gamma] = _covariance(
        definite(score.information[gamma, gamma]), picked.ridge[gamma, gamma]
    )
    loglik = score.value + 0.5 * float(phi @ picked.ridge @ phi)
    model = replace(
        frame.moved(one, phi, nodes=asked.nodes),
        covariance=frame.fixed_covariance(joint),
        covariance_fixed_theta=frame.fixed_covariance(alone),
        loglik=loglik,
        n_rows=asked.n_rows,
    )
    exact = found.predicted <= EXACT and not bent and not leaves
    fitted = replace(combined.fitted, model=model, exact=True, accuracy=None)
    values = dict(replace(combined, found=fitted).result().values)
    values["exactness"] = "exact" if exact else "approximate"
    values["n_rows"] = asked.n_rows
    if not exact:
        left = np.abs(frame.estimates(step))
        for row, size in zip(values["fixed"], left, strict=True):
            row["approx_error"] = None if leaves else float(size)
        for row in values["random"]:
            if "sd" in row:
                row["approx_error"] = None
    notes = _notes(combined, found, asked)
    if not picked.ridge.any():
        notes |= _distances(one, model)
    if picked.notes:
        parameters = effective_parameters(score, picked.ridge[free])
        # A penalised coefficient is less than a parameter.
        less_of = len(score.gradient) - parameters
        values["aic"] -= 2.0 * less_of
        values["bic"] -= float(np.log(asked.n_rows)) * less_of
        notes["penalty"] = picked.notes | {"parameters": parameters}
    notes["leaves_boundary"] = leaves
    texts = _told_of_boundary(held, leaves=leaves)
    if picked.notes.get("value", 0.0) > 0:
        texts.append(
            f"an L2 penalty of {picked.notes['value']:g} draws the coefficients "
            "towards zero; intervals and tests count their spread and not that bias"
        )
    return _with_notes(values, notes, found, *texts)


def _told_of_boundary(held: BoolArray, *, leaves: bool) -> list[str]:
    """What to say of parameters that were not moved."""
    if leaves:
        text = (
            "a standard deviation that is zero in the one-round fit was held there, "
            "but the sites' rows fit better with one above zero: these are not the "
            "estimates of the pooled rows; ask for iterative rounds"
        )
        return [text]
    if held.any():
        text = (
            "parameters on the boundary in the one-round fit were held there in the "
            "refinement"
        )
        return [text]
    return []


def _distances(one: FittedModel, model: FittedModel) -> dict[str, Any]:
    """How far the one-round estimates were from the refined ones."""
    before, after = (
        np.concatenate([np.zeros(0), *(t.sd for t in m.random)]) for m in (one, model)
    )
    se = np.where(model.se > 0, model.se, np.nan)
    shift = one.estimates - model.estimates
    return {
        "one_round_shift": [float(v) for v in shift],
        "one_round_shift_se": [
            None if np.isnan(v) else float(v) for v in np.abs(shift) / se
        ],
        "one_round_sd_shift": [float(v) for v in before - after],
        "one_round_loglik_shift": float(one.loglik - model.loglik),
    }


def _covariance(information: FloatArray, ridge: FloatArray) -> FloatArray:
    """Of estimates at the maximum of a penalised likelihood: spread, without bias."""
    half = inverse(information)
    if not ridge.any():
        return half
    return np.asarray(half @ (information - ridge) @ half, dtype=np.float64)


def _unrefined(combined: Combined, found: Climb, asked: Asked) -> Result:
    """The one-round result as it is, and why there is no better one."""
    values = dict(combined.result().values)
    return _with_notes(values, _notes(combined, found, asked), found)


def _notes(combined: Combined, found: Climb, asked: Asked) -> dict[str, Any]:
    predicted = found.predicted
    return {
        "state": found.state,
        "rounds": 1 + asked.number,
        "predicted_change_se": float(predicted) if np.isfinite(predicted) else None,
        "regularised": found.regularised,
        "spared": asked.spared,
        "exactness_of_one_round": "exact" if combined.fitted.exact else "approximate",
        "lost": list(asked.lost),
        "leaves_boundary": False,
        "one_round_shift": None,
        "one_round_shift_se": None,
        "one_round_sd_shift": None,
        "one_round_loglik_shift": None,
    }


def _with_notes(
    values: dict[str, Any], notes: dict[str, Any], found: Climb, *texts: str
) -> Result:
    diagnostics = dict(values["diagnostics"])
    warnings = list(diagnostics["warnings"])
    text = _STATES[found.state]
    if text is not None:
        warnings.append(text.format(size=found.predicted))
    if found.regularised:
        warnings.append(
            f"the information was not positive definite at {found.regularised} "
            "points of the refinement and was made so; the data say little about some "
            "parameter"
        )
    diagnostics |= {"warnings": [*warnings, *texts], "refinement": notes}
    return Result({**values, "diagnostics": diagnostics})
