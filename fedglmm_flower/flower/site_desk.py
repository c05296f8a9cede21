"""What a site does when it is asked: answer with a sealed release, store estimates."""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fedglmm_flower.envelope import (
    Binding,
    Identity,
    PublicIdentity,
    decode_release,
    decode_result,
    encode_release,
    read_header,
    seal,
    unseal,
)
from fedglmm_flower.envelope.policy_versions import PolicyVersion
from fedglmm_flower.errors import (
    EnvelopeError,
    LedgerError,
    StudyMismatchError,
)
from fedglmm_flower.flower.admission import (
    admit,
    approved_digest,
    check_parties,
    utc_now,
)
from fedglmm_flower.flower.approvals import Approval
from fedglmm_flower.flower.exchange import (
    Delivery,
    Received,
    Request,
    ScoreRequest,
    SealedRelease,
)
from fedglmm_flower.flower.score_answer import answer_point
from fedglmm_flower.flower.site_log import write_detail, write_note
from fedglmm_flower.site import (
    Ledger,
    Policy,
    Privacy,
    RecordSource,
    SiteMemory,
    Wire,
    release_privately,
)
from fedglmm_flower.site.answer import answer
from fedglmm_flower.site.answers import AnswerStore, ReleaseKey
from fedglmm_flower.site.demands import require_demands
from fedglmm_flower.site.fit_check import fit_check
from fedglmm_flower.site.kept import note_ledger, note_memory, require_ledger
from fedglmm_flower.study import Study, parse_study
from fedglmm_flower.study.whole_file import write_whole

ESTIMATES = "estimates.json"
FIT_CHECK = "fit_check.json"
_NO_CHECK = (
    f"no {FIT_CHECK}: it holds exact numbers of the site's rows, and with noise "
    "switched on in [privacy] none is written"
)


