"""From accepted releases to a fit: how many draws, which orders, how accurate."""

import os
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

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
    block_numbers,
    blocks_of,
    columns_of,
    labels_of,
    require_clusters,
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
from fedglmm_flower.coordinator.submodel import Submodel
from fedglmm_flower.coordinator.targets import Targets
from fedglmm_flower.errors import FitError
from fedglmm_flower.glmm import FittedModel
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.offers import Offer
from fedglmm_flower.study.polynomial import Monomial
from fedglmm_flower.study.products import Products, split_set
from fedglmm_flower.study.release import moment_degrees
from fedglmm_flower.study.study import Study

# Draws of each site, fewer where the pseudo-rows would be too many to fit at ease.
MOST_DRAWS = 12
FEWEST_DRAWS = 2
# What is known at the anchor leaves less to chance.
ANCHORED_DRAWS = 4
MOST_ROWS = 1_500_000
# Largest residual at which a site's moments count as met.
UNMATCHED = 1e-2
Tick = Callable[[str, int, int], None]
# Columns of the grouping columns, and the labels of all clusters in them.
Groups = tuple[Mapping[str, str], Mapping[str, list[str]]]


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
    part: Submodel | None = None,
    most_draws: int = MOST_DRAWS,
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
        return Fitted(model, True, 0.0, None, 0.0, time.perf_counter() - started)
    if part is not None and (study.is_joint or all(asked.model.factors)):
        # Without a continuous column its own moments may be a whole table.
        return _fit_approximate(
            asked, opened, selected, method, seed, tick, None, most_draws
        )
    return _fit_approximate(
        study, opened, targets, method, seed, tick, part, most_draws
    )


def _fit_approximate(
    study: Study,
    opened: Mapping[str, Opened],
    targets: dict[Block, Targets],
    method: str,
    seed: int,
    tick: Tick,
    part: Submodel | None,
    most_draws: int,
) -> Fitted:
    started = time.perf_counter()
    model = study.model
    groups = (columns_of(study), labels_of(study, targets))
    if part is None:
        require_determined(model, targets)
    draws, lower = _draw(study, opened, targets, seed, tick, most_draws)
    if part is not None:
        # What was drawn for all released columns holds those of any model of them.
        model, targets = part.model, part.blocks(opened)
        draws, lower = part.draws(draws), part.draws(lower)
        groups = (columns_of(part.study), labels_of(part.study, targets))
        require_determined(model, targets)
    generated = time.perf_counter()
    exact = all(one.rows.exact for many in draws.values() for one in many)
    residuals = {
        site: max(one.residual for one in many) for site, many in draws.items()
    }
    fits = 1 if exact else 4
    tick("fit", 0, fits)
    fitted = fit_pseudo(model, targets, draws, method, *groups)
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
            opened[block[0]].released.order > 1 or many[0].rows.exact
            for block, many in draws.items()
        )
        accuracy = accuracy_of(
            main,
            below if informative else None,
            halves,
            share=(FOR_ANOTHER if part is not None and part.is_another else 1.0)
            * _share(model, opened, targets, draws),
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


def _share(
    model: Model,
    opened: Mapping[str, Opened],
    targets: Mapping[Block, Targets],
    draws: Mapping[Block, list[PseudoSite]],
) -> float:
    """Error as a share of the step, by the sites that are not exact."""
    open_ones = [block for block, many in draws.items() if not many[0].rows.exact]
    offers = {opened[b[0]].offer for b in open_ones}
    tails = heaviest_tails([targets[b] for b in open_ones], model.factors)
    return share_of_step(offers, tails)


def _met(draws: list[PseudoSite]) -> list[PseudoSite]:
    """Draws, but for those that miss the sums by far more than others do."""
    least = min(one.residual for one in draws)
    return [one for one in draws if one.residual <= max(UNMATCHED, 2.0 * least)]


def _attempt(
    model: Model,
    targets: Mapping[Block, Targets],
    draws: Mapping[Block, list[PseudoSite]],
    groups: Groups,
) -> FittedModel | None:
    """A fit for comparison; None where it fails, which is no fault of the main one."""
    try:
        return fit_pseudo(model, targets, draws, "laplace", *groups)
    except FitError:
        return None


def _degrees(
    model: Model, offers: Collection[Offer]
) -> dict[Products, dict[Monomial, int]]:
    """Order from which on a release holds a moment function, by kind of products."""
    highest: dict[Products, int] = {}
    for name, order in offers:
        products = split_set(name)[1]
        # Tables that cannot be met are given up for the plain products.
        kinds: set[Products] = {products} if products == "pairs" else {products, "all"}
        for kind in kinds:
            highest[kind] = max(order, highest.get(kind, 1))
    return {kind: moment_degrees(model, k, kind) for kind, k in highest.items()}


def _draw(
    study: Study,
    opened: Mapping[str, Opened],
    targets: Mapping[Block, Targets],
    seed: int,
    tick: Tick,
    most_draws: int,
) -> tuple[dict[Block, list[PseudoSite]], dict[Block, list[PseudoSite]]]:
    """Several draws of pseudo-data for each cluster, and some of one order lower."""
    model = study.model
    degrees = _degrees(model, {one.offer for one in opened.values()})
    rows = [planned_rows(t) for t in targets.values()]
    starts = Starts.for_rows(seed, max(rows))
    count = int(np.clip(MOST_ROWS // sum(rows), FEWEST_DRAWS, most_draws))

    numbers = block_numbers(study, targets)

    def cluster(name: Block) -> tuple[list[PseudoSite], list[PseudoSite]]:
        block = numbers[name] * MOST_DRAWS
        wanted, (release_set, order) = targets[name], opened[name[0]].offer
        products = split_set(release_set)[1]
        held = degrees[products]
        first = pseudo_site(model, wanted, starts, block)
        if first.rows.exact:
            return [first], [first]
        # Fewer rows than moments are all but determined by them, and slow to find.
        scarce = wanted.n_rows < len(wanted.moments)
        lowest = order if scarce and wanted.anchored is None else 2
        if first.residual > UNMATCHED and products == "tables":
            # Cells of few rows: what the factors do together is left out first.
            held = degrees["all"]
            wanted = wanted.lower(held, order)
            first = pseudo_site(model, wanted, starts, block)
        while first.residual > UNMATCHED and order > lowest:
            # Heavy tails: a lower order that is met tells more than a higher missed.
            order -= 1
            wanted = wanted.lower(held, order)
            first = pseudo_site(model, wanted, starts, block)
        enough = count
        if wanted.anchored is not None:
            enough = min(count, ANCHORED_DRAWS)
        if scarce:
            enough = FEWEST_DRAWS
        many = [pseudo_site(model, wanted, starts, block + k) for k in range(1, enough)]
        good = _met([first, *many])
        if order == 1:
            return good, [first]
        if wanted.anchored is not None and order == 2 and not wanted.anchored.public:
            below = wanted.unbent()
        else:
            below = wanted.lower(held, order - 1)
        few = [
            pseudo_site(model, below, starts, block + k) for k in range(FEWEST_DRAWS)
        ]
        return good, _met(few)

    draws: dict[Block, list[PseudoSite]] = {}
    lower: dict[Block, list[PseudoSite]] = {}
    workers = max(1, min(4, os.cpu_count() or 1))
    tick("pseudo-data", 0, len(targets))
    with ThreadPoolExecutor(workers) as pool:
        for name, (many, few) in zip(targets, pool.map(cluster, targets), strict=True):
            draws[name], lower[name] = many, few
            tick("pseudo-data", len(draws), len(targets))
    return draws, lower
