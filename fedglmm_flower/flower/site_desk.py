"""What a site does when it is asked: answer with a sealed release, store estimates."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fedglmm_flower.envelope import (
    Binding,
    Identity,
    PublicIdentity,
    decode_release,
    decode_result,
    encode_release,
    read_identity,
    read_public,
    seal,
    unseal,
)
from fedglmm_flower.errors import (
    DataError,
    EnvelopeError,
    LedgerError,
    StudyMismatchError,
)
from fedglmm_flower.flower.exchange import Delivery, Received, Request, SealedRelease
from fedglmm_flower.flower.files import write_whole
from fedglmm_flower.flower.site_log import LOG_NAME
from fedglmm_flower.site import (
    Ledger,
    Policy,
    Privacy,
    Released,
    SiteConfig,
    TableSource,
    Wire,
    check_approved,
    read_site_config,
    release,
    release_privately,
)
from fedglmm_flower.study import Study, parse_study

ESTIMATES = "estimates.json"
PASSPHRASE = "FEDGLMM_PASSPHRASE"  # noqa: S105 - the name of a variable


@dataclass(frozen=True)
class SiteDesk:
    """
    One site's side of the exchange; knows nothing of Flower.

    Parameters
    ----------
    site : str
        Name of the site.
    source : TableSource
        Its rows.
    policy : Policy
        Its thresholds.
    keys : callable
        Reads the site's identity and the coordinator's pinned public identity.
    approved : tuple of str
        Digests of the studies that it answers.
    inbox : Path
        Folder for the estimates.
    log : Path or None
        The site's own log; None to keep none.
    privacy : Privacy or None
        Noise and its budget; None to answer with exact sums.
    ledger : Path or None
        Where noise is paid.
    snapshot : callable
        Digest of the table, where there is noise.
    """

    site: str
    source: TableSource
    policy: Policy
    keys: Callable[[], tuple[Identity, PublicIdentity]]
    approved: tuple[str, ...]
    inbox: Path
    log: Path | None = None
    privacy: Privacy | None = None
    ledger: Path | None = None
    snapshot: Callable[[], str] | None = None

    def summarise(self, request: Request) -> SealedRelease:
        """
        Answer a request.

        Leaves the site: the release, sealed to the pinned coordinator.

        Parameters
        ----------
        request : Request
            What the coordinator asks.

        Returns
        -------
        SealedRelease
            The answer.

        Raises
        ------
        StudyMismatchError
            If the site has not approved the study.
        EnvelopeError
            If the request names a coordinator other than the pinned one.
        DataError, DisclosureError, KeyFileError
            If the table, the policy or a key stands in the way.
        BudgetError, LedgerError
            If the privacy budget or its ledger does.
        """
        # The digest is of the bytes: nothing unapproved is ever parsed.
        check_approved(hashlib.sha256(request.study).hexdigest(), self.approved)
        study = parse_study(request.study)
        identity, coordinator = self.keys()
        if request.coordinator_key != coordinator.encrypt_id:
            raise EnvelopeError(
                f"site {self.site!r}: the request comes from a coordinator with key "
                f"{request.coordinator_key[:16]}...; {coordinator.name!r} with key "
                f"{coordinator.encrypt_id[:16]}... is pinned here; compare "
                "fingerprints with the coordinator"
            )
        released = self._released(study)
        binding = Binding("release", study.digest, request.run_id, self.site)
        sealed = seal(
            encode_release(released),
            binding=binding,
            sender=identity,
            recipient=coordinator,
        )
        return SealedRelease(self.site, sealed)

    def _released(self, study: Study) -> Released:
        """Exact sums past the gate, or noisy ones paid from the ledger."""
        if self.privacy is None:
            return release(study, self.source, self.policy, site=self.site)
        if self.ledger is None or self.snapshot is None:
            raise LedgerError(
                f"site {self.site!r}: noise is switched on without a ledger or without "
                "a digest of the table; both are required; set them in site.toml"
            )
        return release_privately(
            study,
            self.source,
            self.privacy,
            Ledger(self.ledger),
            Wire(encode_release, decode_release),
            site=self.site,
            snapshot=self.snapshot(),
        )

    def receive(self, delivery: Delivery) -> Received:
        """
        Open the estimates and store them as ``estimates.json``.

        Parameters
        ----------
        delivery : Delivery
            What the coordinator sent.

        Returns
        -------
        Received
            The acknowledgement.

        Raises
        ------
        StudyMismatchError
            If they are of a study that the site has not approved.
        EnvelopeError, WireError
            If they are not the pinned coordinator's, or not for this site and run.
        """
        if delivery.study_digest not in self.approved:
            raise StudyMismatchError(
                f"site {self.site!r}: estimates of study "
                f"{delivery.study_digest[:16]}... arrived; an approved study is "
                "required; nothing was stored"
            )
        identity, coordinator = self.keys()
        binding = Binding("result", delivery.study_digest, delivery.run_id, self.site)
        result = decode_result(
            unseal(
                delivery.sealed, binding=binding, recipient=identity, sender=coordinator
            )
        )
        text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
        write_whole(self.inbox / ESTIMATES, text.encode())
        return Received(self.site)


def desk_of(path: Path) -> SiteDesk:
    """
    The desk that a ``site.toml`` describes.

    Parameters
    ----------
    path : Path
        The file; its folder also takes the site's log.

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
        passphrase = os.environ.get(PASSPHRASE)
        return (
            read_identity(config.identity_path, passphrase),
            read_public(config.coordinator_path),
        )

    return SiteDesk(
        site=config.site,
        source=config.source,
        policy=config.policy,
        keys=keys,
        approved=config.approved,
        inbox=config.inbox,
        log=path.parent / LOG_NAME,
        privacy=config.privacy,
        ledger=config.ledger,
        snapshot=lambda: _digest(config),
    )


def _digest(config: SiteConfig) -> str:
    """Digest of the file that holds the table: another file is another dataset."""
    path = getattr(config.source, "path", None)
    if not isinstance(path, Path):
        raise LedgerError(
            f"site {config.site!r}: its table is no file; a table with a digest is "
            "required where noise is switched on; read it from a file"
        )
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(
            f"{path.name}: cannot be read ({error.strerror}); a readable file is "
            "required; check the path and its permissions"
        ) from None
