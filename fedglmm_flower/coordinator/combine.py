"""The coordinator's whole work: sealed releases to a result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from fedglmm_flower.coordinator.content import result_values
from fedglmm_flower.coordinator.fitting import Fitted, Tick, fit_releases, silent
from fedglmm_flower.coordinator.noise import NoisyOutcome, fit_under_noise
from fedglmm_flower.coordinator.noise_content import noisy_values
from fedglmm_flower.coordinator.opening import Opened, Refusal, gather_releases
from fedglmm_flower.coordinator.result import Result
from fedglmm_flower.coordinator.submodel import Submodel
from fedglmm_flower.envelope import Identity, PublicIdentity
from fedglmm_flower.errors import FedglmmError, FitError
from fedglmm_flower.study.families import resolve_method
from fedglmm_flower.study.study import Study


@dataclass(frozen=True)
class Options:
    """
    How a coordinator fits.

    Parameters
    ----------
    quorum : int or None
        Fewest sites; see :func:`require_quorum`.
    method : str or None
        Estimator; the study's when None.
    seed : int or None
        Seed of the pseudo-data; from the study's digest when None.
    pooled : callable or None
        Makes the pooled fit to report beside, in a simulation.
    tick : callable
        Called with stage, done and total.
    draws : int
        Bootstrap draws of a fit under noise; 0 for analytic intervals.
    store : Path or None
        File that keeps finished draws, so that an interrupted call goes on.
    """

    quorum: int | None = None
    method: str | None = None
    seed: int | None = None
    pooled: Callable[[tuple[str, ...]], Mapping[str, Any]] | None = None
    tick: Tick = silent
    draws: int = 0
    store: Path | None = None


@dataclass(frozen=True)
class Combined:
    """
    A fit with the releases that it rests on, from which further rounds start.

    Parameters
    ----------
    study : Study
        What was asked.
    opened, why : mapping
        Sites that are used, and why the others are not.
    found : Fitted or NoisyOutcome
        The fit, or that under noise.
    method : str
        Its estimator.
    run_id : str
        Name of the run.
    summarise_s : float
        Seconds that the round took.
    seed : int
        Of the pseudo-data.
    pooled : mapping or None
        Pooled fit, in a simulation.
    doubts : tuple of str
        Further warnings.
    """

    study: Study
    opened: Mapping[str, Opened]
    why: Mapping[str, Refusal]
    found: Fitted | NoisyOutcome
    method: str
    run_id: str
    summarise_s: float
    seed: int
    pooled: Mapping[str, Any] | None = None
    doubts: tuple[str, ...] = ()

    @property
    def fitted(self) -> Fitted:
        """
        The fit, of releases without noise.

        Raises
        ------
        FitError
            If they carry noise.
        """
        if isinstance(self.found, NoisyOutcome):
            raise FitError(
                "privacy: a step that needs sums without noise, of releases with "
                "noise; further rounds would undo it; stay with one round"
            )
        return self.found

    def result(self) -> Result:
        """Content of ``result.json``."""
        if isinstance(self.found, NoisyOutcome):
            values = noisy_values(
                self.study,
                self.opened,
                self.why,
                self.found,
                self.run_id,
                self.summarise_s,
                self.pooled,
                self.seed,
            )
        else:
            values = result_values(
                self.study,
                self.opened,
                self.why,
                self.found,
                self.run_id,
                self.summarise_s,
                self.pooled,
                self.seed,
            )
        values["diagnostics"]["warnings"] += self.doubts
        return Result(values)


def fit_sealed(
    study: Study,
    sealed: Mapping[str, bytes],
    refusals: Mapping[str, Refusal],
    *,
    run_id: str,
    identity: Identity,
    publics: Mapping[str, PublicIdentity],
    manifest: str | None = None,
    options: Options = Options(),
    summarise_s: float = 0.0,
) -> Combined:
    """
    Open releases, build pseudo-data, and fit.

    Parameters
    ----------
    study : Study
        What was asked.
    sealed : mapping
        Sealed release of each site that answered.
    refusals : mapping
        Why the others did not.
    run_id : str
        Name of the run.
    identity : Identity
        The coordinator's keys.
    publics : mapping
        Pinned public identity of each site.
    manifest : str, optional
        Digest of the manifest under which the run was made.
    options : Options
        How to fit.
    summarise_s : float
        Seconds that the round took, for the result.

    Raises
    ------
    AllRefusedError, QuorumError
        If too few sites can be used.
    FitError
        If the model is not determined over all sites.
    """
    opened, why = gather_releases(
        study,
        sealed,
        refusals,
        options.quorum,
        run_id=run_id,
        identity=identity,
        publics=publics,
        manifest=manifest,
    )
    chosen = resolve_method(study.family, options.method or study.method)
    seed = seed_of(study, options.seed)
    noisy = any(one.noisy for one in opened.values())
    found: Fitted | NoisyOutcome
    # One thread for each product: many small ones, which more threads only slow down.
    with threadpool_limits(1):
        if noisy:
            found = fit_under_noise(
                study,
                opened,
                seed,
                options.tick,
                draws=options.draws,
                store=options.store,
            )
        else:
            # A joint release answers its own question as it does any other.
            part = Submodel(study, study) if study.is_joint else None
            found = fit_releases(study, opened, chosen, seed, options.tick, part=part)
    pooled = None
    doubts: tuple[str, ...] = ()
    try:
        pooled = options.pooled(tuple(opened)) if options.pooled else None
    except FedglmmError as error:
        # A comparison that fails is no reason to lose the result.
        doubts = (f"no pooled fit of the {len(opened)} sites used: {error}",)
    return Combined(
        study, opened, why, found, chosen, run_id, summarise_s, seed, pooled, doubts
    )


def seed_of(study: Study, seed: int | None) -> int:
    """Seed of the pseudo-data: the one given, or one that follows from the study."""
    return int(study.digest[:12], 16) if seed is None else seed
