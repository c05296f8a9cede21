"""Another model from releases that were opened before: no new round."""

from collections.abc import Mapping

from threadpoolctl import threadpool_limits

from fedglmm_flower.coordinator.combine import Options
from fedglmm_flower.coordinator.content import result_values
from fedglmm_flower.coordinator.noise import fit_under_noise
from fedglmm_flower.coordinator.noise_content import noisy_values
from fedglmm_flower.coordinator.opening import Opened, Refusal
from fedglmm_flower.coordinator.reopened import reopen
from fedglmm_flower.coordinator.result import Result
from fedglmm_flower.coordinator.submodel import Submodel
from fedglmm_flower.envelope import Identity, PublicIdentity
from fedglmm_flower.errors import FitError


def refit(
    part: Submodel,
    sealed: Mapping[str, bytes],
    refusals: Mapping[str, Refusal],
    *,
    run_id: str,
    identity: Identity,
    publics: Mapping[str, PublicIdentity],
    manifest: str | None = None,
    options: Options,
) -> Result:
    """
    Open the releases of an earlier run again and fit a model of their columns.

    Law: the released model itself has the estimates of that run.

    Parameters
    ----------
    part : Submodel
        What is asked now, and what was released.
    sealed : mapping
        Sealed release of each site.
    refusals : mapping
        Why the others did not answer.
    run_id : str
        Name of the earlier run, to which the releases are bound.
    identity : Identity
        The coordinator's keys.
    publics : mapping
        Pinned public identity of each site.
    manifest : str, optional
        Digest of the manifest under which the run was made.
    options : Options
        How to fit.

    Raises
    ------
    AllRefusedError, QuorumError
        If too few sites can be used.
    FitError
        If the model is not determined over all sites.
    """
    released = part.released
    again = reopen(
        released,
        sealed,
        refusals,
        run_id=run_id,
        identity=identity,
        publics=publics,
        manifest=manifest,
        options=options,
    )
    opened = again.opened
    if any(one.noisy for one in opened.values()):
        return _under_noise(part, opened, again.why, run_id, again.seed, options)
    fitted = again.fit(part)
    values = result_values(
        part.study, opened, again.why, fitted, run_id, 0.0, None, again.seed
    )
    if part.is_another:
        values["diagnostics"]["warnings"] += _provisos(part, opened, exact=fitted.exact)
    values["provenance"]["released_study"] = released.digest
    return Result(values)


def _under_noise(
    part: Submodel,
    opened: Mapping[str, Opened],
    why: Mapping[str, Refusal],
    run_id: str,
    seed: int,
    options: Options,
) -> Result:
    """The released model again, such as with more draws of the bootstrap."""
    if part.is_another:
        raise FitError(
            f"privacy: {part.study.formula} from a release with noise for "
            f"{part.released.formula}; under noise the released model alone can be "
            "fitted; ask for that formula, or for another release"
        )
    with threadpool_limits(1):
        outcome = fit_under_noise(
            part.released,
            opened,
            seed,
            options.tick,
            draws=options.draws,
            store=options.store,
        )
    values = noisy_values(part.released, opened, why, outcome, run_id, 0.0, None, seed)
    values["provenance"]["released_study"] = part.released.digest
    return Result(values)


def _provisos(
    part: Submodel, opened: Mapping[str, Opened], *, exact: bool
) -> list[str]:
    if exact or part.released.is_joint:
        return []
    text = (
        "fitted without a new round to pseudo-data that were built for "
        f"{part.released.formula}"
    )
    anchored = sum(o.targets[0].anchored is not None for o in opened.values())
    if anchored:
        text += (
            f"; {anchored} of {len(opened)} sites described the likelihood of that "
            "model at its own estimate, which is less accurate for another"
        )
    return [text]
