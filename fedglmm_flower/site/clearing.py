"""From rows to what may leave: by itself, and beside what was answered before."""

from collections.abc import Sequence

from fedglmm_flower.errors import DisclosureError
from fedglmm_flower.site.cell_rules import rows_fixed_by
from fedglmm_flower.site.clusters import ClearedSite, clear_site
from fedglmm_flower.site.differencing import differencing, own_columns
from fedglmm_flower.site.finding import Finding
from fedglmm_flower.site.labels import Path
from fedglmm_flower.site.memory import Answered
from fedglmm_flower.site.moments import Moments, SiteMoments
from fedglmm_flower.site.policy import Policy
from fedglmm_flower.site.released import REMAINDER
from fedglmm_flower.site.row_places import RowPlaces
from fedglmm_flower.site.row_sets import RowSets, row_sets
from fedglmm_flower.site.snapshot import require_unchanged
from fedglmm_flower.site.source import TableSource
from fedglmm_flower.site.summarise import summarise_clusters
from fedglmm_flower.site.summed_cells import summed_cells
from fedglmm_flower.study.offers import Offer
from fedglmm_flower.study.study import Study


def clear_apart(
    study: Study,
    source: TableSource,
    found: SiteMoments,
    policy: Policy,
    before: Sequence[Answered],
    *,
    site: str,
    key: bytes = b"",
    seen: list[Finding] | None = None,
) -> tuple[ClearedSite, RowSets]:
    """
    Pass the best set that tells of few rows neither alone nor by subtraction.

    Where a set passes every rule by itself and not beside earlier answers, the next
    ones of the study's list are tried.

    Parameters
    ----------
    study : Study
        The question.
    source : TableSource
        The site's rows.
    found : SiteMoments
        Their sums.
    policy : Policy
        The officer's thresholds.
    before : sequence of Answered
        What the site answered before.
    site : str
        Name of this site.
    key : bytes
        The secret that the digest of their rows was made with.
    seen : list of Finding or None
        Takes what is found of the set that was tried last.

    Returns
    -------
    ClearedSite, RowSets
        What may leave, and which rows it sums.

    Raises
    ------
    DataError
        If the rows are no longer those of the sums.
    DisclosureError
        If no set passes; for its difference, if the first one fails by that.
    """
    offers = study.offers
    refused: DisclosureError | None = None
    while offers:
        try:
            cleared = clear_rows(
                study, source, found, policy, site=site, key=key, offers=offers
            )
        except DisclosureError as error:
            raise refused or error from None
        rows = summed_rows(study, found, cleared)
        findings = [
            own_apart(rows, policy),
            rows_apart(study, rows, cleared, policy, before),
        ]
        if seen is not None:
            seen[:] = findings
        try:
            for finding in findings:
                require_apart(finding)
        except DisclosureError as error:
            refused = refused or error
        else:
            return cleared, rows
        used = next(iter(cleared.clusters.values()))
        offers = offers[offers.index((used.release_set, used.order)) + 1 :]
    raise refused or DisclosureError("disclosure: the study offers no set")


def summed_rows(study: Study, found: SiteMoments, cleared: ClearedSite) -> RowSets:
    """Which rows would go out in sums, cluster by cluster."""
    # Names may have been replaced by numbers: what passed by itself is the same object.
    passed = {id(one.moments) for one in cleared.clusters.values()}
    alone: list[list[RowPlaces]] = []
    pooled: list[RowPlaces] = []
    for path, places in found.places.items():
        if id(found.clusters[path]) in passed:
            alone.append([places])
        elif path not in cleared.left_out:
            pooled.append(places)
    sent = (s for one in cleared.clusters.values() for s in one.statistics)
    cells = summed_cells(study.moment_model, dict.fromkeys(sent))
    return row_sets([*alone, *([pooled] if pooled else [])], cells, found.units)


def rows_apart(
    study: Study,
    rows: RowSets,
    cleared: ClearedSite,
    policy: Policy,
    before: Sequence[Answered],
) -> Finding:
    """What sums of some rows tell by difference from earlier answers."""
    if not (policy.enabled and policy.compare_answers):
        return Finding("differencing", True, "differencing: is not looked at")
    names = (one.statistics for one in cleared.clusters.values())
    whole = max(map(rows_fixed_by, names), default=0) + 1
    return differencing(before, study.digest, rows, policy.min_cell, whole)


def own_apart(rows: RowSets, policy: Policy) -> Finding:
    """What sums of some rows tell by difference from one another."""
    if not policy.enabled:
        return Finding("nesting", True, "nesting: is not looked at")
    return own_columns(rows, policy.min_cell)


def require_apart(apart: Finding) -> None:
    """
    Refuse what tells of few rows by subtraction.

    Raises
    ------
    DisclosureError
        If it differs by few rows from other sums.
    """
    if not apart.passed:
        raise DisclosureError(f"disclosure: {apart.detail}")


def clear_rows(
    study: Study,
    source: TableSource,
    found: SiteMoments,
    policy: Policy,
    *,
    site: str,
    key: bytes = b"",
    offers: tuple[Offer, ...] | None = None,
) -> ClearedSite:
    """
    Pass the clusters of a site; the rows of those to be pooled are read once more.

    Parameters
    ----------
    study : Study
        The question.
    source : TableSource
        The site's rows.
    found : SiteMoments
        Their sums.
    policy : Policy
        The officer's thresholds.
    site : str
        Name of this site.
    key : bytes
        The secret that the digest of their rows was made with.
    offers : tuple of (str, int) or None
        Sets that are tried; all of the study's if None.

    Raises
    ------
    DataError
        If the rows are no longer those of the sums.
    DisclosureError
        See :func:`clear_site`.
    """
    remainder = (REMAINDER,) * len(study.clusters)

    def pool(small: frozenset[Path]) -> Moments:
        # Not added up: the remainder's anchor is one of its own.
        def name(path: Path) -> Path | None:
            return remainder if path in small else None

        pooled = summarise_clusters(
            study, source, site=site, name=name, key=key, unit=policy.unit
        )
        require_unchanged((found.snapshot, pooled.snapshot), source.name)
        return pooled.clusters[remainder]

    return clear_site(study, found, policy, pool, offers)
