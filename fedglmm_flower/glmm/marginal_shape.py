"""The shape at which a negative binomial release is anchored."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from fedglmm_flower.study.model import Model
from fedglmm_flower.study.release import Statistic, measure_of
from fedglmm_flower.study.shapes import SHAPES

# That of a public anchor, and where there is nothing to estimate one from.
NEUTRAL: Final = 1.0
_LARGEST = 100.0


def marginal_shape(model: Model, sums: Mapping[Statistic, float], n_rows: int) -> float:
    """
    Shape theta of a site without columns, from released sums alone.

    The likeliest of the shapes of a release, so that site and coordinator agree to the
    last digit.  What it is off by, the anchor is off by along the intercept.

    Parameters
    ----------
    model : Model
        The question; 1 where it is not negative binomial.
    sums : mapping
        Released sums.
    n_rows : int
        Rows behind them.
    """
    one = model.constant
    events = sums.get(Statistic("y", "rows", one, 1), 0.0)
    rows = sums.get(Statistic("x", measure_of(model), one, 0), float(n_rows))
    if model.family != "nbinom2" or not events > 0:
        return NEUTRAL
    mean, best, found = events / rows, -np.inf, NEUTRAL
    for at, theta in enumerate(SHAPES):
        value = sums[Statistic("shape", "rows", one, 1, at)]
        value -= events * np.log1p(theta / mean)
        value -= rows * theta * np.log1p(mean / theta)
        if theta <= _LARGEST and value > best:
            best, found = float(value), theta
    return found
