"""Another model from releases that were opened before: no new round."""

from collections.abc import Mapping

from threadpoolctl import threadpool_limits

from fedglmm_flower.coordinator.content import result_values
from fedglmm_flower.coordinator.noise import fit_under_noise
from fedglmm_flower.coordinator.noise_content import noisy_values
from fedglmm_flower.coordinator.opening import Opened
from fedglmm_flower.coordinator.reopened import Reopened
from fedglmm_flower.coordinator.result import Result
from fedglmm_flower.coordinator.submodel import Submodel
from fedglmm_flower.errors import FitError


def refit(part: Submodel, again: Reopened) -> Result:
    """
    Fit a model of the columns of an earlier run.

    Law: the released model itself has the estimates of that run.

    Parameters
    ----------
    part : Submodel
        What is asked now, and what was released.
    again : Reopened
        The releases.

    Raises
    ------
    FitError
        If the model is not determined over all sites.
    """
    opened = again.opened
    if any(one.noisy for one in opened.values()):
        return _under_noise(part, again)
    fitted = again.fit(part)
    values = result_values(
        part.study, opened, again.why, fitted, again.run_id, 0.0, None, again.seed
    )
    if part.is_another:
        values["diagnostics"]["warnings"] += _provisos(part, opened, exact=fitted.exact)
    values["provenance"]["released_study"] = part.released.digest
    return Result(values)


def _under_noise(part: Submodel, again: Reopened) -> Result:
    """The released model again, such as with more draws of the bootstrap."""
    released, options = part.released, again.options
    if part.is_another:
        raise FitError(
            f"privacy: {part.study.formula} from a release with noise for "
            f"{released.formula}; under noise the released model alone can be "
            "fitted; ask for that formula, or for another release"
        )
    with threadpool_limits(1):
        outcome = fit_under_noise(
            released,
            again.opened,
            again.seed,
            options.tick,
            draws=options.draws,
            store=options.store,
        )
    values = noisy_values(
        released,
        again.opened,
        again.why,
        outcome,
        again.run_id,
        0.0,
        None,
        again.seed,
    )
    values["provenance"]["released_study"] = released.digest
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
