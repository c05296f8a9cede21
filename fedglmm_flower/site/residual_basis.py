"""Coordinates in which noise at a public anchor costs least.

What moves the estimates is the difference of two released sums: response times column,
and what the anchor expects of it.  With noise in both, the difference has the noise of
two, and of columns far from zero.  Therefore the noise goes to the residuals
``sum (y - m h') z`` and the expectations ``sum m h' z`` by moment function ``z``, and
the released sums are computed from these: public arithmetic after the noise.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedglmm_flower.glmm.anchor import AnchorFrame
from fedglmm_flower.site.released import Noise
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.polynomial import Monomial
from fedglmm_flower.study.release import Statistic

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ResidualBasis:
    """
    Which sums are computed from residuals and expectations.

    Parameters
    ----------
    monomials : tuple of monomials
        Moment functions of the pairs.
    responses, scores : tuple of int
        Positions, among the statistics, of the sum with the response of each moment
        function, and of the score of each column.
    columns : array of shape (p, p)
        The columns in terms of the moment functions.
    """

    monomials: tuple[Monomial, ...]
    responses: tuple[int, ...]
    scores: tuple[int, ...]
    columns: FloatArray

    @classmethod
    def of(
        cls, model: Model, statistics: tuple[Statistic, ...]
    ) -> "ResidualBasis | None":
        """The basis, where the columns are combinations of as many functions."""
        score = {s.column: i for i, s in enumerate(statistics) if s.role == "score"}
        y = {s.monomial: i for i, s in enumerate(statistics) if s.role == "y"}
        if not score or len(score) != len(y):
            return None
        frame = AnchorFrame(model)
        at = [frame.monomials.index(m) for m in y]
        columns = frame.columns[:, at]
        whole = np.count_nonzero(columns) == np.count_nonzero(frame.columns)
        if not whole or np.linalg.matrix_rank(columns) < len(y):
            return None
        scores = tuple(score[k] for k in range(len(score)))
        return cls(tuple(y), tuple(y.values()), scores, columns)

    def mixing(self, size: int) -> FloatArray:
        """The matrix that makes released sums of coordinates, shape (size, size)."""
        out = np.eye(size)
        out[np.ix_(self.responses, self.scores)] = np.eye(len(self.scores))
        out[np.ix_(self.scores, self.scores)] = self.columns
        return out


def mixing_of(model: Model, statistics: tuple[Statistic, ...]) -> FloatArray:
    """
    Released sums and, last, the count in terms of the coordinates that carry noise.

    Returns
    -------
    array of shape (statistics + 1, statistics + 1)
        The identity where there is no public anchor.
    """
    basis = ResidualBasis.of(model, statistics)
    size = len(statistics) + 1
    return np.eye(size) if basis is None else basis.mixing(size)


def noise_covariance(
    model: Model, statistics: tuple[Statistic, ...], noise: Noise
) -> FloatArray:
    """Covariance of the noise in the released sums and, last, in the count."""
    mixing = mixing_of(model, statistics)
    return np.asarray((mixing * np.square(noise.sds)) @ mixing.T)
