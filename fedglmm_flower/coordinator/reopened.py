"""Releases of an earlier run, opened again, for any number of models."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from threadpoolctl import threadpool_limits

from fedglmm_flower.coordinator.blocks import blocks_of
from fedglmm_flower.coordinator.combine import Options, seed_of
from fedglmm_flower.coordinator.drawing import Drawing, draw
from fedglmm_flower.coordinator.fitting import Fitted, fit_releases
from fedglmm_flower.coordinator.opening import Opened, Refusal, gather_releases
from fedglmm_flower.coordinator.submodel import Submodel
from fedglmm_flower.envelope import Identity, PublicIdentity
from fedglmm_flower.errors import FitError
from fedglmm_flower.study.study import Study


@dataclass
class Reopened:
    """
    Releases of an earlier run, opened again; pseudo-data are drawn once for all fits.

    Parameters
    ----------
    released : Study
        What the sites were asked.
    opened : mapping
        Sites that are used.
    why : mapping
        Why the others are not.
    seed : int
        Seed of the pseudo-data.
    options : Options
        How to fit.
    run_id : str
        Name of the earlier run.
    """

    released: Study
    opened: Mapping[str, Opened]
    why: Mapping[str, Refusal]
    seed: int
    options: Options
    run_id: str
    _drawing: Drawing | None = None

    def fit(self, part: Submodel, *, judged: bool = True) -> Fitted:
        """
        Fit one model.

        Parameters
        ----------
        part : Submodel
            What is asked now.
        judged : bool
            Whether to tell the accuracy, which takes a few more fits; the estimates are
            the same without.

        Raises
        ------
        FitError
            If the releases carry noise.
        """
        self._require_exact()
        tick, method = self.options.tick, part.study.method
        with threadpool_limits(1):
            # Sums of a gaussian model, and tables of factors, are fitted as they are.
            own = (
                part.study.family == "gaussian"
                or self.released.is_joint
                or all(part.model.factors)
            )
            drawing = None if own else self._drawn(judged=judged)
            return fit_releases(
                self.released,
                self.opened,
                method,
                self.seed,
                tick,
                part=part,
                judged=judged,
                drawing=drawing,
            )

    def _require_exact(self) -> None:
        noisy = sum(bool(one.noisy) for one in self.opened.values())
        if noisy:
            raise FitError(
                f"privacy: {noisy} of {len(self.opened)} sites released their sums "
                "with noise; pseudo-data and comparisons need sums without; "
                "'fedglmm coordinator refit' fits the released model again"
            )

    def _drawn(self, *, judged: bool) -> Drawing:
        self._require_exact()
        held = self._drawing
        if held is None or (judged and not held.judged):
            targets, tick = blocks_of(self.opened), self.options.tick
            held = self._drawing = draw(
                self.released,
                self.opened,
                targets,
                self.seed,
                tick,
                judged=judged,
            )
        return replace(held, judged=judged)


def reopen(
    released: Study,
    sealed: Mapping[str, bytes],
    refusals: Mapping[str, Refusal],
    *,
    run_id: str,
    identity: Identity,
    publics: Mapping[str, PublicIdentity],
    manifest: str | None = None,
    options: Options,
) -> Reopened:
    """
    Open the releases of an earlier run again.

    Parameters
    ----------
    released : Study
        What the sites were asked.
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
    """
    opened, why = gather_releases(
        released,
        sealed,
        refusals,
        options.quorum,
        run_id=run_id,
        identity=identity,
        publics=publics,
        manifest=manifest,
    )
    # The pseudo-data of the run itself, so that models of one release compare.
    seed = seed_of(released, options.seed)
    return Reopened(released, opened, why, seed, options, run_id)
