"""Whether a site's policy is in force: signed last, and later than any before."""

from datetime import datetime
from pathlib import Path

from fedglmm_flower.envelope import PublicIdentity
from fedglmm_flower.envelope.manifest import write_time
from fedglmm_flower.envelope.policy_versions import (
    POLICY_VERSIONS,
    SLOW,
    PolicyVersion,
    read_versions,
    require_signed,
)
from fedglmm_flower.errors import PolicyError
from fedglmm_flower.site import SiteConfig
from fedglmm_flower.site.kept import require_memory


def policy_in_force(
    path: Path, config: SiteConfig, own: PublicIdentity, now: datetime
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
    now : datetime
        The site's time.

    Returns
    -------
    PolicyVersion or None
        None where nothing was ever signed and nothing need be.

    Raises
    ------
    PolicyError
        If the policy is not as it was signed last, has expired or would by a right
        clock, or if a version that was in force is no longer among the signed ones.
    StorageError
        If the site's memory cannot be read or written, is missing or was set back.
    """
    require_memory(config.memory, config.answers)
    versions = path.parent / POLICY_VERSIONS
    found = require_signed(versions, config.digest, own, demanded=config.signed)
    config.memory.hold_policy([version.digest for version in read_versions(versions)])
    if config.expires is None:
        return found
    if found is not None and now < found.at - SLOW:
        raise PolicyError(
            f"{path}: the policy was signed at {write_time(found.at)}, and the clock "
            f"here says {write_time(now)}; by a clock that was set back no policy "
            "would expire; correct the clock, or sign the policy again"
        )
    if now.date() > config.expires:
        raise PolicyError(
            f"{path}: the policy expired after {config.expires}, and the clock here "
            f"says {now.date()}; one that has not expired is required; read it again, "
            "set 'expires' of [policy] and sign it, or correct the clock"
        )
    return found
