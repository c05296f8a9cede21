"""Whether a site's policy is in force: signed last, and later than any before."""

from pathlib import Path

from fedglmm_flower.envelope import PublicIdentity
from fedglmm_flower.envelope.policy_versions import (
    POLICY_VERSIONS,
    PolicyVersion,
    read_versions,
    require_signed,
)
from fedglmm_flower.site import SiteConfig


def policy_in_force(
    path: Path, config: SiteConfig, own: PublicIdentity
) -> PolicyVersion | None:
    """
    The version in force; the site's memory holds it from then on.

    Parameters
    ----------
    path : Path
        ``site.toml``; the signed versions stand beside it.
    config : SiteConfig
        What it says.
    own : PublicIdentity
        The site's, whose signature it must be.

    Returns
    -------
    PolicyVersion or None
        None where nothing was ever signed and nothing need be.

    Raises
    ------
    PolicyError
        If the policy is not as it was signed last, or if a version that was in force
        is no longer among the signed ones.
    StorageError
        If the site's memory cannot be read or written.
    """
    versions = path.parent / POLICY_VERSIONS
    found = require_signed(versions, config.digest, own, demanded=config.signed)
    config.memory.hold_policy([version.digest for version in read_versions(versions)])
    return found
