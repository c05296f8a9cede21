"""What the coordinator does with a round: open, fit, write, seal for each site."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedglmm_flower.coordinator import Options, Refusal, Result
from fedglmm_flower.coordinator.admission import open_envelope
from fedglmm_flower.coordinator.combine import Combined, fit_sealed
from fedglmm_flower.coordinator.opening import rejection
from fedglmm_flower.envelope import (
    Binding,
    Identity,
    PublicIdentity,
    encode_result,
    read_public,
    seal,
    split_signed,
)
from fedglmm_flower.envelope.passphrase import Ask, ambient_passphrase
from fedglmm_flower.envelope.rotation import identity_sealed_to
from fedglmm_flower.errors import EnvelopeError
from fedglmm_flower.flower.exchange import Admitted, Refused
from fedglmm_flower.flower.files import file_name
from fedglmm_flower.flower.run_folder import MIN_BROADCAST
from fedglmm_flower.study import Study


@dataclass(frozen=True)
class CoordinatorKeys:
    """
    The coordinator's identity and the pinned public identities of the sites.

    Parameters
    ----------
    identity : Identity
        Opens releases and signs results.
    publics : mapping
        Public identity of each site.
    """

    identity: Identity
    publics: Mapping[str, PublicIdentity]


def read_keys(
    folder: Path,
    study: Study,
    *,
    sealed_to: str | None = None,
    ask: Ask = ambient_passphrase,
) -> CoordinatorKeys:
    """
    Read ``coordinator.key`` and ``sites/SITE.pub`` for each site of a study.

    Parameters
    ----------
    folder : Path
        The coordinator's folder of keys.
    study : Study
        Names the sites.
    sealed_to : str, optional
        Identifier of the key that releases of an earlier run were sealed to, which may
        have been replaced since; the present key when left out.
    ask : callable
        Gives the passphrase of a key file; from the environment when left out.

    Returns
    -------
    CoordinatorKeys
        All keys of a run.

    Raises
    ------
    KeyFileError
        If a key is missing or not usable.
    """
    own = folder / "coordinator.key"
    return CoordinatorKeys(
        identity=identity_sealed_to(own, sealed_to, ask(own)),
        publics={
            site: read_public(folder / "sites" / f"{file_name(site)}.pub")
            for site in study.sites
        },
    )


@dataclass(frozen=True)
class CoordinatorDesk:
    """
    The coordinator's side of the exchange; knows nothing of Flower.

    Parameters
    ----------
    study : Study
        What was asked.
    run_id : str
        Name of the run.
    keys : CoordinatorKeys
        All keys of the run.
    folder : Path
        Where ``result.json`` goes.
    options : Options
        How to fit, and from how many sites at least.
    min_broadcast : int
        Fewest sites that a result must rest on to be sent to the sites: with two,
        each could subtract its own sums.
    manifest : bytes
        The study's signed manifest; empty without one.
    """

    study: Study
    run_id: str
    keys: CoordinatorKeys
    folder: Path
    options: Options = field(default_factory=Options)
    min_broadcast: int = MIN_BROADCAST
    manifest: bytes = b""

    @property
    def key_id(self) -> str:
        """Identifier of the key that releases are sealed to."""
        return self.keys.identity.public.encrypt_id

    @property
    def manifest_digest(self) -> str | None:
        """What messages are bound to beside study and run; None without a manifest."""
        return split_signed(self.manifest).digest if self.manifest else None

    def admit(self, site: str, sealed: bytes) -> Admitted | Refused:
        """Prove a release by its envelope alone; it is decoded when all are in."""
        try:
            content = open_envelope(
                self.study,
                site,
                sealed,
                run_id=self.run_id,
                identity=self.keys.identity,
                publics=self.keys.publics,
                manifest=self.manifest_digest,
            )
        except EnvelopeError as error:
            why = rejection(error)
            return Refused(site, why.code, why.public)
        return Admitted(site, hashlib.sha256(content).hexdigest())

    def combine(
        self,
        sealed: Mapping[str, bytes],
        refusals: Mapping[str, Refused],
        summarise_s: float,
    ) -> Result:
        """Open all releases, fit, and write ``result.json``."""
        result = self.fit(sealed, refusals, summarise_s).result()
        result.write(self.folder)
        return result

    def fit(
        self,
        sealed: Mapping[str, bytes],
        refusals: Mapping[str, Refused],
        summarise_s: float,
    ) -> Combined:
        """Open all releases and fit: what further rounds start from."""
        return fit_sealed(
            self.study,
            sealed,
            {s: Refusal(r.code, r.public) for s, r in refusals.items()},
            run_id=self.run_id,
            identity=self.keys.identity,
            publics=self.keys.publics,
            manifest=self.manifest_digest,
            options=self.options,
            summarise_s=summarise_s,
        )

    def seal_result(self, result: Result, site: str) -> bytes | None:
        """Seal the estimates to a site; None if they rest on too few sites."""
        estimates = result.to_dict()
        used = sum(entry["status"] == "used" for entry in estimates["sites"])
        if used < self.min_broadcast:
            return None
        return seal(
            encode_result(estimates_for(site, estimates)),
            binding=Binding(
                "result", self.study.digest, self.run_id, site, self.manifest_digest
            ),
            sender=self.keys.identity,
            recipient=self.keys.publics[site],
        )


def estimates_for(site: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """
    The part of a result that a site receives.

    Leaves the coordinator: the common estimates, and of what belongs to single sites
    (random effects, row counts) only the receiver's own.

    Parameters
    ----------
    site : str
        The receiver.
    result : mapping
        ``result.json``.

    Returns
    -------
    dict
        ``estimates.json``.
    """
    diagnostics = dict(result.get("diagnostics", {}))
    if "refinement" in diagnostics:
        # Who failed to answer is no other site's affair.
        named = ("lost", "refusals")
        notes = diagnostics["refinement"].items()
        diagnostics["refinement"] = {k: v for k, v in notes if k not in named}
        result = {**result, "diagnostics": diagnostics}
    return {
        **result,
        "sites": [entry for entry in result["sites"] if entry["site"] == site],
        "ranef": [
            entry
            for entry in result["ranef"]
            # Effects of clusters name their site; others are the site's own.
            if entry.get("site", entry["level"]) == site
        ],
    }
