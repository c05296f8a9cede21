"""Quasi-random scores from which the pseudo-rows of all sites start."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy  # scipy.stats loads where it is used: it takes a third of a second
from scipy.special import ndtri

FloatArray = npt.NDArray[np.float64]

# Beyond this many points a sequence is scrambled anew: skipping takes time.
_LONGEST = 2**22


@dataclass(frozen=True)
class Starts:
    """
    One scrambled Sobol sequence, divided into blocks.

    Blocks of one sequence complement each other: what chance adds to the tails of one
    site is made up for by the others, which halves the spread of the estimates over
    seeds compared with a sequence for each site.

    Parameters
    ----------
    seed : int
        Seed of the scrambling.
    block_size : int
        Points of a block, a power of two.
    skewed : bool
        Exponential scores instead of normal ones: of the same mean and variance, and
        as lopsided as sums of low order leave open.
    """

    seed: int
    block_size: int
    skewed: bool = False

    @classmethod
    def for_rows(cls, seed: int, rows: int) -> "Starts":
        """Blocks that hold at least ``rows`` points."""
        return cls(seed, 2 ** int(np.ceil(np.log2(max(2, rows)))))

    def scores(self, rows: int, d: int, block: int) -> FloatArray:
        """
        Standardised scores of a block, shape (rows, d).

        One more coordinate orders the points, which deals them out to the cells of a
        site as evenly as to everything else.

        Examples
        --------
        >>> Starts.for_rows(1, 8).scores(5, 2, 3).shape
        (5, 2)
        """
        blocks = max(1, _LONGEST // self.block_size)
        rng = np.random.default_rng([self.seed, block // blocks])
        sobol = scipy.stats.qmc.Sobol(d + 1, scramble=True, rng=rng)
        if block % blocks:
            sobol.fast_forward(block % blocks * self.block_size)
        # Whole blocks at a time: scipy warns of any other number.
        parts = [sobol.random(self.block_size)]
        while len(parts) * self.block_size < rows:
            parts.append(sobol.random(self.block_size))
        points = np.concatenate(parts)[:rows]
        points = points[np.argsort(points[:, d], kind="stable"), :d]
        shares = np.clip(points, 1e-6, 1 - 1e-6)
        scores: FloatArray = -1.0 - np.log(shares) if self.skewed else ndtri(shares)
        return scores
