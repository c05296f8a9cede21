"""Coordinates of a likelihood that follow from the question alone."""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from fedglmm_flower.errors import FitError
from fedglmm_flower.glmm.covariance import Covariance, build_covariance, whitening
from fedglmm_flower.glmm.design import basis_of
from fedglmm_flower.glmm.families import family_class
from fedglmm_flower.glmm.family import Family
from fedglmm_flower.glmm.fitted import FittedModel, RandomEffects
from fedglmm_flower.glmm.independent import Independent
from fedglmm_flower.glmm.latent import latent_share
from fedglmm_flower.glmm.marginal import Marginal
from fedglmm_flower.glmm.rows import FloatArray, ModelRows, select_rows
from fedglmm_flower.glmm.structure import Structure, build_structure
from fedglmm_flower.study.model import Model


@dataclass(frozen=True)
class Frame:
    """
    Engine coordinates (gamma, theta, psi) that every party finds by itself.

    A fit takes its coordinates from its rows, which no two parties share.  These come
    from the declared centres and scales: ``X = functions Q`` with Q orthonormal over
    the model's monomials, ``gamma = R beta``, and likewise for each random term.

    Attributes
    ----------
    family : type of Family
    names : tuple of str
        Fixed effects.
    Q : array of shape (k, p)
    R : array of shape (p, p)
        Upper triangular.
    roots : tuple of arrays of shape (q, q)
        Per random term, the root of its columns' products over the monomials.
    covariance : Covariance
        Layout of theta, term by term.
    """

    family: type[Family]
    names: tuple[str, ...]
    Q: FloatArray
    R: FloatArray
    roots: tuple[FloatArray, ...]
    covariance: Covariance

    @classmethod
    def of(cls, model: Model) -> "Frame":
        """
        The frame of a question.

        Raises
        ------
        FitError
            If a random term holds a column twice.
        """
        basis = basis_of(model)
        Q, R = np.linalg.qr(basis.fixed.T)
        roots = tuple(
            np.asarray(np.linalg.qr(part.T, mode="r"), dtype=np.float64)
            for part in basis.random
        )
        factors = [
            whitening(
                effect.name,
                tuple(column.name for column in effect.columns),
                root,
                correlated=effect.correlated,
            )
            for effect, root in zip(model.random, roots, strict=True)
        ]
        stops = np.cumsum([0, *(len(root) for root in roots)])
        columns = [slice(int(a), int(b)) for a, b in pairwise(stops)]
        correlated = [effect.correlated for effect in model.random]
        return cls(
            family_class(model.family, model.link),
            tuple(column.name for column in model.fixed),
            Q,
            R,
            roots,
            build_covariance(columns, factors, correlated),
        )

    @property
    def size(self) -> int:
        """Number of parameters."""
        return len(self.names) + self.covariance.size + int(self.family.dispersed)

    @property
    def parts(self) -> tuple[slice, slice]:
        """Where gamma and theta stand among the parameters."""
        p = len(self.names)
        return slice(0, p), slice(p, p + self.covariance.size)

    def likelihood(
        self, rows: ModelRows, nodes: int = 1
    ) -> tuple[Marginal | Independent, Structure | None]:
        """
        Marginal log-likelihood of some rows, be it of a single cluster.

        Parameters
        ----------
        rows : ModelRows
            Over the monomials of the question.
        nodes : int
            Of the quadrature; 1 is Laplace.

        Raises
        ------
        FitError
            If no row has a positive weight.
        """
        rows = select_rows(rows, rows.weights > 0)
        if not len(rows.response):
            raise FitError("no row has a positive weight; nothing can be summed")
        structure, order = None, slice(None)
        if rows.random:
            structure = build_structure(rows.random, self.roots, least=1)
            order = structure.chain.selection  # type: ignore[assignment] # or an index
        family = self.family(
            rows.response[order],
            rows.weights[order],
            rows.trials[order],
            rows.constant,
            rows.shape_sum,
        )
        X = (self.Q.T @ rows.basis[order].T).T
        offset = rows.offset[order]
        if structure is None:
            return Independent(family, X, offset), None
        covariance = structure.covariance
        Z = np.empty((len(rows.response), structure.chain.width))
        for term, place, root in zip(
            rows.random, covariance.columns, covariance.factors, strict=True
        ):
            Z[:, place] = np.linalg.solve(root.T, term.Z.T).T
        marginal = Marginal(
            family,
            X=X,
            offset=offset,
            Z=Z[order],
            chain=structure.chain,
            covariance=covariance,
            nodes=nodes,
        )
        return marginal, structure

    def point(self, fitted: FittedModel) -> FloatArray:
        """Where a fitted model stands: (gamma, theta, psi)."""
        Lambda = np.zeros((self._width, self._width))
        for term, place, root in zip(
            fitted.random, self.covariance.columns, self.covariance.factors, strict=True
        ):
            Lambda[place, place] = _lower_root(root @ term.sigma @ root.T)
        tail = [] if fitted.dispersion is None else [np.log(fitted.dispersion)]
        theta = self.covariance.gather(Lambda)
        return np.concatenate([self.R @ fitted.estimates, theta, tail])

    @property
    def _width(self) -> int:
        return sum(len(root) for root in self.roots)

    def estimates(self, phi: FloatArray) -> FloatArray:
        """Coefficients of the named columns at a point."""
        gamma, _ = self.parts
        return np.asarray(np.linalg.solve(self.R, phi[gamma]), dtype=np.float64)

    def fixed_covariance(self, covariance: FloatArray) -> FloatArray:
        """Covariance of the named coefficients from that of all parameters."""
        gamma, _ = self.parts
        half = np.linalg.solve(self.R, covariance[gamma, gamma])
        found = np.linalg.solve(self.R, half.T)
        return np.asarray(0.5 * (found + found.T), dtype=np.float64)

    def moved(
        self,
        fitted: FittedModel,
        phi: FloatArray,
        *,
        nodes: int = 1,
    ) -> FittedModel:
        """
        A fitted model moved to a point, with the effects of its own rows there.

        Standard errors, log-likelihood and verdicts are left as they are.
        """
        if not isinstance(fitted.source, ModelRows):
            raise FitError("a fit of sums alone is exact; there is nothing to move")
        objective, structure = self.likelihood(fitted.source, nodes)
        gamma, place = self.parts
        eta = fixed = objective.X @ phi[gamma] + objective.offset
        psi = float(phi[-1]) if self.family.dispersed else 0.0
        random, icc = fitted.random, fitted.icc
        if structure is not None and isinstance(objective, Marginal):
            theta = self.covariance.with_signs(phi[place])
            Lambda = structure.covariance.matrix(theta)
            mode = objective.mode(eta, Lambda, psi)
            effects = structure.effects(theta, mode.u, mode.factor)
            eta = mode.eta
            random = tuple(
                replace(
                    term,
                    sigma=self.covariance.sigma(theta, t),
                    modes=effects[t][0],
                    spread=effects[t][1],
                )
                for t, term in enumerate(fitted.random)
            )
            variance = _mean_variance(fitted.source, random)
            icc = latent_share(objective.family, variance, fixed, psi)
        return replace(
            fitted,
            estimates=self.estimates(phi),
            random=random,
            dispersion=float(np.exp(psi)) if self.family.dispersed else None,
            eta_range=(float(eta.min()), float(eta.max())),
            icc=icc,
        )


def _mean_variance(rows: ModelRows, random: tuple[RandomEffects, ...]) -> float:
    """Variance of the random part of a linear predictor, averaged over the rows."""
    total = 0.0
    for columns, term in zip(rows.random, random, strict=True):
        of_rows = ((columns.Z @ term.sigma) * columns.Z).sum(axis=1)
        total += float(rows.weights @ of_rows) / float(rows.weights.sum())
    return total


def _lower_root(sigma: FloatArray) -> FloatArray:
    """Cholesky factor, also of a singular matrix, with a non-negative diagonal."""
    values, vectors = np.linalg.eigh(sigma)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))).T
    L = np.asarray(np.linalg.qr(root, mode="r"), dtype=np.float64).T
    return np.asarray(L * np.where(np.diag(L) < 0, -1.0, 1.0), dtype=np.float64)
