"""A site's whole answer: rows to a released summary, gate by gate."""

from collections.abc import Sequence
from dataclasses import dataclass

from fedglmm_flower.errors import DisclosureError, StudyMismatchError
from fedglmm_flower.site.cell_rules import rows_fixed_by
from fedglmm_flower.site.clusters import ClearedSite, clear_site
from fedglmm_flower.site.differencing import differencing
from fedglmm_flower.site.finding import Finding
from fedglmm_flower.site.labels import Path
from fedglmm_flower.site.mechanism import Mechanism, NoNoise
from fedglmm_flower.site.memory import Answered, SiteMemory
from fedglmm_flower.site.moments import Moments, SiteMoments
from fedglmm_flower.site.policy import Policy
from fedglmm_flower.site.released import REMAINDER, Released
from fedglmm_flower.site.row_sets import RowSets, row_sets
from fedglmm_flower.site.snapshot import require_unchanged
from fedglmm_flower.site.source import TableSource
from fedglmm_flower.site.summarise import summarise_clusters
from fedglmm_flower.study.study import Study


@dataclass(frozen=True)
class Answer:
    """
    A site's answer and the rows that it is of.

    Parameters
    ----------
    released : Released
        What may leave.
    snapshot : str
        Digest of the rows; does not leave the site.
    """

    released: Released
    snapshot: str


def release(
    study: Study,
    source: TableSource,
    policy: Policy,
    *,
    site: str,
    mechanism: Mechanism | None = None,
    memory: SiteMemory | None = None,
) -> Released:
    """Summarise, clear and release; see :func:`answer`."""
    return answer(
        study, source, policy, site=site, mechanism=mechanism, memory=memory
    ).released


def answer(
    study: Study,
    source: TableSource,
    policy: Policy,
    *,
    site: str,
    mechanism: Mechanism | None = None,
    memory: SiteMemory | None = None,
) -> Answer:
    """
    Summarise, clear and release, and say of which rows.

    Parameters
    ----------
    study : Study
        The question.
    source : TableSource
        The site's rows.
    policy : Policy
        The officer's thresholds.
    site : str
        Name of this site.
    mechanism : Mechanism or None
        Privacy mechanism; None adds no noise.
    memory : SiteMemory or None
        What the site answered before; None to keep no record.

    Raises
    ------
    StudyMismatchError
        If the study does not expect this site.
    SnapshotError
        If the site has answered the study from other rows.
    DataError, DisclosureError
        See :func:`summarise` and :func:`clear`; also if its sums differ by few rows
        from those that the site sent for another study.
    """
    check_expected(study, site, policy.min_sites)
    key = b"" if memory is None else memory.key()
    found = summarise_clusters(study, source, site=site, key=key, unit=policy.unit)
    if memory is not None:
        memory.require_same(study.digest, found.snapshot)
    cleared = clear_rows(study, source, found, policy, site=site, key=key)
    released = (mechanism or NoNoise()).release(cleared)
    if memory is not None:
        # Only now: of what the gate refused nothing is known outside.
        memory.enter(
            study.digest,
            found.snapshot,
            [summed_rows(found, cleared)],
            lambda before, rows: require_apart(
                rows_apart(study, rows, cleared, policy, before)
            ),
            numbers=sum(len(one.values) for one in cleared.clusters.values()),
        )
    return Answer(released, found.snapshot)


def summed_rows(found: SiteMoments, cleared: ClearedSite) -> RowSets:
    """Which rows would go out in sums."""
    sent = (path for path in found.places if path not in cleared.left_out)
    return row_sets((found.places[path] for path in sent), found.units)


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


def require_apart(apart: Finding) -> None:
    """
    Refuse what tells of few rows by subtraction.

    Raises
    ------
    DisclosureError
        If it differs by few rows from the sums of another study.
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

    return clear_site(study, found, policy, pool)


def check_expected(study: Study, site: str, least: int = 1) -> None:
    """
    Refuse a study that asks other sites than this one, or too few.

    Parameters
    ----------
    study : Study
        The question.
    site : str
        Name of this site.
    least : int
        Fewest sites of a study that it takes part in.

    Raises
    ------
    StudyMismatchError
        If the site is none of the study's, or these are fewer.
    """
    if site not in study.sites:
        raise StudyMismatchError(
            f"study {study.name!r}: does not expect the site {site!r}; the site must "
            "be one of the study's sites; correct the name in site.toml"
        )
    if len(study.sites) < least:
        raise StudyMismatchError(
            f"study {study.name!r}: expects {len(study.sites)} sites; at least {least} "
            "are required by 'min_sites' of this site's policy, for of few sites each "
            "tells the others' estimates by subtraction; ask with more sites"
        )


def check_approved(study_digest: str, approved: tuple[str, ...]) -> None:
    """
    Refuse a study that this site has not approved.

    Takes the digest alone, so that nobody's study is read before it is approved.

    Raises
    ------
    StudyMismatchError
        If the digest is not among the approved ones.
    """
    if study_digest not in approved:
        raise StudyMismatchError(
            f"study: digest {study_digest[:16]}... is not approved here; only approved "
            "studies are answered; read it and add the digest to 'approved' in "
            "site.toml"
        )
