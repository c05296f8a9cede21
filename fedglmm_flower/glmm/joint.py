"""Joint uncertainty of fixed and random effects, given the covariance parameters."""

from dataclasses import dataclass

import numpy as np

from fedglmm_flower.glmm.fitted import FittedModel
from fedglmm_flower.glmm.generalized import build_problem
from fedglmm_flower.glmm.marginal import Marginal
from fedglmm_flower.glmm.rows import FloatArray, IntArray, ModelRows
from fedglmm_flower.glmm.satterthwaite import linear_problem
from fedglmm_flower.glmm.structure import Structure


@dataclass(frozen=True)
class Joint:
    """
    The joint normal approximation of (beta, u).

    Attributes
    ----------
    structure : Structure
    Lambda : array of shape (Q, Q)
    C : array of shape (G, Q, Q)
        Covariance of u given beta, for the chain of each innermost cluster.
    K : array of shape (G, Q, p)
        Regression of u on beta: u moves by -K d when beta moves by d.
    """

    structure: Structure
    Lambda: FloatArray
    C: FloatArray
    K: FloatArray

    def variance(self, X: FloatArray, rows: ModelRows, V: FloatArray) -> FloatArray:
        """
        Variance of x'beta + z'b per row; unknown clusters have b = 0 for certain.

        Parameters
        ----------
        X : array of shape (n, p)
        rows : ModelRows
        V : array of shape (p, p)
            Covariance of beta with theta held fixed.
        """
        chain = self.structure.chain
        covariance = self.structure.covariance
        n = len(X)
        Z = np.zeros((n, chain.width))
        cluster = np.zeros(n, dtype=np.intp)
        # Outermost first, so that the innermost known cluster has the last word.
        for t in sorted(range(len(rows.random)), key=self._depth):
            term, depth = rows.random[t], self._depth(t)
            stage = chain.stages[depth]
            known, at = known_levels(stage.levels, term.levels, term.index)
            R = covariance.factors[t]
            whitened = np.linalg.solve(R.T, term.Z.T).T
            Z[:, covariance.columns[t]] = np.where(known[:, None], whitened, 0.0)
            first = np.searchsorted(chain.ancestors[depth], at)
            cluster = np.where(known, first, cluster)
        A = Z @ self.Lambda
        moved = X - np.einsum("nq,nqp->np", A, self.K[cluster])
        fixed = np.einsum("np,pq,nq->n", moved, V, moved)
        return np.asarray(fixed + np.einsum("nq,nqr,nr->n", A, self.C[cluster], A))

    def _depth(self, term: int) -> int:
        return self.structure.stage_of[term]


def known_levels(
    fitted: tuple[str, ...], named: tuple[str, ...], index: IntArray
) -> tuple[np.typing.NDArray[np.bool_], IntArray]:
    """Which rows' levels were fitted, and where among the fitted levels they are."""
    position = {level: j for j, level in enumerate(fitted)}
    found = np.array([position.get(level, -1) for level in named], dtype=np.intp)
    at = found[index]
    return at >= 0, np.maximum(at, 0)


def joint_of(fitted: FittedModel) -> Joint | None:
    """The joint approximation of a fitted model; None without random effects."""
    if not fitted.random:
        return None
    if fitted.family == "gaussian":
        linear = linear_problem(fitted)
        if linear.structure is None or linear.objective is None:
            return None
        structure, coordinates = linear.structure, linear.coordinates
        profile = linear.objective.at(fitted.point)
        Lambda = structure.covariance.matrix(fitted.point)
        carried = Lambda.T @ linear.objective.ZXy[:, :, :-1]
        back = np.eye(len(fitted.names))
        factor, scale = profile.factor, profile.sigma2
    else:
        if not isinstance(fitted.source, ModelRows):  # pragma: no cover
            raise TypeError(type(fitted.source))
        problem, coordinates = build_problem(
            fitted.source, fitted.family, fitted.link, fitted.method
        )
        marginal = problem.objective
        if problem.structure is None or not isinstance(marginal, Marginal):
            return None
        structure = problem.structure
        gamma, theta, psi = marginal.split(fitted.point)
        Lambda = structure.covariance.matrix(theta)
        mode = marginal.mode(problem.X @ gamma + problem.offset, Lambda, psi)
        carried = marginal.weighted_columns(mode, Lambda)
        back, factor, scale = problem.back, mode.factor, 1.0
    K = structure.chain.expand(factor.solve(carried))
    to_beta = np.linalg.solve(back, coordinates.R)
    return Joint(structure, Lambda, scale * factor.selected_inverse(), K @ to_beta)
