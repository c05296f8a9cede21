"""A sealed release is proved to be a site's before it counts as the site's answer."""

from collections.abc import Mapping

from fedglmm_flower.envelope import Binding, Identity, PublicIdentity, unseal
from fedglmm_flower.errors import EnvelopeError
from fedglmm_flower.study.study import Study


def open_envelope(
    study: Study,
    site: str,
    sealed: bytes,
    *,
    run_id: str,
    identity: Identity,
    publics: Mapping[str, PublicIdentity],
    manifest: str | None = None,
) -> bytes:
    """
    The encoded release inside a sealed one, if it is this site's for this run.

    Law: what comes back was signed by the pinned key of ``site``, for this study, run,
    manifest and coordinator.  Two messages with the same content are one answer.

    Parameters
    ----------
    study : Study
        What was asked.
    site : str
        The site that it is said to come from.
    sealed : bytes
        What arrived.
    run_id : str
        Name of the run.
    identity : Identity
        The coordinator's keys.
    publics : mapping
        Pinned public identity of each site.
    manifest : str, optional
        Digest of the manifest under which the run was made.

    Raises
    ------
    EnvelopeError
        If the site is not expected, or the message is a replay from another run or
        study, bound to another manifest, another site's, altered, or not signed by the
        site.
    """
    public = publics.get(site)
    if site not in study.sites or public is None:
        raise EnvelopeError(
            f"release of {site!r}: the site is not expected; only the study's sites "
            "with a pinned key are accepted; correct the list of sites"
        )
    binding = Binding("release", study.digest, run_id, site, manifest)
    return unseal(sealed, binding=binding, recipient=identity, sender=public)
