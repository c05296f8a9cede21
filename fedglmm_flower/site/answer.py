"""A site's whole answer: rows to a released summary, gate by gate."""

from fedglmm_flower.errors import StudyMismatchError
from fedglmm_flower.site.gate import clear
from fedglmm_flower.site.mechanism import Mechanism, NoNoise
from fedglmm_flower.site.moments import summarise
from fedglmm_flower.site.policy import Policy
from fedglmm_flower.site.released import Released
from fedglmm_flower.site.source import TableSource
from fedglmm_flower.study.study import Study


def release(
    study: Study,
    source: TableSource,
    policy: Policy,
    *,
    site: str,
    mechanism: Mechanism | None = None,
) -> Released:
    """
    Summarise, clear and release.

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

    Raises
    ------
    StudyMismatchError
        If the study does not expect this site.
    DataError, DisclosureError
        See :func:`summarise` and :func:`clear`.
    """
    check_expected(study, site)
    moments = summarise(study, source, site=site)
    cleared = clear(study.moment_model, moments, policy, study.offers)
    return (mechanism or NoNoise()).release(cleared)


def check_expected(study: Study, site: str) -> None:
    """
    Refuse a study that asks other sites than this one.

    Raises
    ------
    StudyMismatchError
        If the site is none of the study's.
    """
    if site not in study.sites:
        raise StudyMismatchError(
            f"study {study.name!r}: does not expect the site {site!r}; the site must "
            "be one of the study's sites; correct the name in site.toml"
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
