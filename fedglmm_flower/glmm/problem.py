"""One generalised fit: where it starts, and how its maximum is reached."""

import numpy as np

from fedglmm_flower.glmm.boundary import on_boundary, restricted
from fedglmm_flower.glmm.coordinates import Coordinates
from fedglmm_flower.glmm.family import Family
from fedglmm_flower.glmm.gram import weighted_gram
from fedglmm_flower.glmm.independent import Independent, climb
from fedglmm_flower.glmm.marginal import Marginal
from fedglmm_flower.glmm.optimise import Hessian, Maximum, definite, maximise
from fedglmm_flower.glmm.rows import BoolArray, FloatArray, ModelRows
from fedglmm_flower.glmm.separation import diverging_directions, taking_part
from fedglmm_flower.glmm.structure import Structure

_LONGEST = 100.0  # standard errors of a fixed effect that one Newton step may cross
_NEARLY_POISSON = 9.0  # log theta beyond which the Poisson limit is tried
_POISSON = 18.0  # log theta that stands for infinity


class Problem:
    """
    A likelihood in well-scaled coordinates.

    The parameters are (gamma, theta, psi).  The columns of `X` are whitened by the
    information of the fit without random effects, so that one unit of any gamma is
    about one standard error.

    Parameters
    ----------
    rows : ModelRows
        Of positive weight.
    chosen : type of Family
    coordinates : Coordinates
    structure : Structure or None
    nodes : int

    Attributes
    ----------
    family : Family
        Of the rows in cluster order.
    X : array of shape (n, p)
    back : array of shape (p, p)
        From gamma to the orthonormal coordinates of `Coordinates`.
    null_information : array of shape (p, p)
        Information of the intercept-only fit, in coordinates of `plain`.
    start : array
    """

    def __init__(
        self,
        rows: ModelRows,
        chosen: type[Family],
        coordinates: Coordinates,
        structure: Structure | None,
        *,
        nodes: int = 1,
    ) -> None:
        self.rows, self.structure = rows, structure
        order = slice(None) if structure is None else structure.chain.selection
        self.family = chosen(
            rows.response[order],
            rows.weights[order],
            rows.trials[order],
            rows.constant,
            rows.shape_sum,
        )
        self.offset = rows.offset[order]
        self.plain = _times(rows.basis[order], coordinates.columns)
        self.p = self.plain.shape[1]
        gamma, psi, information = self._without_effects()
        self.faded = self._flat(information)
        L = np.linalg.cholesky(definite(information))
        self.back = np.asarray(np.linalg.inv(L).T, dtype=np.float64)
        self.X = _times(self.plain, self.back)
        tail = np.full(int(self.family.dispersed), psi)
        self.objective: Marginal | Independent
        if structure is None:
            self.objective = Independent(self.family, self.X, self.offset)
            theta = np.zeros(0)
        else:
            self.objective = Marginal(
                self.family,
                X=self.X,
                offset=self.offset,
                Z=_whitened(rows, structure),
                chain=structure.chain,
                covariance=structure.covariance,
                nodes=nodes,
            )
            theta = self._start_theta(self.objective, L.T @ gamma, psi)
        start = [L.T @ gamma, theta, tail]
        self.start = np.asarray(np.concatenate(start), dtype=np.float64)
        self.limit = np.full(len(self.start), 2.0)
        # Newton by the exact curvature takes enormous steps where it fades.
        self.limit[: self.p] = np.inf if self.hessian is None else _LONGEST

    def _without_effects(self) -> tuple[FloatArray, float, FloatArray]:
        """Estimates of the model without random effects, and their information."""
        family, plain = self.family, self.plain
        gamma: FloatArray = np.zeros(self.p)
        direction, *_ = np.linalg.lstsq(plain.T @ plain, plain.sum(axis=0))
        if self.p and np.abs(plain @ direction - 1.0).max() < 1e-8:
            gamma = np.asarray(family.start(self.offset) * direction, dtype=np.float64)
        eta = plain @ gamma + self.offset
        psi = family.start_psi(eta) if family.dispersed else 0.0
        W = np.maximum(family.terms(eta, psi)[2], 0.0)
        self.null_information = weighted_gram(plain, W)
        gamma, information = climb(family, plain, self.offset, gamma, psi)
        if family.dispersed:
            psi = family.start_psi(plain @ gamma + self.offset)
            at = np.append(gamma, psi)
            information = Independent(family, plain, self.offset).information(at)
        return gamma, psi, information

    def _start_theta(
        self, marginal: Marginal, gamma: FloatArray, psi: float
    ) -> FloatArray:
        """Moments of the cluster scores: E s^2 = S + sigma^2 S^2."""
        chain, covariance = marginal.chain, marginal.covariance
        _, score, W = self.family.terms(self.X @ gamma + self.offset, psi)
        s, S = marginal.sums(score), marginal.products(W)
        theta = np.zeros(covariance.size)
        for at in covariance.diagonal():
            j = int(covariance.rows[at])
            depth = next(
                d for d, stage in enumerate(chain.stages) if j < stage.columns.stop
            )
            owner = chain.ancestors[depth]
            sj = np.bincount(owner, s[:, j])
            Sj = np.bincount(owner, S[:, j, j])
            excess = float((sj**2 - Sj).sum() / max((Sj**2).sum(), 1e-300))
            theta[at] = np.sqrt(np.clip(excess, 0.01, 4.0))
        return theta

    @property
    def hessian(self) -> Hessian | None:
        """
        Closed form of minus the Hessian, where there is one.

        Not under separation: there the curvature fades and Newton runs away.
        """
        objective = self.objective
        if isinstance(objective, Marginal) and objective.has_hessian and not self.faded:
            return objective.hessian
        return None

    def curvature(self, phi: FloatArray) -> FloatArray:
        """Information for gamma, differences of gradients for the rest; definite."""
        if self.hessian is not None:
            return definite(self.hessian(phi), 1e-3)
        d, p = len(phi), self.p
        B = np.zeros((d, d))
        B[:p, :p] = self.objective.information(phi)
        here = self.objective(phi)[1] if d > p else np.zeros(d)
        for j in range(p, d):
            h = 1e-4 * max(abs(phi[j]), 0.1)
            moved = phi.copy()
            moved[j] += h
            B[j] = (here - self.objective(moved)[1]) / h
            B[:p, j] = B[j, :p]
        B[p:, p:] = 0.5 * (B[p:, p:] + B[p:, p:].T)
        return definite(B, 1e-3)

    def solve(self) -> tuple[Maximum, BoolArray]:
        """The maximum, and which parameters are not held at zero."""
        B = self.curvature(self.start)
        found = maximise(self.objective, self.start, B, self.limit, self.hessian)
        free: BoolArray = np.ones(len(found.point), dtype=np.bool_)
        if self.family.name == "nbinom2" and found.point[-1] > _NEARLY_POISSON:
            start = np.append(found.point[:-1], _POISSON)
            poisson = free.copy()
            poisson[-1] = False
            reduced = restricted(
                self.objective, start, poisson, self.curvature, self.limit
            )
            if reduced.value >= found.value - 1e-6 * (1.0 + abs(found.value)):
                found, free = reduced, poisson
        if self.structure is None:
            return found, free
        covariance = self.structure.covariance
        place = slice(self.p, self.p + covariance.size)
        return on_boundary(
            self.objective,
            covariance,
            place,
            found,
            free,
            curvature=self.curvature,
            limit=self.limit,
            hessian=self.hessian,
        )

    def diverging(self, found: Maximum, coordinates: Coordinates) -> BoolArray:
        """Which named coefficients have no finite estimate."""
        if self.p == 0:
            return np.zeros(0, dtype=np.bool_)
        eta = self.X @ found.point[: self.p] + self.offset
        psi = float(found.point[-1]) if self.family.dispersed else 0.0
        W = np.maximum(self.family.terms(eta, psi)[2], 0.0)
        information = weighted_gram(self.plain, W)
        directions = diverging_directions(information, self.null_information)
        if not directions.shape[1]:
            return np.zeros(self.p, dtype=np.bool_)
        # Exists, or there would be no direction.
        root = np.linalg.inv(np.linalg.cholesky(self.null_information)).T
        return taking_part(
            coordinates.estimates(directions),
            coordinates.covariance(np.asarray(root, dtype=np.float64)),
        )

    def _flat(self, information: FloatArray) -> bool:
        """Whether some direction has lost the information of an ordinary fit."""
        if self.p == 0:
            return False
        return bool(diverging_directions(information, self.null_information).shape[1])


def _times(columns: FloatArray, factor: FloatArray) -> FloatArray:
    """Product with contiguous columns: sums by cluster go over one at a time."""
    return (factor.T @ columns.T).T


def _whitened(rows: ModelRows, structure: Structure) -> FloatArray:
    """Whitened random-effects columns in the order of the chain."""
    covariance = structure.covariance
    Z = np.empty((len(rows.response), structure.chain.width))
    for t, term in enumerate(rows.random):
        R = covariance.factors[t]
        Z[:, covariance.columns[t]] = np.linalg.solve(R.T, term.Z.T).T
    return Z[structure.chain.selection]
