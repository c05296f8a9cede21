"""A site's sealed answer in a further round, once the request is admitted."""

from pathlib import Path
from typing import Protocol

from fedglmm_flower.envelope import (
    Binding,
    Identity,
    PublicIdentity,
    decode_point,
    encode_score,
    seal,
    unseal,
)
from fedglmm_flower.flower.exchange import ScoreRequest, SealedRelease
from fedglmm_flower.site import Policy, Privacy, SiteMemory, TableSource
from fedglmm_flower.site.scoring import score
from fedglmm_flower.study import Study


class Site(Protocol):
    """What a desk knows of its site."""

    @property
    def site(self) -> str:
        """Name of the site."""
        ...

    @property
    def source(self) -> TableSource:
        """Its rows."""
        ...

    @property
    def policy(self) -> Policy:
        """Its thresholds."""
        ...

    @property
    def privacy(self) -> Privacy | None:
        """The noise that it adds; None for none."""
        ...

    @property
    def memory(self) -> SiteMemory | None:
        """What it has answered."""
        ...

    @property
    def inbox(self) -> Path:
        """The folder that counts points where nothing else is remembered."""
        ...


def answer_point(
    here: Site,
    asked: ScoreRequest,
    study: Study,
    identity: Identity,
    coordinator: PublicIdentity,
    manifest: str | None,
) -> SealedRelease:
    """
    Open the point, score the site's rows there, and seal what may leave.

    Leaves the site: the score, sealed to the pinned coordinator.

    Parameters
    ----------
    here : Site
        The site that is asked.
    asked : ScoreRequest
        The request, already admitted.
    study : Study
        Its study.
    identity, coordinator
        The site's keys, and the pinned coordinator's.
    manifest : str or None
        Digest of the manifest that the exchange runs under.

    Raises
    ------
    EnvelopeError, WireError
        If the point is not the pinned coordinator's, or not for this site and run.
    FedglmmError
        See :func:`~fedglmm_flower.site.scoring.score`.
    """
    place = (study.digest, asked.request.run_id, here.site, manifest)
    point = decode_point(
        unseal(
            asked.sealed,
            binding=Binding("point", *place),
            recipient=identity,
            sender=coordinator,
        )
    )
    scored = score(
        study,
        here.source,
        here.policy,
        point,
        site=here.site,
        asked=here.memory or SiteMemory(here.inbox),
        privacy=here.privacy,
        memory=here.memory,
    )
    sealed = seal(
        encode_score(scored),
        binding=Binding("score", *place),
        sender=identity,
        recipient=coordinator,
    )
    return SealedRelease(here.site, sealed)
