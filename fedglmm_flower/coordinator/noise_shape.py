"""What noisy sums leave open of the shape of columns, and how far it moves a fit.

Sums of low order are those of many laws of the columns.  Under noise the reference law
decides among them; how far the estimates would be off if the columns were skewed where
it is even is the error that is stated.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from fedglmm_flower.coordinator.noise_fit import NoisyFit, NoisySums, moved
from fedglmm_flower.coordinator.noise_population import Records, nearest

FloatArray = npt.NDArray[np.float64]
# Share of a cubic in the logarithm of the density: a skewness of about 0.7.
SKEW: Final = 0.3
_ROWS: Final = 1e6
_DISTINCT: Final = 10


def shape_missed(records: Records, center: FloatArray) -> FloatArray:
    """
    What a record adds beyond what is expected of it, if the columns are skewed.

    Parameters
    ----------
    records : Records
        Of the reference law.
    center : array of shape (p,)
        Coefficients.

    Returns
    -------
    array of shape (coordinates,)
        After the sums without noise have corrected the reference law.
    """
    truth = records.expected(center) @ skewed(records)
    tiny = np.full(len(truth), 1e-8 * _ROWS)
    fitted = nearest(records, center, _ROWS * truth, tiny)
    return np.asarray(truth - records.expected(center) @ fitted)


def skewed(records: Records) -> FloatArray:
    """The reference law with its continuous columns skewed, shape (records,)."""
    tilt = np.zeros(len(records.columns))
    for z in records.columns.T:
        spread = z.std()
        if spread > 1e-9 and len(np.unique(z)) > _DISTINCT:
            s = np.clip((z - z.mean()) / spread, -3.0, 3.0)
            tilt += SKEW * (s**3 - 3.0 * s) / math.sqrt(6.0)
    mass = np.exp(tilt - tilt.max())
    return np.asarray(mass / mass.sum())


def shape_error(sums: NoisySums, fit: NoisyFit) -> FloatArray:
    """
    How far skewed columns would move the fixed effects, shape (f,).

    Parameters
    ----------
    sums : NoisySums
        What was fitted.
    fit : NoisyFit
        The fit.
    """
    center = sums.design @ fit.mixed.fixed
    missed: Sequence[FloatArray] = [shape_missed(one, center) for one in sums.records]
    return np.abs(moved(sums, fit, missed))
