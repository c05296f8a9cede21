"""Generalised linear (mixed) models, by Laplace or adaptive quadrature."""

import numpy as np

from fedglmm_flower.errors import FitError, UsageError
from fedglmm_flower.glmm.boundary import on_boundary
from fedglmm_flower.glmm.coordinates import Coordinates, build_coordinates
from fedglmm_flower.glmm.families import family_class
from fedglmm_flower.glmm.family import Family
from fedglmm_flower.glmm.fitted import FittedModel, RandomEffects
from fedglmm_flower.glmm.independent import Independent, climb
from fedglmm_flower.glmm.latent import latent_share
from fedglmm_flower.glmm.linear import fit_products
from fedglmm_flower.glmm.marginal import Marginal
from fedglmm_flower.glmm.optimise import Maximum, definite, maximise
from fedglmm_flower.glmm.reduce import cross_products
from fedglmm_flower.glmm.rows import FloatArray, ModelRows
from fedglmm_flower.glmm.structure import Structure, build_structure
from fedglmm_flower.glmm.verdict import Verdict

_SEPARATED = 1e-6  # information at the fit, relative to that of the intercept-only fit
_MOST_NODES = 10_000


def fit_rows(
    rows: ModelRows, *, family: str, link: str | None = None, method: str | None = None
) -> FittedModel:
    """
    Fit a model to rows, real or pseudo.

    Parameters
    ----------
    rows : ModelRows
    family : {"gaussian", "binomial", "poisson", "gamma", "nbinom2"}
    link : str, optional
        Canonical, and log for gamma and nbinom2, unless said otherwise.
    method : str, optional
        ``"reml"`` or ``"ml"`` for gaussian models; ``"laplace"`` or ``"aghq:k"`` with
        k nodes per random effect for the others.

    Raises
    ------
    FitError
        If the model is not determined by these data.
    """
    chosen = family_class(family, link)
    rows = _positive(rows)
    if family == "gaussian":
        return fit_products(cross_products(rows), method)
    method = method or "laplace"
    nodes = parse_nodes(method)
    w = np.sqrt(rows.weights)[:, None]
    coordinates = build_coordinates(
        rows.names, rows.coefficients, (w * rows.basis).T @ (w * rows.basis)
    )
    if not rows.random:
        return _Fit(rows, chosen, coordinates, None, method, nodes).run()
    total = float(rows.weights.sum())
    roots = [np.linalg.qr(w * t.Z / np.sqrt(total), mode="r") for t in rows.random]
    structure = build_structure(rows.random, roots)
    if nodes > 1 and len(structure.chain.stages) > 1:
        raise UsageError(
            f"method: found {method!r} for nested clusters; quadrature takes one "
            "level of clusters; use laplace"
        )
    if nodes**structure.chain.width > _MOST_NODES:
        raise UsageError(
            f"method: found {method!r} for {structure.chain.width} random effects per "
            f"cluster; at most {_MOST_NODES} nodes in all; use fewer, or laplace"
        )
    return _Fit(rows, chosen, coordinates, structure, method, nodes).run()


def parse_nodes(method: str) -> int:
    """Nodes of ``"laplace"`` or ``"aghq:k"``."""
    if method == "laplace":
        return 1
    name, _, count = method.partition(":")
    if name == "aghq" and count.isdigit() and 1 <= int(count) <= 200:
        return int(count)
    raise UsageError(
        f"method: found {method!r}; use laplace or aghq:k, k from 1 to 200"
    )


def _positive(rows: ModelRows) -> ModelRows:
    """The rows that count: a weight of zero is the same as no row."""
    keep = rows.weights > 0
    if keep.all():
        return rows
    return ModelRows(
        rows.names,
        rows.basis[keep],
        rows.coefficients,
        rows.response[keep],
        rows.weights[keep],
        rows.trials[keep],
        rows.offset[keep],
        tuple(
            type(t)(t.group, t.names, t.index[keep], t.levels, t.Z[keep], t.correlated)
            for t in rows.random
        ),
        rows.constant,
        rows.n_rows,
    )


