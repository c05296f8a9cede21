"""The coordinator's own look at a manifest, before it asks anybody."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from fedglmm_flower.envelope import Identity, Manifest, PublicIdentity, split_signed
from fedglmm_flower.envelope.manifest_text import MAX_MANIFEST
from fedglmm_flower.errors import ManifestError, StudyMismatchError
from fedglmm_flower.study import Study


def read_manifest_file(path: Path) -> bytes:
    """
    Bytes of a signed manifest, unread.

    Raises
    ------
    ManifestError
        If the file cannot be read or is too large.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_MANIFEST + 1)
    except OSError as error:
        raise ManifestError(
            f"{path}: cannot be read ({error.strerror}); a manifest made by 'fedglmm "
            "study sign' is required; check the path"
        ) from None
    split_signed(data)
    return data


def check_own_manifest(
    data: bytes,
    study: Study,
    identity: Identity,
    publics: Mapping[str, PublicIdentity],
    *,
    now: datetime | None,
) -> Manifest:
    """
    Refuse early a manifest that the sites would refuse, or that names other keys.

    Whose signature counts is each site's own knowledge; here it must fit the text.

    Parameters
    ----------
    data : bytes
        The signed manifest.
    study : Study
        What is about to be asked.
    identity : Identity
        The coordinator's keys.
    publics : mapping
        Public identity of each site as the coordinator has pinned it.
    now : datetime or None
        The coordinator's time; None once the sites have answered, when their own
        clocks have decided.

    Raises
    ------
    StudyMismatchError
        If it is for another study.
    ManifestError
        If it was changed, has expired, or names another coordinator or other sites.
    """
    signed = split_signed(data)
    manifest = signed.read(signed.owner)
    if manifest.study != study.digest:
        raise StudyMismatchError(
            f"manifest {manifest.name!r}: study {manifest.study[:16]}... was found; "
            f"{study.digest[:16]}..., the study of this run, is required; give the "
            "manifest of this study"
        )
    if now is not None:
        manifest.check_time(now)
    own = identity.public
    if not any(p.encrypt_id == own.encrypt_id for p in manifest.recipients):
        raise ManifestError(
            f"manifest {manifest.name!r}: recipients "
            f"{', '.join(repr(p.name) for p in manifest.recipients)} were found; the "
            f"key of this coordinator ({own.fingerprint[:19]}...) is required among "
            "them; use the key that the manifest names, or ask for a new manifest"
        )
    for site in study.sites:
        named, pinned = manifest.party(site, site=True), publics[site]
        keys = None if named is None else (named.encrypt, named.verify)
        if keys != (pinned.encrypt, pinned.verify):
            raise ManifestError(
                f"manifest {manifest.name!r}, site {site!r}: no or other keys were "
                f"found; those pinned here ({pinned.fingerprint[:19]}...) are "
                "required; compare fingerprints with the site"
            )
    return manifest
