"""Whether a site answers a query at all: its study, or its manifest, was approved."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from fedglmm_flower.envelope import (
    Manifest,
    PublicIdentity,
    SignedManifest,
    split_signed,
)
from fedglmm_flower.errors import ManifestError, StudyMismatchError
from fedglmm_flower.flower.approvals import Approval
from fedglmm_flower.flower.exchange import Request
from fedglmm_flower.site import check_approved

_APPROVE: Final = "read it and run 'fedglmm site approve MANIFEST'"


@dataclass(frozen=True)
class UnderManifest:
    """
    A manifest that the site has approved, its signature checked.

    Parameters
    ----------
    manifest : Manifest
        What it says.
    digest : str
        What the answer is bound to.
    """

    manifest: Manifest
    digest: str


def admit(
    request: Request,
    *,
    approved: tuple[str, ...],
    approvals: Iterable[Approval],
    manifest_required: bool,
    now: datetime,
) -> UnderManifest | None:
    """
    Decide on bytes alone whether a request may be read, before anything is parsed.

    Parameters
    ----------
    request : Request
        What arrived.
    approved : tuple of str
        Digests of the studies that are answered without a manifest.
    approvals : iterable of Approval
        The manifests that are answered.
    manifest_required : bool
        Whether a query without a manifest is refused, whatever its study.
    now : datetime
        The site's time.

    Returns
    -------
    UnderManifest or None
        The manifest; None for a request without one.

    Raises
    ------
    StudyMismatchError
        If the study is not approved, or not the manifest's.
    ManifestError
        If the manifest is not the approved one, or another owner's, or is missing
        where one is required.
    ManifestExpiredError
        If it has expired by the site's clock.
    """
    study = hashlib.sha256(request.study).hexdigest()
    if not request.manifest:
        if manifest_required:
            raise ManifestError(
                f"study {study[:16]}...: a query without a manifest was found; one "
                "under an approved manifest is required (require_manifest = true in "
                "site.toml); ask the coordinator to run under the study's manifest"
            )
        check_approved(study, approved)
        return None
    signed = split_signed(request.manifest)
    manifest = signed.read(_approval(signed, approvals).owner)
    if manifest.study != study:
        raise StudyMismatchError(
            f"study: digest {study[:16]}... was found; {manifest.study[:16]}..., the "
            "study of the approved manifest, is required; ask the coordinator which "
            "study is meant"
        )
    manifest.check_time(now)
    return UnderManifest(manifest, signed.digest)


def check_parties(
    manifest: Manifest,
    *,
    site: str,
    own: PublicIdentity,
    coordinator: PublicIdentity,
) -> None:
    """
    Refuse a manifest that does not name this site or the coordinator pinned here.

    Parameters
    ----------
    manifest : Manifest
        An approved manifest, or one that is about to be.
    site : str
        Name of this site.
    own, coordinator : PublicIdentity
        This site's keys, and the coordinator's as they are pinned here.

    Raises
    ------
    ManifestError
        With both keys.
    """
    where = f"manifest {manifest.name!r}"
    named = manifest.party(site, site=True)
    if named is None:
        raise ManifestError(
            f"{where}: it does not name the site {site!r}; a manifest that names it "
            "is required; ask the study's owner, or correct the name in site.toml"
        )
    if (named.encrypt, named.verify) != (own.encrypt, own.verify):
        raise ManifestError(
            f"{where}, site {site!r}: keys with fingerprint "
            f"{named.fingerprint[:19]}... were found; those of this site, "
            f"{own.fingerprint[:19]}..., are required; give the study's owner this "
            "site's public file, or use the key that the manifest names"
        )
    keys = {(party.encrypt, party.verify) for party in manifest.recipients}
    if (coordinator.encrypt, coordinator.verify) not in keys:
        found = ", ".join(f"{p.fingerprint[:19]}..." for p in manifest.recipients)
        raise ManifestError(
            f"{where}, recipient: keys with fingerprint {found} were found; those of "
            f"the coordinator pinned here, {coordinator.fingerprint[:19]}..., are "
            "required; compare fingerprints with the coordinator and the study's owner"
        )


def approved_digest(
    digest: str | None,
    study: str,
    *,
    approved: tuple[str, ...],
    approvals: Iterable[Approval],
    manifest_required: bool,
) -> str | None:
    """
    The manifest that estimates may be bound to: an approved one, or none.

    Estimates may come after the manifest has expired: nothing leaves for them.

    Parameters
    ----------
    digest : str or None
        The manifest that a sealed result claims to belong to.
    study : str
        Digest of the study that it claims to be of.
    approved, approvals, manifest_required
        See :func:`admit`.

    Raises
    ------
    StudyMismatchError
        If the site has not approved them.
    """
    if digest is None:
        known = study in approved and not manifest_required
    else:
        known = any((a.manifest, a.study) == (digest, study) for a in approvals)
    if not known:
        under = "" if digest is None else f" under manifest {digest[:16]}..."
        raise StudyMismatchError(
            f"estimates of study {study[:16]}...{under} arrived; an approved study is "
            "required; nothing was stored"
        )
    return digest


def utc_now() -> datetime:
    """The time by this machine's clock."""
    return datetime.now(UTC)


def _approval(signed: SignedManifest, approvals: Iterable[Approval]) -> Approval:
    known = {approval.manifest: approval for approval in approvals}
    found = known.get(signed.digest)
    if found is None:
        held = ", ".join(f"{digest[:16]}..." for digest in known) or "none"
        raise ManifestError(
            f"manifest: digest {signed.digest[:16]}... was found, which is not "
            f"approved here (approved: {held}); only approved manifests are "
            f"answered; {_APPROVE}"
        )
    return found
