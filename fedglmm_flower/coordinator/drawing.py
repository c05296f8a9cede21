"""Draws of pseudo-data for every cluster, and those by which they are judged."""

import os
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import numpy as np

from fedglmm_flower.coordinator.blocks import Block, block_numbers
from fedglmm_flower.coordinator.opening import Opened
from fedglmm_flower.coordinator.pooling import PseudoSite, pseudo_site
from fedglmm_flower.coordinator.pseudodata import planned_rows
from fedglmm_flower.coordinator.starts import Starts
from fedglmm_flower.coordinator.targets import Targets
from fedglmm_flower.coordinator.unreached import UNMATCHED, with_unmet, within_reach
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
Draws: TypeAlias = dict[Block, list[PseudoSite]]
Degrees: TypeAlias = Mapping[Products, Mapping[Monomial, int]]


@dataclass(frozen=True)
class Drawing:
    """
    Pseudo-data of all clusters.

    Parameters
    ----------
    main : mapping
        Those of the fit.
    lower : mapping
        For the sums of the set below.
    skewed : mapping
        For all sums of anchored sets, from a skewed start: what the sums leave open
        differs.
    reduced : tuple of str
        Sites of which fewer sums are used, since all of them are out of reach.
    judged : bool
        Whether ``lower`` and ``skewed`` were drawn.
    anchored : bool
        Whether any cluster's sums are those of an anchored set.
    """

    main: Draws
    lower: Draws
    skewed: Draws
    reduced: tuple[str, ...]
    judged: bool
    anchored: bool


class _Cluster(NamedTuple):
    main: list[PseudoSite]
    lower: list[PseudoSite]
    skewed: list[PseudoSite]
    reduced: bool = False


@dataclass(frozen=True)
class _Plan:
    """What holds for all clusters."""

    model: Model
    degrees: Degrees
    starts: Starts
    count: int
    judged: bool

    def several(
        self, wanted: Targets, block: int, numbers: range, *, skewed: bool = False
    ) -> list[PseudoSite]:
        starts = replace(self.starts, skewed=skewed)
        return [pseudo_site(self.model, wanted, starts, block + k) for k in numbers]


def draw(
    study: Study,
    opened: Mapping[str, Opened],
    targets: Mapping[Block, Targets],
    seed: int,
    tick: Callable[[str, int, int], None],
    *,
    most_draws: int = MOST_DRAWS,
    judged: bool = True,
) -> Drawing:
    """
    Several draws of pseudo-data for each cluster, and some to judge them by.

    Parameters
    ----------
    study : Study
        What was released.
    opened : mapping
        Accepted releases.
    targets : mapping
        Their sums.
    seed : int
        Seed of the starts.
    tick : callable
        Called with stage, done and total.
    most_draws : int
        Draws for each cluster, fewer where a set needs fewer.
    judged : bool
        Whether to draw for the set below and from a skewed start too.
    """
    rows = [planned_rows(t) for t in targets.values()]
    plan = _Plan(
        study.model,
        _degrees(study.model, {one.offer for one in opened.values()}),
        Starts.for_rows(seed, max(rows)),
        int(np.clip(MOST_ROWS // sum(rows), FEWEST_DRAWS, most_draws)),
        judged,
    )
    numbers = block_numbers(study, targets)

    def cluster(name: Block) -> _Cluster:
        offer = opened[name[0]].offer
        return _cluster(plan, targets[name], offer, numbers[name] * MOST_DRAWS)

    found: dict[Block, _Cluster] = {}
    workers = max(1, min(4, os.cpu_count() or 1))
    tick("pseudo-data", 0, len(targets))
    with ThreadPoolExecutor(workers) as pool:
        for name, one in zip(targets, pool.map(cluster, targets), strict=True):
            found[name] = one
            tick("pseudo-data", len(found), len(targets))
    return Drawing(
        {name: one.main for name, one in found.items()},
        {name: one.lower for name, one in found.items()},
        {name: one.skewed for name, one in found.items()},
        tuple(sorted({name[0] for name, one in found.items() if one.reduced})),
        judged,
        any(one.anchored is not None for one in targets.values()),
    )


def met(draws: list[PseudoSite]) -> list[PseudoSite]:
    """Draws, but for those that miss the sums by far more than others do."""
    least = min(one.residual for one in draws)
    return [one for one in draws if one.residual <= max(UNMATCHED, 2.0 * least)]


def _cluster(plan: _Plan, released: Targets, offer: Offer, block: int) -> _Cluster:
    """Draws of one cluster, of the most sums that can be met."""

    def once(what: Targets) -> PseudoSite:
        return pseudo_site(plan.model, what, plan.starts, block)

    first = once(released)
    if first.rows.exact:
        return _Cluster([first], [first], [first])
    # Fewer rows than moments are all but determined by them, and slow to find.
    scarce = released.n_rows < len(released.moments)
    first, wanted, order, held = _highest(plan.degrees, released, offer, first, once)
    fewer = within_reach(first, wanted, held, once)
    if fewer is not None:
        first, order, wanted = fewer
    enough = range(1, _enough(plan.count, wanted, scarce=scarce))
    good = met([first, *plan.several(wanted, block, enough)])
    if fewer is not None:
        # The step to fewer sums still says nothing of those that are missed.
        unmet = [with_unmet(one, released) for one in good]
        return _Cluster(unmet, good[:1], good[:1], reduced=True)
    if not plan.judged:
        return _Cluster(good, good[:1], good[:1])
    few, other, lower = range(FEWEST_DRAWS), good, [first]
    if wanted.anchored is not None:
        other = met(plan.several(wanted, block, few, skewed=True))
    if order > 1:
        lower = met(plan.several(_lowered(wanted, held, order), block, few))
    return _Cluster(good, lower, other)


def _highest(
    degrees: Degrees,
    wanted: Targets,
    offer: Offer,
    first: PseudoSite,
    once: Callable[[Targets], PseudoSite],
) -> tuple[PseudoSite, Targets, int, Mapping[Monomial, int]]:
    """The highest order that is met, its sums, and the degrees of their functions."""
    order, products = offer[1], split_set(offer[0])[1]
    held = degrees[products]
    scarce = wanted.n_rows < len(wanted.moments)
    lowest = order if scarce and wanted.anchored is None else 2
    if first.residual > UNMATCHED and products == "tables":
        # Cells of few rows: what the factors do together is left out first.
        held = degrees["all"]
        wanted = wanted.lower(held, order)
        first = once(wanted)
    while first.residual > UNMATCHED and order > lowest:
        # Heavy tails: a lower order that is met tells more than a higher missed.
        order -= 1
        wanted = wanted.lower(held, order)
        first = once(wanted)
    return first, wanted, order, held


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


def _enough(count: int, wanted: Targets, *, scarce: bool) -> int:
    """Draws of one cluster."""
    if scarce:
        return FEWEST_DRAWS
    return count if wanted.anchored is None else min(count, ANCHORED_DRAWS)


def _lowered(wanted: Targets, degrees: Mapping[Monomial, int], order: int) -> Targets:
    """The set below."""
    if wanted.anchored is not None and order == 2 and not wanted.anchored.public:
        return wanted.unbent()
    return wanted.lower(degrees, order - 1)
