"""From the one-round estimate to the pooled one, by the sites' own likelihoods."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from threadpoolctl import threadpool_limits

from fedglmm_flower.coordinator.combine import Combined
from fedglmm_flower.coordinator.newton import Climb, climb, newton_step
from fedglmm_flower.coordinator.result import Result
from fedglmm_flower.errors import FitError, UsageError
from fedglmm_flower.glmm import FittedModel
from fedglmm_flower.glmm.frame import Frame
from fedglmm_flower.glmm.generalized import parse_nodes
from fedglmm_flower.glmm.optimise import definite, inverse
from fedglmm_flower.glmm.rows import BoolArray, FloatArray
from fedglmm_flower.glmm.score import Score
from fedglmm_flower.glmm.verdict import Verdict
from fedglmm_flower.site.scored import Point, ReleasedScore

# The scores of the sites at a point; a site that is lost has none.
AskSites: TypeAlias = Callable[[Point], Mapping[str, ReleasedScore]]
# Predicted change, in standard errors, below which the maximum counts as found.
EXACT = 1e-6
_ZERO = 1e-6  # of theta: a variance on the boundary
_MODERATE = 0.5  # of theta, where an iterative fit starts
_NEAR = 0.1  # standard errors: near enough to let the random effects in
_POISSON = 17.0  # of log theta: a negative binomial that is a Poisson

_STATES = {
    "arrived": None,
    "out-of-rounds": "the refinement ended before it arrived: the next step would "
    "change an estimate by {size:.1e} standard errors; allow one more round",
    "site-lost": "a site that was used did not give its likelihood (see "
    "diagnostics.refinement), without which the sum is "
    "that of other data; the estimates are the last ones for which all "
    " sites did; ask again when the site is back",
    "no-ascent": "the refinement found no point that fits the sites' rows better: the "
    "steps from the one-round estimate diverge; the estimates are the last good ones; "
    "ask for a release of a higher order, or drop the weakest predictor",
}


@dataclass
class _Asked:
    """What the sites said, point by point."""

    ask: AskSites
    used: tuple[str, ...]
    nodes: int
    number: int = 0
    n_rows: int = 0
    lost: tuple[str, ...] = ()

    def __call__(self, phi: FloatArray) -> Score | None:
        self.number += 1
        point = Point(self.number, self.nodes, tuple(map(float, phi)))
        answers = self.ask(point)
        self.lost = tuple(site for site in self.used if site not in answers)
        if self.lost:
            return None
        # In sorted order, so that the same answers give the same digits.
        chosen = [answers[site] for site in sorted(self.used)]
        self.n_rows = sum(one.n_rows for one in chosen)
        total = as_score(chosen[0])
        for one in chosen[1:]:
            total = total + as_score(one)
        return total


def as_score(released: ReleasedScore) -> Score:
    """The arrays of a released score."""
    d = len(released.gradient)
    information = np.zeros((d, d))
    information[np.tril_indices(d)] = released.information
    information += np.tril(information, -1).T
    return Score(released.value, np.array(released.gradient), information)


def refine(
    combined: Combined, ask: AskSites, steps: int, *, fresh: bool = False
) -> Result:
    """
    Newton steps from the one-round estimate on the summed likelihood of the sites.

    Parameters
    ----------
    combined : Combined
        The one round.
    ask : callable
        Asks every site that is used.
    steps : int
        Steps at most; sites are asked at one point more.
    fresh : bool
        Start from the model without random effects, as Li et al. (2022) do, instead of
        the one-round estimate: then the result owes nothing to the pseudo-data.

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
    asked = _Asked(ask, tuple(sorted(combined.opened)), parse_nodes(combined.method))

    def ask_free(free: FloatArray) -> Score | None:
        found = asked(_placed(start, held, free))
        return None if found is None else _part(found, ~held)

    with threadpool_limits(1):
        try:
            if fresh:
                start, held, steps = without_effects(frame, asked, steps)
            found = climb(ask_free, start[~held], steps=steps)
        except np.linalg.LinAlgError as error:
            raise FitError(Verdict.UNIDENTIFIABLE.value) from error
        stays = np.array_equal(found.point, start[~held])
        # A fresh start is no estimate before it has arrived.
        if found.score is None or (found.state != "arrived" and (stays or fresh)):
            return _unrefined(combined, found, asked)
        return _refined(combined, frame, found, asked, held, start)


