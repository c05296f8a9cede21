"""How far a one-round estimate may be from the pooled one, from the release alone."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedglmm_flower.glmm import FittedModel

FloatArray = npt.NDArray[np.float64]

# Measured over simulated designs: without it one fit in ten is off by more than told.
DOUBT = 2.0


@dataclass(frozen=True)
class Accuracy:
    """
    Diagnostics of an approximate fit.

    Parameters
    ----------
    order_shift : array of shape (p,) or None
        Estimate at order K minus estimate at order K-1, from the same release; None
        where no lower order is informative.
    seed_spread : array of shape (p,)
        Half the difference between two halves of the draws.
    se : array of shape (p,)
        Standard errors of the fit.
    loglik_shift : float or None
        Log-likelihood at order K minus that at order K-1.
    sd_shift, sd_spread : array of shape (q,) or None
        The same of the standard deviations of the random effects.
    """

    order_shift: FloatArray | None
    seed_spread: FloatArray
    se: FloatArray
    loglik_shift: float | None = None
    sd_shift: FloatArray | None = None
    sd_spread: FloatArray | None = None

    @property
    def error(self) -> FloatArray | None:
        """
        Cautious size of the approximation error, shape (p,).

        The step from K-1 to K is mostly the error at K-1, and that at K is smaller.
        A single coefficient may hardly move by luck, so that each one is given at
        least the root mean square of all steps, in units of standard errors.  A step
        may be small by accident, so that it is doubled.  The spread is the part that
        is left to chance.
        """
        if self.order_shift is None:
            return None
        steps = self.order_shift / np.where(self.se > 0, self.se, np.inf)
        common = np.sqrt(np.mean(steps**2)) * self.se
        systematic = np.maximum(np.abs(self.order_shift), common)
        return np.asarray(np.hypot(DOUBT * systematic, self.seed_spread))


def accuracy_of(
    fit: FittedModel,
    lower: FittedModel | None,
    halves: tuple[FittedModel, FittedModel] | None,
) -> Accuracy:
    """
    Compare the fit with that of a lower order and with those of its halves.

    What has not converged says nothing about accuracy and is left out.
    """
    spread = np.zeros(len(fit.estimates))
    sds = _sds(fit)
    sd_spread = np.zeros(len(sds))
    if not fit.converged or (lower is not None and not lower.converged):
        lower = None
    if fit.converged and halves is not None and all(h.converged for h in halves):
        spread = np.abs(halves[0].estimates - halves[1].estimates) / 2
        sd_spread = np.abs(_sds(halves[0]) - _sds(halves[1])) / 2
    shift = None if lower is None else fit.estimates - lower.estimates
    moved = None if lower is None else fit.loglik - lower.loglik
    sd_shift = None if lower is None else sds - _sds(lower)
    se = np.nan_to_num(fit.se)
    return Accuracy(shift, spread, se, moved, sd_shift, sd_spread)


def _sds(fit: FittedModel) -> FloatArray:
    """Standard deviations of all random effects."""
    return np.array([sd for term in fit.random for sd in term.sd])
