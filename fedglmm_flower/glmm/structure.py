"""From random terms to a chain of clusters, a covariance, and effects by name."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedglmm_flower.glmm.covariance import Covariance, build_covariance, whitening
from fedglmm_flower.glmm.elimination import Elimination
from fedglmm_flower.glmm.nesting import Chain, build_chain
from fedglmm_flower.glmm.reduce import distinct_groups
from fedglmm_flower.glmm.rows import FloatArray, ProductTerm, RandomTerm


@dataclass(frozen=True)
class Structure:
    """
    Random part of a model.

    Attributes
    ----------
    terms : tuple
        The random terms as given.
    chain : Chain
    covariance : Covariance
    stage_of : per term, its stage in the chain
    """

    terms: tuple[RandomTerm | ProductTerm, ...]
    chain: Chain
    covariance: Covariance
    stage_of: tuple[int, ...]

    def effects(
        self, theta: FloatArray, u: tuple[FloatArray, ...], factor: Elimination
    ) -> list[tuple[FloatArray, FloatArray]]:
        """Per term: conditional modes (G, q) and their conditional covariances."""
        Lambda = self.covariance.matrix(theta)
        C = Lambda @ factor.selected_inverse() @ Lambda.T
        found = []
        for t, depth in enumerate(self.stage_of):
            stage, c = self.chain.stages[depth], self.covariance.columns[t]
            inside = slice(c.start - stage.columns.start, c.stop - stage.columns.start)
            block = Lambda[c, c]
            b = self.covariance.unwhiten(t, block @ u[depth][:, inside].T).T
            ancestors = self.chain.ancestors[depth]
            first = np.searchsorted(ancestors, np.arange(len(stage.levels)))
            R_inverse = self.covariance.unwhiten(t, np.eye(c.stop - c.start))
            spread = R_inverse @ C[first][:, c, c] @ R_inverse.T
            found.append((b, spread))
        return found


def build_structure(
    terms: tuple[RandomTerm | ProductTerm, ...],
    roots: Sequence[FloatArray],
    *,
    least: int = 2,
) -> Structure:
    """
    Lay out a model's random part.

    Parameters
    ----------
    terms : tuple of RandomTerm or ProductTerm
    roots : sequence of arrays
        Per term, an upper triangular root of the mean products of its columns.
    least : int
        Fewest clusters of a factor, see :func:`build_chain`.
    """
    chain = build_chain(distinct_groups(terms), least=least)
    position = {s.group: s.columns.start for s in chain.stages}
    order = [s.group for s in chain.stages]
    columns = []
    for term in terms:
        start = position[term.group]
        position[term.group] = start + len(term.names)
        columns.append(slice(start, start + len(term.names)))
    factors = [
        whitening(t.group, t.names, root, correlated=t.correlated)
        for t, root in zip(terms, roots, strict=True)
    ]
    covariance = build_covariance(columns, factors, [t.correlated for t in terms])
    return Structure(
        terms, chain, covariance, tuple(order.index(t.group) for t in terms)
    )