@dataclass(frozen=True)
class SiteDesk:
    """
    One site's side of the exchange; knows nothing of Flower.

    Parameters
    ----------
    site : str
        Name of the site.
    source : RecordSource
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
    answers : AnswerStore or None
        What it has answered; None to keep nothing, where all ends with the process.
    memory : SiteMemory or None
        What it has answered from which rows; None to keep no record.
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
    require_policy : callable
        Gives, for the site's keys and time, the version of the policy that is in
        force, and refuses one that is not; None where none was signed.
    """

    site: str
    source: RecordSource
    policy: Policy
    keys: Callable[[], tuple[Identity, PublicIdentity]]
    approved: tuple[str, ...]
    inbox: Path
    log: Path | None = None
    answers: AnswerStore | None = None
    memory: SiteMemory | None = None
    approvals: tuple[Approval, ...] = ()
    require_manifest: bool = False
    clock: Callable[[], datetime] = utc_now
    privacy: Privacy | None = None
    ledger: Path | None = None
    require_policy: Callable[[PublicIdentity, datetime], PolicyVersion | None] = (
        lambda _, __: None
    )

    def summarise(self, request: Request) -> SealedRelease:
        """
        Answer a request; asked again in the same run, with the same bytes.

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
        PolicyError
            If the policy is not as the site signed it last.
        DataError, DisclosureError, KeyFileError, StorageError
            If the table, the policy, a key or the site's own record stands in the way.
        BudgetError, LedgerError
            If the privacy budget or its ledger does.
        """
        study, identity, coordinator, manifest, version = self._admitted(request)
        binding = Binding("release", study.digest, request.run_id, self.site, manifest)
        if self.answers is not None:
            # Before the gate: a site that refuses receives the estimates all the same.
            self.answers.keep_question(study.digest, request.run_id, request.study)
        payload, key = self._answered(study, version)
        self._note_memory()

        def sealed_form(content: bytes) -> bytes:
            return seal(
                content, binding=binding, sender=identity, recipient=coordinator
            )

        if self.answers is None:
            return SealedRelease(self.site, sealed_form(payload))
        kept = self.answers.release(key, payload)
        # All that the sealed form depends on, so that a rotated key is a new place.
        place = (
            request.run_id,
            manifest or "",
            identity.public.verify_id,
            coordinator.encrypt_id,
        )
        sealed = self.answers.answer(key, place, lambda: sealed_form(kept))
        return SealedRelease(self.site, sealed)

    def score(self, asked: ScoreRequest) -> SealedRelease:
        """
        Answer a question of a further round.

        Leaves the site: the score, sealed to the pinned coordinator.

        Parameters
        ----------
        asked : ScoreRequest
            What the coordinator asks, its point sealed to this site.

        Raises
        ------
        FedglmmError
            As :meth:`summarise`, and see :func:`answer_point`.
        """
        scored = answer_point(self, asked, *self._admitted(asked.request)[:4])
        self._note_memory()
        return scored

    def _admitted(
        self, request: Request
    ) -> tuple[Study, Identity, PublicIdentity, str | None, PolicyVersion | None]:
        """Study, own and coordinator's keys, digest of the manifest, and policy."""
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
        version = self.require_policy(identity.public, self.clock())
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
        digest = None if admitted is None else admitted.digest
        return study, identity, coordinator, digest, version

    def _note_memory(self) -> None:
        if self.memory is not None and self.answers is not None:
            note_memory(self.memory, self.answers)

    def _answered(
        self, study: Study, version: PolicyVersion | None
    ) -> tuple[bytes, ReleaseKey]:
        """Exact sums past the gate, or noisy ones paid from the ledger."""
        if self.privacy is None:
            found = answer(
                study, self.source, self.policy, site=self.site, memory=self.memory
            )
            key = ReleaseKey(study.digest, self.site, found.snapshot, self.policy)
            return encode_release(found.released), key
        if self.ledger is None:
            raise LedgerError(
                f"site {self.site!r}: noise is switched on without a ledger; one is "
                "required; set 'ledger' in [privacy] of site.toml"
            )
        ledger = Ledger(self.ledger)
        if self.answers is not None:
            require_ledger(ledger, self.answers)
        released = release_privately(
            study,
            self.source,
            self.privacy,
            ledger,
            Wire(encode_release, decode_release),
            site=self.site,
            key=b"" if self.memory is None else self.memory.key(),
            least=self.policy.min_sites,
            signed=None if version is None else (version.number, version.digest),
        )
        if self.answers is not None:
            note_ledger(ledger, self.answers)
        payload = encode_release(released)
        # The ledger has decided by rows, price and mechanism which draw this is: its
        # own digest stands for them.
        drawn = hashlib.sha256(payload).hexdigest()
        mechanism = released.spent.mechanism
        return payload, ReleaseKey(
            study.digest, self.site, drawn, self.policy, mechanism
        )

    def receive(self, delivery: Delivery, study: bytes) -> Received:
        """
        Open the estimates, store them as ``estimates.json``, and check the own fit.

        Stays at the site: ``fit_check.json``, what the estimates say of its own rows.
        If these cannot be read now, or the site adds noise, so that no exact number
        of its rows may be written, the estimates are stored without it, and the site's
        log says why.

        Parameters
        ----------
        delivery : Delivery
            What the coordinator sent.
        study : bytes
            The study that was asked in this run.

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
        if hashlib.sha256(study).hexdigest() != delivery.study_digest:
            raise StudyMismatchError(
                f"site {self.site!r}: estimates of study "
                f"{delivery.study_digest[:16]}... arrived; those of the study that was "
                "asked are required; nothing was stored"
            )
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
        self._store(ESTIMATES, result)
        try:
            (self.inbox / FIT_CHECK).unlink(missing_ok=True)  # of an earlier result
            if self.privacy is None:
                self._check(study, delivery.run_id, result)
            elif self.log is not None:
                write_note(self.log, _NO_CHECK)
        except Exception as error:  # noqa: BLE001 - the estimates are stored: no refusal
            if self.log is not None:
                with suppress(OSError):
                    write_detail(self.log, error)
        return Received(self.site)

    def _check(self, study: bytes, run_id: str, result: Mapping[str, Any]) -> None:
        found = fit_check(
            parse_study(study), self.source, self.policy, result, site=self.site
        )
        self._store(FIT_CHECK, {**found, "run_id": run_id})

    def _store(self, name: str, content: Mapping[str, Any]) -> None:
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        write_whole(self.inbox / name, text.encode())
