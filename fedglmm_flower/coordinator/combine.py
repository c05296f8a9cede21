"""The coordinator's whole work: sealed releases to a result."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from fedglmm_flower.coordinator.content import result_values
from fedglmm_flower.coordinator.fitting import Tick, fit_releases, silent
from fedglmm_flower.coordinator.noise import NoisyOutcome, fit_under_noise
from fedglmm_flower.coordinator.noise_content import noisy_values
from fedglmm_flower.coordinator.opening import (
    Refusal,
    gather_releases,
)
from fedglmm_flower.coordinator.result import Result
from fedglmm_flower.coordinator.submodel import Submodel
from fedglmm_flower.envelope import Identity, PublicIdentity
from fedglmm_flower.errors import FedglmmError
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


def combine(
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
) -> Result:
    """
    Open releases, build pseudo-data, fit, and report.

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
    under_noise: NoisyOutcome | None = None
    # One thread for each product: many small ones, which more threads only slow down.
    with threadpool_limits(1):
        if noisy:
            under_noise = fit_under_noise(
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
            fitted = fit_releases(study, opened, chosen, seed, options.tick, part=part)
    pooled, doubt = None, []
    try:
        pooled = options.pooled(tuple(opened)) if options.pooled else None
    except FedglmmError as error:
        # A comparison that fails is no reason to lose the result.
        doubt = [f"no pooled fit of the {len(opened)} sites used: {error}"]
    if under_noise is not None:
        values = noisy_values(
            study, opened, why, under_noise, run_id, summarise_s, pooled, seed
        )
    else:
        values = result_values(
            study, opened, why, fitted, run_id, summarise_s, pooled, seed
        )
    values["diagnostics"]["warnings"] += doubt
    return Result(values)


def seed_of(study: Study, seed: int | None) -> int:
    """Seed of the pseudo-data: the one given, or one that follows from the study."""
    return int(study.digest[:12], 16) if seed is None else seed
