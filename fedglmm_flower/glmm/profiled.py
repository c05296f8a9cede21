"""The profiled log-likelihood of a linear mixed model, from cross-products alone."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from fedglmm_flower.glmm.covariance import Covariance
from fedglmm_flower.glmm.elimination import Elimination, eliminate
from fedglmm_flower.glmm.nesting import Chain
from fedglmm_flower.glmm.rows import FloatArray


@dataclass(frozen=True)
class Profile:
    """
    All that the profiled likelihood knows at one theta.

    Attributes
    ----------
    value : float
        ML or REML log-likelihood, in the coordinates gamma.
    gamma : array of shape (p,)
    sigma2 : float
        Residual variance.
    L : array of shape (p, p)
        Lower Cholesky factor of R_X' R_X, so cov(gamma) = sigma2 (L L')^-1.
    u : tuple of arrays
        Spherical random effects, in units of the residual sd.
    factor : Elimination
    gradient, sigma2_gradient : arrays of shape (t,)
        Of the value, and of the residual variance, in theta.
    """

    value: float
    gamma: FloatArray
    sigma2: float
    L: FloatArray
    u: tuple[FloatArray, ...]
    factor: Elimination
    gradient: FloatArray
    sigma2_gradient: FloatArray


class Profiled:
    """
    Profiled deviance of Bates et al. (2015), eqs. 34 (ML) and 41 (REML).

    Parameters
    ----------
    products : array of shape (G, p + 1 + Q, p + 1 + Q)
        Cross-products of ``[X, y, Z]`` for each innermost cluster.
    p : int
    n : float
        Summed weights: the n of the likelihood.
    chain : Chain
    covariance : Covariance
    reml : bool
    """

    def __init__(
        self,
        products: FloatArray,
        p: int,
        n: float,
        chain: Chain,
        covariance: Covariance,
        *,
        reml: bool,
    ) -> None:
        self.products, self.p, self.n, self.reml = products, p, n, reml
        self.chain, self.covariance = chain, covariance
        e = p + 1
        self.total = products[:, :e, :e].sum(axis=0)
        self.ZXy = products[:, e:, :e]
        self.ZZ = products[:, e:, e:]

    @property
    def degrees(self) -> float:
        """N for ML, n - p for REML."""
        return self.n - self.p if self.reml else self.n

    def at(self, theta: FloatArray) -> Profile:
        """Everything at theta."""
        p, e = self.p, self.p + 1
        Lambda = self.covariance.matrix(theta)
        G, Q = len(self.ZZ), Lambda.shape[0]
        P = np.empty((G, e + Q, e + Q))
        P[:, :e, :e] = self.products[:, :e, :e]
        P[:, e:, :e] = Lambda.T @ self.ZXy
        P[:, :e, e:] = P[:, e:, :e].swapaxes(1, 2)
        P[:, e:, e:] = Lambda.T @ self.ZZ @ Lambda
        factor = eliminate(self.chain, P, lead=e)
        L = np.asarray(np.linalg.cholesky(factor.rest[:p, :p]), dtype=np.float64)
        half = solve_triangular(L, factor.rest[:p, p], lower=True)
        gamma = np.asarray(solve_triangular(L.T, half), dtype=np.float64)
        pwrss = float(factor.rest[p, p] - half @ half)
        if not pwrss > 0:
            raise np.linalg.LinAlgError("no residual variation")
        nu = self.degrees
        deviance = factor.logdet + nu * (1.0 + np.log(2 * np.pi * pwrss / nu))
        if self.reml:
            deviance += 2.0 * np.log(np.diag(L)).sum()
        # u for every column of [X, y]: the regression of the columns on Z.
        U = factor.solve(P[:, e:, :e])
        chained = self.chain.expand(U)
        residual = self.ZXy - self.ZZ @ (Lambda @ chained)
        direction = np.r_[-gamma, 1.0]
        u_hat, r_hat = chained @ direction, residual @ direction
        C = factor.selected_inverse()
        slope = 2.0 * np.einsum("gij,gjk->ik", self.ZZ @ Lambda, C)
        rss_slope = -2.0 * (r_hat.T @ u_hat)
        slope += (nu / pwrss) * rss_slope
        if self.reml:
            T_inverse = np.linalg.inv(L @ L.T)
            slope -= 2.0 * np.einsum(
                "gip,pq,gjq->ij", residual[:, :, :p], T_inverse, chained[:, :, :p]
            )
        return Profile(
            -0.5 * deviance,
            gamma,
            pwrss / nu,
            L,
            tuple(x @ direction for x in U),
            factor,
            -0.5 * self.covariance.gather(slope),
            self.covariance.gather(rss_slope) / nu,
        )

    def __call__(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Value and gradient, for the optimiser."""
        found = self.at(theta)
        return found.value, found.gradient
