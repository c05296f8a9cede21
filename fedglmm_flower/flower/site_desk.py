"""What a site does when it is asked: answer with a sealed release, store estimates."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedglmm_flower.envelope import (
    Binding,
    Identity,
    PublicIdentity,
    decode_result,
    encode_release,
    read_identity,
    read_public,
    seal,
    unseal,
)
from fedglmm_flower.errors import EnvelopeError, StudyMismatchError
from fedglmm_flower.flower.exchange import Delivery, Received, Request, SealedRelease
from fedglmm_flower.flower.site_log import LOG_NAME, write_detail
from fedglmm_flower.site import (
    Policy,
    TableSource,
    check_approved,
    read_site_config,
    release,
)
from fedglmm_flower.site.answers import NAME as ANSWERS
from fedglmm_flower.site.answers import AnswerStore, ReleaseKey
from fedglmm_flower.site.fit_check import fit_check
from fedglmm_flower.site.watched import WatchedSource
from fedglmm_flower.study import parse_study
from fedglmm_flower.study.whole_file import write_whole

ESTIMATES = "estimates.json"
FIT_CHECK = "fit_check.json"
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
    answers : AnswerStore or None
        What it has answered; None to keep nothing, where all ends with the process.
    """

    site: str
    source: TableSource
    policy: Policy
    keys: Callable[[], tuple[Identity, PublicIdentity]]
    approved: tuple[str, ...]
    inbox: Path
    log: Path | None = None
    answers: AnswerStore | None = None

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
        EnvelopeError
            If the request names a coordinator other than the pinned one.
        DataError, DisclosureError, KeyFileError, StorageError
            If the table, the policy, a key or the site's own record stands in the way.
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
        answers = self.answers
        if answers is not None:
            # Before the gate: a site that refuses receives the estimates all the same.
            answers.keep_question(study.digest, request.run_id, request.study)
        rows = WatchedSource(self.source)
        payload = encode_release(release(study, rows, self.policy, site=self.site))
        binding = Binding("release", study.digest, request.run_id, self.site)

        def sealed_form(content: bytes) -> bytes:
            return seal(
                content, binding=binding, sender=identity, recipient=coordinator
            )

        if answers is None:
            return SealedRelease(self.site, sealed_form(payload))
        key = ReleaseKey(study.digest, self.site, rows.digest, self.policy)
        kept = answers.release(key, payload)
        sealed = answers.answer(
            key,
            (request.run_id, coordinator.encrypt_id),
            lambda: sealed_form(kept),
        )
        return SealedRelease(self.site, sealed)

    def receive(self, delivery: Delivery, study: bytes) -> Received:
        """
        Open the estimates, store them as ``estimates.json``, and check the own fit.

        Stays at the site: ``fit_check.json``, what the estimates say of its own rows.
        If these cannot be read now, the estimates are stored without it, and the
        site's log says why.

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
        asked = hashlib.sha256(study).hexdigest()
        if asked != delivery.study_digest or asked not in self.approved:
            raise StudyMismatchError(
                f"site {self.site!r}: estimates of study "
                f"{delivery.study_digest[:16]}... arrived; those of the approved "
                "study that was asked are required; nothing was stored"
            )
        identity, coordinator = self.keys()
        binding = Binding("result", delivery.study_digest, delivery.run_id, self.site)
        result = decode_result(
            unseal(
                delivery.sealed, binding=binding, recipient=identity, sender=coordinator
            )
        )
        self._store(ESTIMATES, result)
        try:
            (self.inbox / FIT_CHECK).unlink(missing_ok=True)  # of an earlier result
            self._check(study, delivery.run_id, result)
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
        # The one folder of a site that the program writes to.
        answers=AnswerStore(config.inbox / ANSWERS),
    )
