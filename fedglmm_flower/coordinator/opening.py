"""Open sealed releases: only what is right in every respect is used."""

from collections.abc import Mapping
from dataclasses import dataclass

from fedglmm_flower.coordinator.admission import open_envelope
from fedglmm_flower.coordinator.noisy import NoisyTargets, noisy_targets
from fedglmm_flower.coordinator.plausible import require_plausible
from fedglmm_flower.coordinator.targets import Targets, targets_of
from fedglmm_flower.envelope import Identity, PublicIdentity, decode_release
from fedglmm_flower.errors import (
    AllRefusedError,
    EnvelopeError,
    FedglmmError,
    QuorumError,
    WireError,
)
from fedglmm_flower.site.released import MAX_CLUSTERS, REMAINDER, Released
from fedglmm_flower.study.offers import Offer, write_offer
from fedglmm_flower.study.study import Study

# Refusals that belong to ordinary work: the quorum does not wait for these sites.
GATE_CODES = ("disclosure-refused", "site-empty")
MISSING_CODES = ("site-missing", "site-crashed", "node-unavailable")


@dataclass(frozen=True)
class Refusal:
    """Why a site sent nothing: a fixed code and a data-free sentence."""

    code: str
    public: str


@dataclass(frozen=True)
class Opened:
    """
    A release that was accepted.

    Parameters
    ----------
    released : Released
        What the site sent.
    targets : tuple of Targets
        Sums of each of its clusters by role.
    bytes_sent : int
        Size of the sealed message.
    noisy : tuple of NoisyTargets
        Instead of targets, where the release carries noise.
    """

    released: Released
    targets: tuple[Targets, ...]
    bytes_sent: int
    noisy: tuple[NoisyTargets, ...] = ()

    @property
    def offer(self) -> Offer:
        """Set and order of the release."""
        return self.released.release_set, self.released.order

    @property
    def n_rows(self) -> int:
        """Rows behind the release."""
        return sum(targets.n_rows for targets in self.targets)

    @property
    def told_rows(self) -> int | None:
        """Rows, or records under noise; None where the relation hides their number."""
        if not self.noisy:
            return self.n_rows
        counts = [one.records for one in self.noisy]
        return None if None in counts else sum(c for c in counts if c is not None)


def open_releases(
    study: Study,
    sealed: Mapping[str, bytes],
    *,
    run_id: str,
    identity: Identity,
    publics: Mapping[str, PublicIdentity],
    manifest: str | None = None,
) -> tuple[dict[str, Opened], dict[str, Refusal]]:
    """
    Open every sealed release.

    Parameters
    ----------
    study : Study
        What was asked.
    sealed : mapping
        Sealed release of each site.
    run_id : str
        Name of the run.
    identity : Identity
        The coordinator's keys.
    publics : mapping
        Pinned public identity of each site.
    manifest : str, optional
        Digest of the manifest under which the run was made.

    Returns
    -------
    opened : dict
        Accepted releases, in sorted order of sites.
    refused : dict
        Sites whose message was not accepted, and why.
    """
    opened: dict[str, Opened] = {}
    refused: dict[str, Refusal] = {}
    for site in sorted(sealed):
        try:
            payload = open_envelope(
                study,
                site,
                sealed[site],
                run_id=run_id,
                identity=identity,
                publics=publics,
                manifest=manifest,
            )
            opened[site] = _decode(study, site, payload, len(sealed[site]))
        except FedglmmError as error:
            refused[site] = rejection(error)
    return opened, refused


def rejection(error: FedglmmError) -> Refusal:
    """
    Why a message was not accepted, with the check that it failed.

    Parameters
    ----------
    error : FedglmmError
        What was raised.
    """
    reason = getattr(error, "reason", None)
    label = "" if reason is None else f" ({reason.value})"
    return Refusal(error.code, f"{error.public}{label}")


def gather_releases(
    study: Study,
    sealed: Mapping[str, bytes],
    refusals: Mapping[str, Refusal],
    quorum: int | None,
    *,
    run_id: str,
    identity: Identity,
    publics: Mapping[str, PublicIdentity],
    manifest: str | None = None,
) -> tuple[dict[str, Opened], dict[str, Refusal]]:
    """
    Open what came, and account for every site of the study.

    Parameters
    ----------
    refusals : mapping
        Why sites sent nothing.
    quorum : int or None
        Fewest sites; see :func:`require_quorum`.

    Returns
    -------
    opened, why : dict
        As :func:`open_releases`; every site of the study is in one of them.

    Raises
    ------
    AllRefusedError, QuorumError
        If too few sites can be used.
    """
    opened, rejected = open_releases(
        study,
        sealed,
        run_id=run_id,
        identity=identity,
        publics=publics,
        manifest=manifest,
    )
    why = {**refusals, **rejected}
    for site in study.sites:
        if site not in opened and site not in why:
            why[site] = Refusal("site-missing", "the site did not answer")
    require_quorum(study, opened, why, quorum)
    return opened, why


