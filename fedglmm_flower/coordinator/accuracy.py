"""How far a one-round estimate may be from the pooled one, from the release alone."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedglmm_flower.glmm import FittedModel

FloatArray = npt.NDArray[np.float64]


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
    """

    order_shift: FloatArray | None
    seed_spread: FloatArray
    se: FloatArray

    @property
    def error(self) -> FloatArray | None:
        """
        Cautious size of the approximation error, shape (p,).

        The step from K-1 to K is mostly the error at K-1, and that at K is smaller.
        A single coefficient may hardly move by luck, so that each one is given at
        least the root mean square of all steps, in units of standard errors.  The
        spread is the part that is left to chance.
        """
        if self.order_shift is None:
            return None
        steps = self.order_shift / np.where(self.se > 0, self.se, np.inf)
        common = np.sqrt(np.mean(steps**2)) * self.se
        systematic = np.maximum(np.abs(self.order_shift), common)
        return np.asarray(np.hypot(systematic, self.seed_spread))


def accuracy_of(
    fit: FittedModel,
    lower: FittedModel | None,
    halves: tuple[FittedModel, FittedModel] | None,
) -> Accuracy:
    """Compare the fit with that of a lower order and with those of its halves."""
    spread = np.zeros(len(fit.estimates))
    if halves is not None:
        spread = np.abs(halves[0].estimates - halves[1].estimates) / 2
    shift = None if lower is None else fit.estimates - lower.estimates
    return Accuracy(shift, spread, np.nan_to_num(fit.se))
