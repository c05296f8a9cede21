"""From accepted releases to a fit: how many draws, which orders, how accurate."""

import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from fedglmm_flower.coordinator.accuracy import (
    Accuracy,
    accuracy_of,
    missed_share,
    share_of_step,
)
from fedglmm_flower.coordinator.opening import Opened
from fedglmm_flower.coordinator.pooling import (
    PseudoSite,
    fit_pseudo,
    fit_sums,
    pseudo_site,
    require_determined,
)
from fedglmm_flower.coordinator.pseudodata import planned_rows
from fedglmm_flower.coordinator.starts import Starts
from fedglmm_flower.coordinator.targets import Targets
from fedglmm_flower.errors import FitError
from fedglmm_flower.glmm import FittedModel
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.release import moment_degrees
from fedglmm_flower.study.study import Study

# Draws of each site, fewer where the pseudo-rows would be too many to fit at ease.
MOST_DRAWS = 12
FEWEST_DRAWS = 2
MOST_ROWS = 1_500_000
# Largest residual at which a site's moments count as met.
UNMATCHED = 1e-2
Tick = Callable[[str, int, int], None]


def silent(_stage: str, _done: int, _total: int) -> None:
    """No progress."""


@dataclass(frozen=True)
class Fitted:
    """A fit with its approximation."""

    model: FittedModel
    exact: bool
    residual: float
    accuracy: Accuracy | None
    pseudodata_s: float
    fit_s: float


def fit_releases(
    study: Study,
    opened: Mapping[str, Opened],
    method: str,
    seed: int,
    tick: Tick,
    *,
    most_draws: int = MOST_DRAWS,
) -> Fitted:
    """Fit accepted releases: from sums where that is lossless, else pseudo-data."""
    targets = {site: one.targets for site, one in opened.items()}
    groups = _groups(study)
    if study.family == "gaussian":
        started = time.perf_counter()
        tick("fit", 0, 1)
        model = fit_sums(study.model, targets, method, groups)
        tick("fit", 1, 1)
        return Fitted(model, True, 0.0, None, 0.0, time.perf_counter() - started)
    return _fit_approximate(study, opened, targets, method, seed, tick, most_draws)


def _fit_approximate(
    study: Study,
    opened: Mapping[str, Opened],
    targets: dict[str, Targets],
    method: str,
    seed: int,
    tick: Tick,
    most_draws: int,
) -> Fitted:
    started = time.perf_counter()
    model, groups = study.model, _groups(study)
    require_determined(model, targets)
    draws, lower = _draw(study, opened, targets, seed, tick, most_draws)
    generated = time.perf_counter()
    exact = all(one.rows.exact for many in draws.values() for one in many)
    residuals = {
        site: max(one.residual for one in many) for site, many in draws.items()
    }
    fits = 1 if exact else 4
    tick("fit", 0, fits)
    fitted = fit_pseudo(model, targets, draws, method, groups)
    accuracy = None
    if not exact:
        quick = [_attempt(model, targets, lower, groups)]
        for k in range(2):
            tick("fit", 1 + k, fits)
            chosen = {s: many[k::2] or many for s, many in draws.items()}
            quick.append(_attempt(model, targets, chosen, groups))
        tick("fit", 3, fits)
        # Like with like: what is compared is fitted by the same estimator.
        main = fitted
        if method != "laplace":
            main = _attempt(model, targets, draws, groups) or fitted
        below, first, second = quick
        halves = (first, second) if first and second else None
        # First moments cannot be judged: one such site leaves the whole unknown.
        informative = all(
            one.released.order > 1 or draws[site][0].rows.exact
            for site, one in opened.items()
        )
        accuracy = accuracy_of(
            main,
            below if informative else None,
            halves,
            share=share_of_step(
                (one.released.release_set, one.released.order)
                for site, one in opened.items()
                if not draws[site][0].rows.exact
            ),
            missed=missed_share(
                np.array([targets[site].n_rows for site in residuals], dtype=float),
                np.array(list(residuals.values())),
            ),
        )
    tick("fit", fits, fits)
    return Fitted(
        fitted,
        exact,
        max(residuals.values()),
        accuracy,
        generated - started,
        time.perf_counter() - generated,
    )


def _attempt(
    model: Model,
    targets: Mapping[str, Targets],
    draws: Mapping[str, list[PseudoSite]],
    groups: Mapping[str, str],
) -> FittedModel | None:
    """A fit for comparison; None where it fails, which is no fault of the main one."""
    try:
        return fit_pseudo(model, targets, draws, "laplace", groups)
    except FitError:
        return None


def _draw(
    study: Study,
    opened: Mapping[str, Opened],
    targets: Mapping[str, Targets],
    seed: int,
    tick: Tick,
    most_draws: int,
) -> tuple[dict[str, list[PseudoSite]], dict[str, list[PseudoSite]]]:
    """Several draws of pseudo-data for each site, and some of one order lower."""
    model = study.model
    degrees = moment_degrees(model, max(o.released.order for o in opened.values()))
    rows = [planned_rows(t) for t in targets.values()]
    starts = Starts.for_rows(seed, max(rows))
    count = int(np.clip(MOST_ROWS // sum(rows), FEWEST_DRAWS, most_draws))

    def site(name: str) -> tuple[list[PseudoSite], list[PseudoSite]]:
        # The block follows from the study, not from who takes part.
        block = study.sites.index(name) * MOST_DRAWS
        wanted, order = targets[name], opened[name].released.order
        first = pseudo_site(model, wanted, starts, block)
        if first.rows.exact:
            return [first], [first]
        # Fewer rows than moments are all but determined by them, and slow to find.
        scarce = wanted.n_rows < len(wanted.moments)
        while first.residual > UNMATCHED and not scarce and order > 2:
            # Heavy tails: a lower order that is met tells more than a higher missed.
            order -= 1
            wanted = wanted.lower(degrees, order)
            first = pseudo_site(model, wanted, starts, block)
        # What is known at the anchor leaves little to chance.
        few_will_do = scarce or wanted.anchored is not None
        many = [
            pseudo_site(model, wanted, starts, block + k)
            for k in range(1, FEWEST_DRAWS if few_will_do else count)
        ]
        if order == 1:
            return [first, *many], [first]
        if wanted.anchored is not None and order == 2:
            below = wanted.unbent()
        else:
            below = wanted.lower(degrees, order - 1)
        few = [
            pseudo_site(model, below, starts, block + k)
            for k in range(1 if few_will_do else FEWEST_DRAWS)
        ]
        return [first, *many], few

    draws: dict[str, list[PseudoSite]] = {}
    lower: dict[str, list[PseudoSite]] = {}
    workers = max(1, min(4, os.cpu_count() or 1))
    tick("pseudo-data", 0, len(opened))
    with ThreadPoolExecutor(workers) as pool:
        for name, (many, few) in zip(opened, pool.map(site, opened), strict=True):
            draws[name], lower[name] = many, few
            tick("pseudo-data", len(draws), len(opened))
    return draws, lower


def _groups(study: Study) -> dict[str, str]:
    """Grouping columns of the formula, all of which mean the site here."""
    return {part.group[0]: study.site_column for part in study.model.formula.random}