def require_quorum(
    study: Study,
    opened: Mapping[str, Opened],
    refusals: Mapping[str, Refusal],
    quorum: int | None,
) -> None:
    """
    Check that enough sites can be used.

    Parameters
    ----------
    study : Study
        Names the expected sites.
    opened : mapping
        Sites that can be used.
    refusals : mapping
        Sites that cannot.
    quorum : int or None
        Fewest sites; None for every expected site that the gate lets through, and at
        least two.

    Raises
    ------
    AllRefusedError
        If every site refused.
    QuorumError
        If too few can be used.
    """
    why = grouped(refusals)
    absent = any(r.code in MISSING_CODES for r in refusals.values())
    if not opened and refusals and not absent:
        raise AllRefusedError(
            f"study {study.name!r}: all {len(refusals)} sites refused: {_short(why)}; "
            "at least one must answer; ask the sites what their policy needs: "
            "'fedglmm site preview' shows it there"
        )
    gated = sum(r.code in GATE_CODES for r in refusals.values())
    needed = max(2, len(study.sites) - gated) if quorum is None else quorum
    if len(opened) < max(1, needed):
        raise QuorumError(
            f"study {study.name!r}: {len(opened)} of {len(study.sites)} sites can be "
            f"used; {needed} are required; {_short(why) or 'no site refused'}; "
            f"{_cure({r.code for r in refusals.values()})}"
        )


def _cure(codes: set[str]) -> str:
    """What to do about sites that are too few."""
    away, sealed = codes & set(MISSING_CODES), codes & {EnvelopeError.code}
    steps = {
        "wait for the missing sites": away,
        "exchange public keys again where messages were refused": sealed,
        "ask the sites that refused": codes - away - sealed,
    }
    return ", or ".join([*(s for s, of in steps.items() if of), "set a lower quorum"])


def _decode(study: Study, site: str, payload: bytes, bytes_sent: int) -> Opened:
    released = decode_release(payload)
    _check(study, site, released)
    statistics = study.statistics(released.order, released.release_set)
    if released.noise is not None:
        # Noisy sums need not be those of any rows: only a fit that knows of the noise
        # may look at them.
        noisy = noisy_targets(study.moment_model, statistics, released, site)
        return Opened(released, (), bytes_sent, noisy)
    for cluster in released.clusters:
        require_plausible(study.moment_model, statistics, cluster, site)
    targets = tuple(
        targets_of(
            study.moment_model, statistics, cluster, site, public=study.anchor_values
        )
        for cluster in released.clusters
    )
    return Opened(released, targets, bytes_sent)


def _check(study: Study, site: str, released: Released) -> None:
    if released.site != site or released.study_digest != study.digest:
        raise WireError(
            f"release of {site!r}: speaks of site {released.site!r} or of another "
            "study inside its seal; both must agree; ask the site"
        )
    if (released.release_set, released.order) not in study.offers:
        accepted = ", ".join(write_offer(offer) for offer in study.offers)
        raise WireError(
            f"release of {site!r}: set {released.release_set!r} of order "
            f"{released.order}; one of {accepted} was asked; both sides must run the "
            "same version"
        )
    depth = len(study.clusters)
    fits = all(len(entry.cluster) == depth for entry in released.clusters)
    if not fits or (not depth and len(released.clusters) != 1):
        asked = "each cluster" if depth else "the site"
        raise WireError(
            f"release of {site!r}: {len(released.clusters)} clusters; one summary for "
            f"{asked} was asked; both sides must run the same version"
        )
    pooled = released.small is not None and released.small.treatment == "pooled"
    found = {entry.cluster for entry in released.clusters}
    remainder = depth > 0 and (REMAINDER,) * depth in found
    if len(released.clusters) > MAX_CLUSTERS or pooled != remainder:
        raise WireError(
            f"release of {site!r}: {len(released.clusters)} clusters of which a "
            "remainder is or is not one; at most "
            f"{MAX_CLUSTERS} are accepted, with a remainder if clusters were pooled; "
            "both sides must run the same version"
        )


def grouped(refusals: Mapping[str, Refusal], most: int = 5) -> str:
    """
    Sites by what they refused for, with a few of the names.

    Examples
    --------
    >>> reason = Refusal("site-missing", "the site did not answer")
    >>> grouped({"b": reason, "a": reason})
    "sites 'a', 'b': site-missing (the site did not answer)"
    """
    sites: dict[Refusal, list[str]] = {}
    for site, reason in sorted(refusals.items()):
        sites.setdefault(reason, []).append(site)
    parts = []
    for reason, names in sites.items():
        shown = ", ".join(repr(name) for name in names[:most])
        more = f" and {len(names) - most} more" if len(names) > most else ""
        word = "site" if len(names) == 1 else "sites"
        parts.append(f"{word} {shown}{more}: {reason.code} ({reason.public})")
    return "; ".join(parts)


def _short(text: str, most: int = 600) -> str:
    return text if len(text) <= most else f"{text[:most]} ..."
