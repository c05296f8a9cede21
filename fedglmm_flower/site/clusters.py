"""The clusters of a site at the gate: each on its own, all in one set and order."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from fedglmm_flower.errors import DisclosureError
from fedglmm_flower.site.gate import Cleared, clear
from fedglmm_flower.site.labels import Path
from fedglmm_flower.site.moments import Moments, SiteMoments
from fedglmm_flower.site.policy import Policy
from fedglmm_flower.site.released import NUMBERED, REMAINDER, SmallClusters
from fedglmm_flower.study.offers import Offer
from fedglmm_flower.study.study import Study

# A better set is worth a tenth of the rows.
WORTH: Final = 0.9
Pool = Callable[[frozenset[Path]], Moments]


@dataclass(frozen=True)
class ClearedSite:
    """
    The clusters of a site that passed the gate, all with the same statistics.

    Does not leave the site: a privacy mechanism comes after.

    Parameters
    ----------
    clusters : mapping
        Name under which each leaves, and what passed.
    n_missing : int or None
        Rows of the site dropped for a missing value; None where they are too few to be
        told.
    small : SmallClusters or None
        What became of the clusters that did not pass.
    left_out : frozenset of paths
        Clusters none of whose rows go out, by their own names.
    """

    clusters: Mapping[Path, Cleared]
    n_missing: int | None
    small: SmallClusters | None = None
    left_out: frozenset[Path] = frozenset()

    @property
    def n_rows(self) -> int:
        """Rows that go out."""
        return sum(cleared.moments.n_rows for cleared in self.clusters.values())


def clear_site(
    study: Study,
    found: SiteMoments,
    policy: Policy,
    pool: Pool,
    offers: tuple[Offer, ...] | None = None,
) -> ClearedSite:
    """
    Pass the clusters of a site, each by every rule.

    All leave in the best set that lets out at least nine tenths of the rows that any
    set lets out.  Clusters that do not pass are pooled into a remainder, which passes
    every rule itself or is left out too; or they are left out, as the policy says.
    No sum over clusters leaves beside these, so that no difference tells of a small
    one.

    Parameters
    ----------
    study : Study
        The question.
    found : SiteMoments
        Sums of each cluster.
    policy : Policy
        The officer's thresholds.
    pool : callable
        Sums of the rows of several clusters together.
    offers : tuple of (str, int) or None
        Sets that are tried; all of the study's if None.

    Raises
    ------
    DisclosureError
        If no cluster passes.  The message names counts and is local.
    """
    offers = study.offers if offers is None else offers
    if not study.clusters:
        ((path, moments),) = found.clusters.items()
        cleared = clear(study.moment_model, moments, policy, offers)
        return ClearedSite({path: cleared}, _told_missing(found, policy))
    pools: dict[frozenset[Path], Moments] = {}

    def pooled(small: frozenset[Path]) -> Moments:
        if small not in pools:
            pools[small] = pool(small)
        return pools[small]

    choices = [_pass(study, found, policy, offer, pooled) for offer in offers]
    most = max((choice.n_rows for choice in choices if choice), default=0)
    # Without a gate what may be seen is seen, all of it.
    worth = WORTH if policy.enabled else 1.0
    for choice in choices:
        if choice is not None and choice.n_rows >= worth * most:
            return _renamed(choice, policy)
    sizes = [moments.n_units for moments in found.clusters.values()]
    counted = next(iter(found.clusters.values())).counted
    raise DisclosureError(
        f"disclosure: none of {len(sizes)} clusters of {min(sizes)} to {max(sizes)} "
        f"{counted} passes every rule of the policy at any order, nor do they "
        "together; every rule is required; ask for effects of the site alone, leave "
        "out a column, or take no part in this study"
    )


def _pass(
    study: Study, found: SiteMoments, policy: Policy, offer: Offer, pooled: Pool
) -> ClearedSite | None:
    """What goes out in one set; None if nothing does."""
    passed: dict[Path, Cleared] = {}
    for path, moments in found.clusters.items():
        cleared = _clear(study, moments, policy, offer)
        if cleared is not None:
            passed[path] = cleared
    failed = frozenset(found.clusters) - set(passed)
    missing = _told_missing(found, policy)
    if not failed:
        return ClearedSite(passed, missing)
    rows = sum(found.clusters[path].n_rows for path in failed)
    told = _told(rows, found.counted(failed), policy)
    small = SmallClusters("left_out", len(failed), told)
    left_out = failed
    if policy.small_clusters == "pool" and _can_pool(found, failed, policy):
        rest = _clear(study, pooled(failed), policy, offer)
        if rest is not None:
            passed[(REMAINDER,) * len(study.clusters)] = rest
            small = SmallClusters("pooled", len(failed), rows)
            left_out = frozenset()
    return ClearedSite(passed, missing, small, left_out) if passed else None


def _told(rows: int, units: int, policy: Policy) -> int | None:
    """A count of rows; None where it is of fewer units than the policy lets out."""
    return rows if rows == 0 or units >= policy.min_cell or not policy.enabled else None


def _told_missing(found: SiteMoments, policy: Policy) -> int | None:
    """Rows dropped for a missing value, or None."""
    count = found.n_missing
    return _told(count, count if found.units is None else found.missing_units, policy)


def _can_pool(found: SiteMoments, failed: frozenset[Path], policy: Policy) -> bool:
    """
    Whether the remainder without its largest cluster would be one too.

    Whoever knows that one, from another study or as its own, subtracts it.
    """
    if not policy.enabled:
        return True
    largest = max(failed, key=lambda path: found.clusters[path].n_units)
    return found.counted(failed - {largest}) >= policy.min_rows


def _clear(
    study: Study, moments: Moments, policy: Policy, offer: Offer
) -> Cleared | None:
    try:
        return clear(study.moment_model, moments, policy, (offer,))
    except DisclosureError:
        return None


def _renamed(site: ClearedSite, policy: Policy) -> ClearedSite:
    """The same with numbers for names, where the policy keeps names at the site."""
    if policy.cluster_names == "given":
        return site
    numbers: dict[tuple[int, str], str] = {}
    for column in range(len(next(iter(site.clusters)))):
        rows: dict[str, int] = {}
        sums: dict[str, list[tuple[float, ...]]] = {}
        for path, cleared in site.clusters.items():
            size = cleared.moments.n_rows
            rows[path[column]] = rows.get(path[column], 0) + size
            sums.setdefault(path[column], []).append(tuple(map(float, cleared.values)))
        rows.pop(REMAINDER, None)
        # By size and then by sums, which leave anyway: the alphabet would tell of the
        # names.
        ranked = sorted(rows, key=lambda label: (-rows[label], sorted(sums[label])))
        for number, label in enumerate(ranked, start=1):
            numbers[column, label] = f"{NUMBERED}{number}"
    clusters = {
        tuple(numbers.get((k, label), label) for k, label in enumerate(path)): cleared
        for path, cleared in site.clusters.items()
    }
    return replace(site, clusters=clusters)
