"""Eliminate nested random effects cluster by cluster (block Cholesky)."""

from dataclasses import dataclass

import numpy as np

from fedglmm_flower.glmm.nesting import Chain
from fedglmm_flower.glmm.rows import FloatArray


def inverse_and_logdet(H: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Inverse and log-determinant of stacked positive definite matrices."""
    if H.shape[-1] == 1:
        if not np.all(H > 0):
            raise np.linalg.LinAlgError("not positive definite")
        return 1.0 / H, np.log(H[:, 0, 0])
    L = np.linalg.cholesky(H)
    logdet = 2.0 * np.log(np.diagonal(L, axis1=1, axis2=2)).sum(axis=1)
    inverse = np.linalg.inv(H)
    return 0.5 * (inverse + inverse.swapaxes(1, 2)), logdet


@dataclass(frozen=True)
class Elimination:
    """
    Factorised ``H = I + Lambda' Z' W Z Lambda`` of nested clusters.

    Innermost clusters are eliminated first; each leaves a Schur complement on the
    clusters it lies in (Bates et al. 2015, section 5.4, with the sparse factor
    replaced by dense blocks).  Optional leading columns, the fixed effects and the
    response of a linear model, are carried along and never eliminated.

    Attributes
    ----------
    chain : Chain
    lead : int
        Number of leading columns.
    inverses : per stage, inverse of the eliminated block, (G, q, q)
    gains : per stage, inverse block times its coupling, (G, q, columns above)
    logdet : float
        log|H|.
    rest : array of shape (lead, lead)
        What remains of the leading columns.
    """

    chain: Chain
    lead: int
    inverses: tuple[FloatArray, ...]
    gains: tuple[FloatArray, ...]
    logdet: float
    rest: FloatArray

    def selected_inverse(self) -> FloatArray:
        """Blocks of H^-1 that single rows see: (innermost clusters, Q, Q)."""
        stages = self.chain.stages
        C = self.inverses[0]
        for stage, inverse, gain in zip(
            stages[1:], self.inverses[1:], self.gains[1:], strict=True
        ):
            above = C[stage.parent]
            K = gain[:, :, self.lead :]
            KC = K @ above
            corner = inverse + KC @ K.swapaxes(1, 2)
            C = np.concatenate(
                [
                    np.concatenate([above, -KC.swapaxes(1, 2)], axis=2),
                    np.concatenate([-KC, corner], axis=2),
                ],
                axis=1,
            )
        return C

    def solve(
        self, carried: FloatArray, own: tuple[FloatArray, ...] | None = None
    ) -> tuple[FloatArray, ...]:
        """
        Solve H x = r stage by stage.

        Parameters
        ----------
        carried : array of shape (innermost clusters, Q) or (..., Q, m)
            Right-hand side as sums over the rows of each innermost cluster.
        own : per stage, array of shape (G, q) or (G, q, m), optional
            Further right-hand side that belongs to a stage's clusters themselves.

        Returns
        -------
        tuple of arrays
            x per stage.
        """
        flat = carried.ndim == 2
        r = carried[:, :, None] if flat else carried
        stages = self.chain.stages
        halves: list[FloatArray] = []
        for depth in range(len(stages) - 1, -1, -1):
            stage = stages[depth]
            here = r[:, stage.columns]
            if own is not None:
                here = here + (own[depth][:, :, None] if flat else own[depth])
            halves.append(self.inverses[depth] @ here)
            K = self.gains[depth][:, :, self.lead :]
            above = r[:, : stage.columns.start] - K.swapaxes(1, 2) @ here
            if depth:
                r = np.add.reduceat(above, stage.starts, axis=0)
        halves.reverse()
        solution = [halves[0]]
        chained = halves[0]
        for depth in range(1, len(stages)):
            above = chained[stages[depth].parent]
            x = halves[depth] - self.gains[depth][:, :, self.lead :] @ above
            chained = np.concatenate([above, x], axis=1)
            solution.append(x)
        return tuple(x[:, :, 0] if flat else x for x in solution)


def eliminate(chain: Chain, P: FloatArray, lead: int = 0) -> Elimination:
    """
    Factorise, given ``Lambda' Z' W Z Lambda`` of every innermost cluster.

    Parameters
    ----------
    chain : Chain
    P : array of shape (innermost clusters, lead + Q, lead + Q)
        Leading columns first, then the effects from outermost to innermost.
    lead : int

    Raises
    ------
    numpy.linalg.LinAlgError
        If an eliminated block is not positive definite.
    """
    inverses: list[FloatArray] = []
    gains: list[FloatArray] = []
    logdet = 0.0
    current = P
    for stage in reversed(chain.stages):
        a, b = lead + stage.columns.start, lead + stage.columns.stop
        H = current[:, a:b, a:b] + np.eye(b - a)
        inverse, logs = inverse_and_logdet(H)
        coupling = current[:, a:b, :a]
        gain = inverse @ coupling
        logdet += float(logs.sum())
        rest = current[:, :a, :a] - coupling.swapaxes(1, 2) @ gain
        current = np.add.reduceat(rest, stage.starts, axis=0)
        inverses.append(inverse)
        gains.append(gain)
    return Elimination(
        chain,
        lead,
        tuple(reversed(inverses)),
        tuple(reversed(gains)),
        logdet,
        current[0],
    )