def without_effects(
    frame: Frame, ask: Callable[[FloatArray], Score | None], steps: int
) -> tuple[FloatArray, BoolArray, int]:
    """
    Start of an iterative fit: where the model without random effects is at its best.

    At theta = 0 the marginal likelihood is that model's, so that the sites need no
    other question.

    Parameters
    ----------
    frame : Frame
    ask : callable
        Summed score at a point.
    steps : int
        Steps that may be spent in all.

    Returns
    -------
    start : array of shape (d,)
        With moderate random effects, since at zero the likelihood has no slope.
    held : boolean array of shape (d,)
        Nothing is.
    steps : int
        Steps that are left.
    """
    _, theta = frame.parts
    free: BoolArray = np.ones(frame.size, dtype=np.bool_)
    free[theta] = False

    def ask_fixed(part: FloatArray) -> Score | None:
        phi = np.zeros(frame.size)
        phi[free] = part
        found = ask(phi)
        return None if found is None else _part(found, free)

    found = climb(ask_fixed, np.zeros(int(free.sum())), steps=steps, tolerance=_NEAR)
    start = np.zeros(frame.size)
    start[free] = found.point
    layout = frame.covariance
    start[theta] = np.where(layout.rows == layout.cols, _MODERATE, 0.0)
    return start, np.zeros(frame.size, dtype=np.bool_), max(steps - found.asked, 0)


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


def _placed(start: FloatArray, held: BoolArray, free: FloatArray) -> FloatArray:
    phi = start.copy()
    phi[~held] = free
    return phi


def _part(score: Score, free: BoolArray) -> Score:
    return Score(
        score.value, score.gradient[free], score.information[np.ix_(free, free)]
    )


def _refined(
    combined: Combined,
    frame: Frame,
    found: Climb,
    asked: _Asked,
    held: BoolArray,
    start: FloatArray,
) -> Result:
    one, score = combined.fitted.model, found.score
    if score is None:  # pragma: no cover - looked at before
        raise TypeError(type(score))
    phi = _placed(start, held, found.point)
    d = len(phi)
    joint, step = np.zeros((d, d)), np.zeros(d)
    free = np.ix_(~held, ~held)
    step[~held], _, bent = newton_step(score)
    joint[free] = inverse(definite(score.information) if bent else score.information)
    gamma, _ = frame.parts
    alone = np.zeros((d, d))
    alone[gamma, gamma] = inverse(definite(score.information[gamma, gamma]))
    model = replace(
        frame.moved(one, phi, nodes=asked.nodes),
        covariance=frame.fixed_covariance(joint),
        covariance_fixed_theta=frame.fixed_covariance(alone),
        loglik=score.value,
        n_rows=asked.n_rows,
    )
    exact = found.predicted <= EXACT and not bent
    fitted = replace(combined.fitted, model=model, exact=True, accuracy=None)
    values = dict(replace(combined, found=fitted).result().values)
    values["exactness"] = "exact" if exact else "approximate"
    values["n_rows"] = asked.n_rows
    if not exact:
        left = np.abs(frame.estimates(step))
        for row, size in zip(values["fixed"], left, strict=True):
            row["approx_error"] = float(size)
        for row in values["random"]:
            if "sd" in row:
                row["approx_error"] = None
    before, after = (
        np.concatenate([np.zeros(0), *(t.sd for t in m.random)]) for m in (one, model)
    )
    se = np.where(model.se > 0, model.se, np.nan)
    shift = one.estimates - model.estimates
    notes = _notes(combined, found, asked)
    notes["one_round_shift"] = [float(v) for v in shift]
    notes["one_round_shift_se"] = [
        None if np.isnan(v) else float(v) for v in np.abs(shift) / se
    ]
    notes["one_round_sd_shift"] = [float(v) for v in before - after]
    notes["one_round_loglik_shift"] = float(one.loglik - score.value)
    return _with_notes(values, notes, found, held=bool(held.any()))


def _unrefined(combined: Combined, found: Climb, asked: _Asked) -> Result:
    """The one-round result as it is, and why there is no better one."""
    values = dict(combined.result().values)
    return _with_notes(values, _notes(combined, found, asked), found)


def _notes(combined: Combined, found: Climb, asked: _Asked) -> dict[str, Any]:
    predicted = found.predicted
    return {
        "state": found.state,
        "rounds": 1 + asked.number,
        "predicted_change_se": float(predicted) if np.isfinite(predicted) else None,
        "regularised": found.regularised,
        "exactness_of_one_round": "exact" if combined.fitted.exact else "approximate",
        "lost": list(asked.lost),
        "one_round_shift": None,
        "one_round_shift_se": None,
        "one_round_sd_shift": None,
        "one_round_loglik_shift": None,
    }


def _with_notes(
    values: dict[str, Any],
    notes: dict[str, Any],
    found: Climb,
    *,
    held: bool = False,
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
    if held:
        warnings.append(
            "parameters on the boundary in the one-round fit were held there in the "
            "refinement"
        )
    diagnostics |= {"warnings": warnings, "refinement": notes}
    return Result({**values, "diagnostics": diagnostics})
