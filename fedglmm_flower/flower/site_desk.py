"""What a site does when it is asked: answer with a sealed release, store estimates."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fedglmm_flower.envelope import (
    Binding,
    Identity,
    PublicIdentity,
    decode_release,
    decode_result,
    encode_release,
    read_header,
    read_identity,
    read_public,
    seal,
    unseal,
)
from fedglmm_flower.envelope.passphrase import ambient_passphrase
from fedglmm_flower.errors import EnvelopeError, LedgerError
from fedglmm_flower.flower.admission import (
    admit,
    approved_digest,
    check_parties,
    utc_now,
)
from fedglmm_flower.flower.approvals import APPROVALS, Approval, read_approvals
from fedglmm_flower.flower.exchange import Delivery, Received, Request, SealedRelease
from fedglmm_flower.flower.files import write_whole
from fedglmm_flower.flower.site_log import LOG_NAME
from fedglmm_flower.site import (
    FrozenSnapshots,
    Ledger,
    Policy,
    Privacy,
    Released,
    TableSource,
    Wire,
    read_site_config,
    release,
    release_privately,
)
from fedglmm_flower.site.demands import require_demands
from fedglmm_flower.study import Study, parse_study

ESTIMATES = "estimates.json"


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
        Digests of the studies that it answers without a manifest.
    inbox : Path
        Folder for the estimates.
    log : Path or None
        The site's own log; None to keep none.
    frozen : FrozenSnapshots or None
        Which rows each study was answered from; None to keep no record.
    approvals : tuple of Approval
        The manifests that it answers.
    require_manifest : bool
        Whether it answers under an approved manifest only.
    clock : callable
        The site's time.
    privacy : Privacy or None
        Noise and its budget; None to answer with exact sums.
    ledger : Path or None
        Where noise is paid.
    """

    site: str
    source: TableSource
    policy: Policy
    keys: Callable[[], tuple[Identity, PublicIdentity]]
    approved: tuple[str, ...]
    inbox: Path
    log: Path | None = None
    frozen: FrozenSnapshots | None = None
    approvals: tuple[Approval, ...] = ()
    require_manifest: bool = False
    clock: Callable[[], datetime] = utc_now
    privacy: Privacy | None = None
    ledger: Path | None = None

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
        ManifestError
            If the manifest is not the one approved here, has expired, or does not
            name this site and its coordinator.
        EnvelopeError
            If the request names a coordinator other than the pinned one.
        SnapshotError
            If the site has answered the study from other rows.
        DataError, DisclosureError, KeyFileError
            If the table, the policy or a key stands in the way.
        BudgetError, LedgerError
            If the privacy budget or its ledger does.
        """
        # Digests are of bytes: nothing unapproved is ever parsed.
        admitted = admit(
            request,
            approved=self.approved,
            approvals=self.approvals,
            manifest_required=self.require_manifest,
            now=self.clock(),
        )
        study = parse_study(request.study)
        identity, coordinator = self.keys()
        if request.coordinator_key != coordinator.encrypt_id:
            raise EnvelopeError(
                f"site {self.site!r}: the request comes from a coordinator with key "
                f"{request.coordinator_key[:16]}...; {coordinator.name!r} with key "
                f"{coordinator.encrypt_id[:16]}... is pinned here; compare "
                "fingerprints with the coordinator"
            )
        if admitted is not None:
            check_parties(
                admitted.manifest,
                site=self.site,
                own=identity.public,
                coordinator=coordinator,
            )
            require_demands(
                self.policy, admitted.manifest.demands, where=f"site {self.site!r}"
            )
        released = self._released(study)
        binding = Binding(
            "release",
            study.digest,
            request.run_id,
            self.site,
            None if admitted is None else admitted.digest,
        )
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
            return release(
                study, self.source, self.policy, site=self.site, frozen=self.frozen
            )
        if self.ledger is None:
            raise LedgerError(
                f"site {self.site!r}: noise is switched on without a ledger; one is "
                "required; set 'ledger' in [privacy] of site.toml"
            )
        return release_privately(
            study,
            self.source,
            self.privacy,
            Ledger(self.ledger),
            Wire(encode_release, decode_release),
            site=self.site,
            key=b"" if self.frozen is None else self.frozen.key(),
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
        manifest = approved_digest(
            read_header(delivery.sealed).manifest,
            delivery.study_digest,
            approved=self.approved,
            approvals=self.approvals,
            manifest_required=self.require_manifest,
        )
        identity, coordinator = self.keys()
        binding = Binding(
            "result", delivery.study_digest, delivery.run_id, self.site, manifest
        )
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
        passphrase = ambient_passphrase()
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
        frozen=config.frozen,
        approvals=read_approvals(path.parent / APPROVALS),
        require_manifest=config.require_manifest,
        privacy=config.privacy,
        ledger=config.ledger,
    )
