"""A site's whole answer: rows to a released summary, gate by gate."""

from dataclasses import dataclass

from fedglmm_flower.errors import StudyMismatchError
from fedglmm_flower.site.clearing import clear_apart, require_apart, rows_apart
from fedglmm_flower.site.mechanism import Mechanism, NoNoise
from fedglmm_flower.site.memory import SiteMemory
from fedglmm_flower.site.policy import Policy
from fedglmm_flower.site.released import Released
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
    before = () if memory is None else memory.answers()
    cleared, rows = clear_apart(
        study, source, found, policy, before, site=site, key=key
    )
    released = (mechanism or NoNoise()).release(cleared)
    if memory is not None:
        # Only now: of what the gate refused nothing is known outside.  Compared once
        # more: another study may have been answered in between.
        memory.enter(
            study.digest,
            found.snapshot,
            [rows],
            lambda known, told: require_apart(
                rows_apart(study, told, cleared, policy, known)
            ),
            numbers=sum(len(one.values) for one in cleared.clusters.values()),
        )
    return Answer(released, found.snapshot)


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
