"""From what is fixed of every site to the distance from the pooled fit."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.release_sets.cases import Case
from fedglmm_flower.coordinator.pooling import PseudoSite, fit_pseudo, pseudo_site
from fedglmm_flower.coordinator.pseudodata import planned_rows
from fedglmm_flower.coordinator.starts import Starts
from fedglmm_flower.coordinator.targets import Targets
from fedglmm_flower.coordinator.unreached import UNMATCHED


@dataclass(frozen=True)
class Shift:
    """
    Distance from the pooled fit.

    Parameters
    ----------
    se : float
        Largest shift of a coefficient in standard errors.
    absolute : float
        The same as it is.
    sd : float
        Largest shift of a standard deviation of the random effects.
    residual : float
        Largest residual of any site.
    """

    se: float
    absolute: float
    sd: float
    residual: float


def met(
    case: Case, targets: Targets, starts: Starts, block: int
) -> tuple[Targets, PseudoSite]:
    """
    What a site's pseudo-data can meet, and a draw of them.

    The rule of the package: where heavy tails keep moments out of reach, those of a
    lower order are taken.
    """
    one = pseudo_site(case.model, targets, starts, block)
    scarce = targets.n_rows < len(targets.moments)
    order = max(case.degrees[m] for m in targets.moments)
    while one.residual > UNMATCHED and not scarce and order > 2:
        order -= 1
        targets = targets.lower(case.degrees, order)
        one = pseudo_site(case.model, targets, starts, block)
    return targets, one


def drawn(
    case: Case, targets: Mapping[str, Targets], draws: int
) -> dict[str, list[PseudoSite]]:
    """Pseudo-data of every site."""
    starts = Starts.for_rows(1, max(planned_rows(t) for t in targets.values()))
    found = {}
    for block, (site, wanted) in enumerate(targets.items()):
        first = block * draws
        lowered, one = met(case, wanted, starts, first)
        more = [
            pseudo_site(case.model, lowered, starts, first + k) for k in range(1, draws)
        ]
        found[site] = [one, *more]
    return found


def shift_of(
    case: Case,
    targets: Mapping[str, Targets],
    draws: Mapping[str, list[PseudoSite]],
) -> Shift:
    """Fit pseudo-data of a case and compare."""
    fitted = fit_pseudo(case.model, targets, draws, "laplace", case.groups)
    steps = fitted.estimates - case.pooled.estimates
    sds = np.concatenate([term.sd for term in fitted.random])
    pooled = np.concatenate([term.sd for term in case.pooled.random])
    return Shift(
        float(np.abs(steps / case.pooled.se).max()),
        float(np.abs(steps).max()),
        float(np.abs(sds - pooled).max()),
        max(one.residual for many in draws.values() for one in many),
    )
