"""Sites whose sums no smooth pseudo-data reach: what is known at the anchor is kept.

One patient far from all others can carry most of a site's variance; rows that are moved
smoothly from a Gaussian do not get there.  What they meet instead, when they must meet
all moments at once, is nothing: the likelihood at the anchor included, which alone is
worth more than the moments.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from fedglmm_flower.coordinator.pooling import PseudoSite
from fedglmm_flower.coordinator.targets import Targets
from fedglmm_flower.study.polynomial import Monomial

# Largest residual at which a site's sums count as met.
UNMATCHED = 1e-2
# Residual beyond which fewer sums that are met tell more than all of them missed.
# Measured on Poisson counts with a lognormal column, 20 sites of 60 to 300 rows: from
# 0.67, 0.53, 0.34 and 0.26 standard errors to 0.11, 0.26, 0.17 and 0.04 where a site
# missed more than this; with 0.01 in its place sites that miss a few hundredths grow
# worse, from 0.19 to 0.28.
UNREACHED = 0.1


def fewer_sums(
    targets: Targets, degrees: Mapping[Monomial, int]
) -> Iterator[tuple[int, Targets]]:
    """
    Selections of an anchored site's sums, the largest first, with their orders.

    Parameters
    ----------
    targets : Targets
        Sums of order two that are out of reach.
    degrees : mapping
        Moment functions by degree.
    """
    if targets.anchored is None:
        return
    first = targets.lower(degrees, 1)
    yield 2, targets.unbent()
    yield 1, first
    yield 1, first.unbent()


def within_reach(
    first: PseudoSite,
    targets: Targets,
    degrees: Mapping[Monomial, int],
    draw: Callable[[Targets], PseudoSite],
) -> tuple[PseudoSite, int, Targets] | None:
    """
    Pseudo-data of the largest selection that can be met, its order, and what it is.

    Parameters
    ----------
    first : PseudoSite
        Pseudo-data of all sums.
    targets : Targets
        Those sums.
    degrees : mapping
        Moment functions by degree.
    draw : callable
        Makes pseudo-data.

    Returns
    -------
    tuple or None
        None where all sums are met well enough, or no selection is.
    """
    if first.residual <= UNREACHED:
        return None
    for order, fewer in fewer_sums(targets, degrees):
        tried = draw(fewer)
        if tried.residual <= UNMATCHED:
            return tried, order, fewer
    return None


def with_unmet(one: PseudoSite, released: Targets) -> PseudoSite:
    """
    The same pseudo-data; what was left out at the anchor counts as missed.

    Parameters
    ----------
    one : PseudoSite
        Made for fewer sums.
    released : Targets
        All of them.
    """
    anchored = released.anchored
    if anchored is None:
        return one
    means = anchored.means
    functions = anchored.expansion.values(one.rows.values)[: len(means)]
    share = one.rows.weights / released.total
    size = np.maximum(np.sqrt(functions**2 @ share), 1e-300)
    missed = float((np.abs(functions @ share - means) / size).max())
    return replace(one, residual=max(one.residual, missed))