class _Fit:
    """One fit: the pieces that its steps share."""

    def __init__(
        self,
        rows: ModelRows,
        chosen: type[Family],
        coordinates: Coordinates,
        structure: Structure | None,
        method: str,
        nodes: int,
    ) -> None:
        self.rows, self.coordinates, self.structure = rows, coordinates, structure
        self.method, self.nodes = method, nodes
        order = slice(None) if structure is None else structure.chain.order
        self.family = chosen(
            rows.response[order],
            rows.weights[order],
            rows.trials[order],
            rows.constant,
        )
        self.offset = rows.offset[order]
        self.plain = rows.basis[order] @ coordinates.Q
        self.p = self.plain.shape[1]
        self.null_information = np.zeros((self.p, self.p))

    def start(self) -> tuple[FloatArray, float]:
        """Estimates without random effects; columns whitened by their information."""
        gamma, level = np.zeros(self.p), self.family.start(self.offset)
        direction, *_ = np.linalg.lstsq(self.plain, np.ones(len(self.plain)))
        if np.abs(self.plain @ direction - 1.0).max() < 1e-8:
            gamma = level * direction
        eta = self.plain @ gamma + self.offset
        psi = self.family.start_psi(eta) if self.family.dispersed else 0.0
        W = np.maximum(self.family.terms(eta, psi)[2], 0.0)
        self.null_information = self.plain.T @ (W[:, None] * self.plain)
        gamma, information = climb(self.family, self.plain, self.offset, gamma, psi)
        if self.family.dispersed:
            psi = self.family.start_psi(self.plain @ gamma + self.offset)
            information = Independent(self.family, self.plain, self.offset).information(
                np.r_[gamma, psi]
            )
        L = np.linalg.cholesky(definite(information))
        self.L = L
        self.X = np.ascontiguousarray(np.linalg.solve(L, self.plain.T).T)
        return L.T @ gamma, psi

    def run(self) -> FittedModel:
        """Start, maximise, look at the boundary, report."""
        gamma, psi = self.start()
        tail = [psi] if self.family.dispersed else []
        if self.structure is None:
            objective = Independent(self.family, self.X, self.offset)
            start = np.r_[gamma, tail]
            found = maximise(
                objective,
                start,
                self._with_tail(objective.information(start), objective, start),
                np.r_[np.full(self.p, np.inf), np.full(len(tail), 2.0)],
            )
            return self._report(found, np.ones(len(start), dtype=bool), None)
        covariance = self.structure.covariance
        Z = np.concatenate(
            [
                np.linalg.solve(covariance.factors[t].T, self.rows.random[t].Z.T)
                for t in self._chain_terms()
            ]
        ).T[self.structure.chain.order]
        marginal = Marginal(
            self.family,
            self.X,
            self.offset,
            Z,
            self.structure.chain,
            covariance,
            self.nodes,
        )
        theta = self._start_theta(marginal, gamma, psi)
        start = np.r_[gamma, theta, tail]
        limit = np.r_[
            np.full(self.p, np.inf), np.full(len(theta), 2.0), np.full(len(tail), 2.0)
        ]

        def curvature(phi: FloatArray) -> FloatArray:
            return self._with_tail(marginal.information(phi), marginal, phi)

        found = maximise(marginal, start, curvature(start), limit)
        place = slice(self.p, self.p + len(theta))
        found, free = on_boundary(marginal, covariance, place, found, curvature, limit)
        return self._report(found, free, marginal)

    def _chain_terms(self) -> list[int]:
        assert self.structure is not None
        columns = self.structure.covariance.columns
        return sorted(range(len(columns)), key=lambda t: columns[t].start)

    def _with_tail(
        self, block: FloatArray, objective: Marginal | Independent, phi: FloatArray
    ) -> FloatArray:
        """Curvature: the given block for gamma, differences of gradients elsewhere."""
        d, p = len(phi), len(block)
        B = np.zeros((d, d))
        B[:p, :p] = block
        here = objective(phi)[1] if d > p else np.zeros(d)
        for j in range(p, d):
            h = 1e-4 * max(abs(phi[j]), 0.1)
            moved = phi.copy()
            moved[j] += h
            B[j] = (here - objective(moved)[1]) / h
            B[:p, j] = B[j, :p]
        B[p:, p:] = 0.5 * (B[p:, p:] + B[p:, p:].T)
        return definite(B, 1e-3)

    def _start_theta(
        self, marginal: Marginal, gamma: FloatArray, psi: float
    ) -> FloatArray:
        """Moments of the cluster scores: E s^2 = S + sigma^2 S^2."""
        assert self.structure is not None
        chain, covariance = self.structure.chain, self.structure.covariance
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

    def _report(
        self,
        found: Maximum,
        free: np.typing.NDArray[np.bool_],
        marginal: Marginal | None,
    ) -> FittedModel:
        p, structure, family = self.p, self.structure, self.family
        gamma = found.point[:p]
        size = 0 if structure is None else structure.covariance.size
        theta = found.point[p : p + size]
        psi = float(found.point[p + size]) if family.dispersed else 0.0
        eta = fixed = self.X @ gamma + self.offset
        random: tuple[RandomEffects, ...] = ()
        if structure is not None and marginal is not None:
            theta = structure.covariance.with_signs(theta)
            Lambda = structure.covariance.matrix(theta)
            marginal.u = tuple(np.zeros_like(u) for u in marginal.u)
            mode = marginal.mode(fixed, Lambda, psi)
            eta = mode.eta
            random = tuple(
                RandomEffects(
                    term.group,
                    term.names,
                    term.correlated,
                    structure.covariance.sigma(theta, t),
                    structure.chain.stages[structure.stage_of[t]].levels,
                    b,
                    spread,
                )
                for t, (term, (b, spread)) in enumerate(
                    zip(
                        structure.terms,
                        structure.effects(theta, mode.u, mode.factor),
                        strict=True,
                    )
                )
            )
            block = marginal.information(np.r_[gamma, theta, found.point[p + size :]])
        else:
            block = found.information[:p, :p]
        usable = found.definite
        joint = np.linalg.inv(
            found.information if usable else definite(found.information)
        )
        back = np.linalg.inv(self.L).T
        coordinates = self.coordinates
        covariance = _map(coordinates, back, joint[:p, :p])
        verdicts = self._verdicts(found, free, eta)
        return FittedModel(
            family=family.name,
            link=family.link,
            method="ml" if structure is None else self.method,
            names=self.rows.names,
            estimates=coordinates.estimates(back @ gamma),
            covariance=covariance,
            covariance_fixed_theta=_map(
                coordinates, back, np.linalg.inv(definite(block))
            ),
            random=random,
            dispersion=float(np.exp(psi)) if family.dispersed else None,
            residual_sd=None,
            loglik=found.value,
            df=len(found.point),
            n_rows=self.rows.n_rows,
            verdicts=verdicts,
            icc=None
            if structure is None
            else latent_share(family, float(theta @ theta), fixed, psi),
            eta_range=(float(eta.min()), float(eta.max())),
        )

    def _verdicts(
        self, found: Maximum, free: np.typing.NDArray[np.bool_], eta: FloatArray
    ) -> tuple[Verdict, ...]:
        verdicts: list[Verdict] = []
        if self._separated(found):
            verdicts.append(Verdict.SEPARATION)
        elif not found.definite:
            verdicts.append(Verdict.UNIDENTIFIABLE)
        elif not found.converged:
            verdicts.append(Verdict.NOT_CONVERGED)
        if not free.all():
            verdicts.append(Verdict.BOUNDARY)
        return tuple(verdicts) or (Verdict.CONVERGED,)

    def _separated(self, found: Maximum) -> bool:
        """Whether some coefficient is nearly unknown, against an ordinary fit."""
        gamma = np.linalg.solve(self.L.T, found.point[: self.p])
        eta = self.plain @ gamma + self.offset
        psi = float(found.point[-1]) if self.family.dispersed else 0.0
        W = np.maximum(self.family.terms(eta, psi)[2], 0.0)
        information = self.plain.T @ (W[:, None] * self.plain)
        try:
            L = np.linalg.cholesky(self.null_information)
        except np.linalg.LinAlgError:
            return False
        half = np.linalg.solve(L, np.linalg.solve(L, information).T)
        return bool(np.linalg.eigvalsh(half)[0] < _SEPARATED)


def _map(
    coordinates: Coordinates, back: FloatArray, covariance: FloatArray
) -> FloatArray:
    """Covariance of the named coefficients from that in whitened coordinates."""
    try:
        root = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError as error:
        raise FitError(Verdict.UNIDENTIFIABLE.value) from error
    return coordinates.covariance(back @ root)
