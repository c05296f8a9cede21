"""From accepted releases to a fit, and how accurate it is."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from fedglmm_flower.coordinator.accuracy import (
    FOR_ANOTHER,
    Accuracy,
    accuracy_of,
    heaviest_tails,
    missed_share,
    share_of_step,
)
from fedglmm_flower.coordinator.blocks import (
    Block,
    blocks_of,
    columns_of,
    labels_of,
    require_clusters,
)
from fedglmm_flower.coordinator.drawing import MOST_DRAWS, Drawing, Draws, draw
from fedglmm_flower.coordinator.opening import Opened
from fedglmm_flower.coordinator.pooling import fit_pseudo, fit_sums, require_determined
from fedglmm_flower.coordinator.submodel import Submodel
from fedglmm_flower.coordinator.targets import Targets
from fedglmm_flower.errors import FitError
from fedglmm_flower.glmm import FittedModel
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.study import Study

Tick = Callable[[str, int, int], None]
# Columns of the grouping columns, and the labels of all clusters in them.
Groups = tuple[Mapping[str, str], Mapping[str, list[str]]]


def silent(_stage: str, _done: int, _total: int) -> None:
    """No progress."""


@dataclass(frozen=True)
class Fitted:
    """
    A fit with its approximation.

    Parameters
    ----------
    model : FittedModel
        The fit.
    exact : bool
        Whether it is that of the pooled rows.
    residuals : mapping
        Largest missed sum of each cluster; empty where sums are fitted as they are.
    reduced : tuple of str
        Sites of which fewer sums are used, since all of them are out of reach.
    accuracy : Accuracy or None
        Diagnostics; None of an exact fit.
    pseudodata_s, fit_s : float
        Seconds.
    """

    model: FittedModel
    exact: bool
    residuals: Mapping[Block, float]
    reduced: tuple[str, ...]
    accuracy: Accuracy | None
    pseudodata_s: float
    fit_s: float

    @property
    def residual(self) -> float:
        """Largest missed sum of all."""
        return max(self.residuals.values(), default=0.0)


def fit_releases(
    study: Study,
    opened: Mapping[str, Opened],
    method: str,
    seed: int,
    tick: Tick,
    *,
    part: Submodel | None = None,
    most_draws: int = MOST_DRAWS,
    judged: bool = True,
    drawing: Drawing | None = None,
) -> Fitted:
    """
    Fit accepted releases: from sums where that is lossless, else pseudo-data.

    Parameters
    ----------
    study : Study
        What was released.
    opened : mapping
        Accepted releases.
    method : str
        Estimator.
    seed : int
        Seed of the pseudo-data.
    tick : callable
        Called with stage, done and total.
    part : Submodel or None
        What is fitted instead of the released model.
    most_draws : int
        Draws of pseudo-data for each cluster, fewer where a set needs fewer.
    judged : bool
        Whether to tell the accuracy, for which more is drawn and fitted; the estimates
        are the same without.
    drawing : Drawing or None
        Pseudo-data that were drawn before, of the same release and seed.
    """
    targets = blocks_of(opened)
    require_clusters(study, targets)
    selected, asked = targets, study
    if part is not None:
        selected = part.blocks(opened)
        asked = part.study
    if asked.family == "gaussian":
        started = time.perf_counter()
        tick("fit", 0, 1)
        groups, labels = columns_of(asked), labels_of(asked, selected)
        model = fit_sums(asked.model, selected, method, groups, labels)
        tick("fit", 1, 1)
        seconds = time.perf_counter() - started
        return Fitted(model, True, {}, (), None, 0.0, seconds)
    if part is not None and (study.is_joint or all(asked.model.factors)):
        # Without a continuous column its own moments may be a whole table.
        study, targets, part, drawing = asked, selected, None, None
    started = time.perf_counter()
    if part is None:
        require_determined(study.model, targets)
    if drawing is None:
        drawing = draw(
            study, opened, targets, seed, tick, most_draws=most_draws, judged=judged
        )
    return _fit_drawn(study, opened, targets, method, tick, part, drawing, started)


def _fit_drawn(
    study: Study,
    opened: Mapping[str, Opened],
    targets: Mapping[Block, Targets],
    method: str,
    tick: Tick,
    part: Submodel | None,
    drawing: Drawing,
    started: float,
) -> Fitted:
    model, asked = study.model, study
    if part is not None:
        # What was drawn for all released columns holds those of any model of them.
        model, targets, asked = part.model, part.blocks(opened), part.study
        drawing = replace(
            drawing,
            main=part.draws(drawing.main),
            lower=part.draws(drawing.lower),
            skewed=part.draws(drawing.skewed),
        )
        require_determined(model, targets)
    groups = (columns_of(asked), labels_of(asked, targets))
    generated = time.perf_counter()
    draws = drawing.main
    exact = all(one.rows.exact for many in draws.values() for one in many)
    residuals = {
        block: max(one.residual for one in many) for block, many in draws.items()
    }
    comparisons = {} if exact else _comparisons(drawing)
    fits = 1 + len(comparisons)
    tick("fit", 0, fits)
    fitted = fit_pseudo(model, targets, draws, method, *groups)
    tick("fit", 1, fits)
    accuracy = None
    if comparisons:
        # Like with like: what is compared is fitted by the same estimator.
        main = fitted
        if method != "laplace":
            main = _attempt(model, targets, draws, groups) or fitted
        found: dict[str, FittedModel | None] = {}
        for name, chosen in comparisons.items():
            found[name] = _attempt(model, targets, chosen, groups)
            tick("fit", 1 + len(found), fits)
        first, second = found["first half"], found["second half"]
        # First moments cannot be judged: one such site leaves the whole unknown.
        informative = all(
            opened[block[0]].released.order > 1 or many[0].rows.exact
            for block, many in draws.items()
        )
        accuracy = accuracy_of(
            main,
            found["lower"] if informative else None,
            (first, second) if first and second else None,
            skewed=found.get("skewed"),
            share=(FOR_ANOTHER if part is not None and part.is_another else 1.0)
            * _share(model, opened, targets, draws),
            missed=missed_share(
                np.array([targets[block].n_rows for block in residuals], dtype=float),
                np.array(list(residuals.values())),
            ),
        )
    return Fitted(
        fitted,
        exact,
        residuals,
        drawing.reduced,
        accuracy,
        generated - started,
        time.perf_counter() - generated,
    )


def _comparisons(drawing: Drawing) -> dict[str, Draws]:
    """Pseudo-data of the fits by which the main one is judged."""
    if not drawing.judged:
        return {}
    found = {"lower": drawing.lower}
    for k, name in enumerate(("first half", "second half")):
        found[name] = {b: many[k::2] or many for b, many in drawing.main.items()}
    if drawing.anchored:
        found["skewed"] = drawing.skewed
    return found


def _share(
    model: Model,
    opened: Mapping[str, Opened],
    targets: Mapping[Block, Targets],
    draws: Draws,
) -> float:
    """Error as a share of the step, by the sites that are not exact."""
    open_ones = [block for block, many in draws.items() if not many[0].rows.exact]
    offers = {opened[b[0]].offer for b in open_ones}
    tails = heaviest_tails([targets[b] for b in open_ones], model.factors)
    return share_of_step(offers, tails)


def _attempt(
    model: Model,
    targets: Mapping[Block, Targets],
    draws: Draws,
    groups: Groups,
) -> FittedModel | None:
    """A fit for comparison; None where it fails, which is no fault of the main one."""
    try:
        return fit_pseudo(model, targets, draws, "laplace", *groups)
    except FitError:
        return None
