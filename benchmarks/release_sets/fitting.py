"""From what is fixed of every site to the distance from the pooled fit."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.release_sets.cases import Case
from fedglmm_flower.coordinator.pooling import PseudoSite, fit_pseudo, pseudo_site
from fedglmm_flower.coordinator.pseudodata import planned_rows
from fedglmm_flower.coordinator.starts import Starts
from fedglmm_flower.coordinator.targets import Targets


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


def drawn(
    case: Case, targets: Mapping[str, Targets], draws: int
) -> dict[str, list[PseudoSite]]:
    """Pseudo-data of every site."""
    starts = Starts.for_rows(1, max(planned_rows(t) for t in targets.values()))
    return {
        site: [
            pseudo_site(case.model, one, starts, block * draws + k)
            for k in range(draws)
        ]
        for block, (site, one) in enumerate(targets.items())
    }


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
