"""Shapes theta at which a negative binomial release tells its gamma functions."""

import math
from typing import Final

_FIRST, _LAST, _BETWEEN = 0.1, 1e4, 24
# Evenly in log theta where the sum bends, as theta passes the counts; beyond lies the
# Poisson limit, below a straight line.  Fewer numbers than Chebyshev's nodes need for
# the same digits; see fedglmm_flower.glmm.shape.
SHAPES: Final[tuple[float, ...]] = (
    *(
        math.exp(math.log(_FIRST) + k * math.log(_LAST / _FIRST) / (_BETWEEN - 1))
        for k in range(_BETWEEN)
    ),
    3e4,
    1e5,
    1e6,
    1e7,
)
