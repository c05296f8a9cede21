"""The desk of a deployed site, from its ``site.toml``."""

from datetime import datetime
from pathlib import Path

from fedglmm_flower.envelope import (
    Identity,
    PublicIdentity,
    read_identity,
    read_public,
)
from fedglmm_flower.envelope.passphrase import Ask, ambient_passphrase
from fedglmm_flower.envelope.policy_versions import PolicyVersion
from fedglmm_flower.flower.approvals import APPROVALS, read_approvals
from fedglmm_flower.flower.policy_in_force import policy_in_force
from fedglmm_flower.flower.site_desk import SiteDesk
from fedglmm_flower.flower.site_log import LOG_NAME
from fedglmm_flower.site import read_site_config


def desk_of(path: Path, ask: Ask = ambient_passphrase) -> SiteDesk:
    """
    The desk that a ``site.toml`` describes.

    Parameters
    ----------
    path : Path
        The file; its folder also takes the site's log.
    ask : callable
        Gives the passphrase of a key file; from the environment when left out.

    Returns
    -------
    SiteDesk
        Its key files are read when they are needed.

    Raises
    ------
    PolicyError
        If the file is missing or malformed.
    """
    config = read_site_config(path)

    def keys() -> tuple[Identity, PublicIdentity]:
        own = config.identity_path
        return (
            read_identity(own, ask(own)),
            read_public(config.coordinator_path),
        )

    def require_policy(own: PublicIdentity, now: datetime) -> PolicyVersion | None:
        return policy_in_force(path, config, own, now)

    return SiteDesk(
        site=config.site,
        source=config.source,
        policy=config.policy,
        keys=keys,
        approved=config.approved,
        inbox=config.inbox,
        log=path.parent / LOG_NAME,
        memory=config.memory,
        approvals=read_approvals(path.parent / APPROVALS),
        require_manifest=config.require_manifest,
        answers=config.answers,
        privacy=config.privacy,
        ledger=config.ledger,
        require_policy=require_policy,
    )
