"""The marginal log-likelihood of a GLMM and its exact gradient."""

from dataclasses import replace

import numpy as np

from fedglmm_flower.glmm.covariance import Covariance
from fedglmm_flower.glmm.elimination import eliminate
from fedglmm_flower.glmm.evaluation import Evaluation, Mode, Nodes, Pull
from fedglmm_flower.glmm.family import Family
from fedglmm_flower.glmm.gram import weighted_gram
from fedglmm_flower.glmm.hessian import laplace_information
from fedglmm_flower.glmm.nesting import Chain
from fedglmm_flower.glmm.quadrature import hermite_grid
from fedglmm_flower.glmm.rows import FloatArray, IntArray

_MODE = 3e-6  # a Newton step this short is the last: the next would be its square
_MAX_NEWTON = 60
_LINEAR = 0.3  # change of a linear predictor over which rows count as linear


class Marginal:
    """
    Log-likelihood of a GLMM with the random effects integrated out.

    Laplace (``nodes = 1``): l(eta) - |u|^2 / 2 - log|H| / 2 at the mode of u, with
    H = I + Lambda' Z' W Z Lambda.  With more nodes, adaptive Gauss-Hermite quadrature
    around the mode (Pinheiro & Bates 1995, eq. 2.11), for one level of clusters.

    Parameters are (gamma, theta, psi): fixed effects, covariance, log dispersion.
    The gradient is that of the approximation itself: the mode, the spread of the
    nodes and the determinant are differentiated through.

    Parameters
    ----------
    family : Family
        Of the rows in the chain's order.
    X : array of shape (n, p)
    offset : array of shape (n,)
    Z : array of shape (n, Q)
        Whitened random-effects columns, outermost stage first.
    chain : Chain
    covariance : Covariance
    nodes : int
    """

    def __init__(
        self,
        family: Family,
        *,
        X: FloatArray,
        offset: FloatArray,
        Z: FloatArray,
        chain: Chain,
        covariance: Covariance,
        nodes: int = 1,
    ) -> None:
        self.family, self.X, self.offset = family, X, offset
        self.chain, self.covariance = chain, covariance
        Q = Z.shape[1]
        self.columns = [_column(Z[:, j]) for j in range(Q)]
        self.pairs = [
            (i, j, self.columns[i] * self.columns[j])
            for i in range(Q)
            for j in range(i + 1)
        ]
        self.counts = np.diff(chain.starts, append=len(chain.cluster))
        self.outer = [np.arange(len(chain.stages[0].levels))]
        for stage in chain.stages[1:]:
            self.outer.append(self.outer[-1][stage.parent])
        self.nodes, self.log_weights = hermite_grid(nodes, Q)
        self._last: Evaluation | None = None
        self.u: tuple[FloatArray, ...] = tuple(
            np.zeros((len(s.levels), s.columns.stop - s.columns.start))
            for s in chain.stages
        )

    def split(self, phi: FloatArray) -> tuple[FloatArray, FloatArray, float]:
        """Parts of the parameter vector: gamma, theta, psi."""
        p, t = self.X.shape[1], self.covariance.size
        psi = float(phi[p + t]) if self.family.dispersed else 0.0
        return phi[:p], phi[p : p + t], psi

    def sums(self, rows: FloatArray) -> FloatArray:
        """Z' rows for every innermost cluster, (G, Q)."""
        starts = self.chain.starts
        return np.stack([_sum(rows, z, starts) for z in self.columns], axis=1)

    def spread(self, b: FloatArray) -> FloatArray:
        """Z b per row, given the effects b (G, Q) of innermost clusters."""
        return self._spread(self.columns, list(b.T))

    def _spread(
        self, columns: list[FloatArray | float], effects: list[FloatArray]
    ) -> FloatArray:
        """Sum of columns, each times an effect (G,) of innermost clusters."""
        out: FloatArray = np.zeros(0)
        for j, (z, effect) in enumerate(zip(columns, effects, strict=True)):
            if isinstance(z, float):
                part = np.repeat(z * effect, self.counts)
            else:
                part = np.repeat(effect, self.counts)
                part *= z
            out = part if j == 0 else np.add(out, part, out=out)
        return out

    def products(self, W: FloatArray) -> FloatArray:
        """Z' W Z of every innermost cluster, (G, Q, Q)."""
        Q = len(self.columns)
        S = np.empty((len(self.chain.starts), Q, Q))
        for i, j, zz in self.pairs:
            S[:, i, j] = S[:, j, i] = _sum(W, zz, self.chain.starts)
        return S

    def cross(self, W: FloatArray) -> FloatArray:
        """Z' W X of every innermost cluster, (G, Q, p)."""
        starts = self.chain.starts
        out = np.empty((len(starts), len(self.columns), self.X.shape[1]))
        for i, z in enumerate(self.columns):
            wz = W * z
            for j, x in enumerate(self.X.T):
                out[:, i, j] = np.add.reduceat(wz * x, starts)
        return out

    def changes(self, third: FloatArray, B: FloatArray) -> FloatArray:
        """
        Derivatives of `products` along directions, (G, Q, Q, d).

        Along direction b, eta changes by ``x_b + z' B_b``; directions beyond the
        fixed effects have no x.
        """
        starts = self.chain.starts
        G, Q, d = B.shape
        out = np.empty((G, Q, Q, d))
        for i, j, zz in self.pairs:
            w = third * zz
            cell = np.einsum("gk,gkb->gb", self.sums(w), B)
            for b, x in enumerate(self.X.T):
                cell[:, b] += np.add.reduceat(w * x, starts)
            out[:, i, j] = out[:, j, i] = cell
        return out

    def quadratic(self, M: FloatArray) -> FloatArray:
        """Z' M z per row, given symmetric M (G, Q, Q)."""
        entries = [(1.0 if i == j else 2.0) * M[:, i, j] for i, j, _ in self.pairs]
        return self._spread([zz for _, _, zz in self.pairs], entries)

    def by_outer(self, value: FloatArray, u: tuple[FloatArray, ...]) -> FloatArray:
        """Joint log-density of responses and effects, by outermost cluster."""
        joint = self.chain.top(np.add.reduceat(value, self.chain.starts))
        for outer, effects in zip(self.outer, u, strict=True):
            squares = (effects**2).sum(axis=1)
            joint = joint - 0.5 * np.bincount(outer, squares, minlength=len(joint))
        return joint

    def _predicted(
        self, fixed: FloatArray, Lambda: FloatArray
    ) -> tuple[FloatArray, ...]:
        """
        Start of `mode`: the last one, moved to first order with the parameters.

        Rows are taken as linear around it.  That costs no exponential, and saves the
        one Newton step in three that differences of the gradient would spend.
        """
        if self._last is None or self._last.mode.u is not self.u:
            return self.u
        mode = self._last.mode
        change = fixed + self.spread(self.chain.expand(mode.u) @ Lambda.T) - mode.eta
        if not max(-change.min(), change.max()) < _LINEAR:
            return self.u
        score = mode.score - mode.curvature * change
        step = mode.factor.solve(self.sums(score) @ Lambda, tuple(-u for u in mode.u))
        return tuple(u + s for u, s in zip(mode.u, step, strict=True))

    def mode(self, fixed: FloatArray, Lambda: FloatArray, psi: float) -> Mode:
        """
        Conditional mode of u by Newton's method, started near the last one found.

        Steps that lower the joint density of an outermost cluster are halved there
        (Bates et al. 2015 do the same for all clusters at once).
        """
        chain, u = self.chain, self._predicted(fixed, Lambda)
        base, step, last = u, u, np.full(len(chain.stages[0].levels), -np.inf)
        length = np.ones(len(last))
        final = False
        for _ in range(_MAX_NEWTON):
            eta = fixed + self.spread(chain.expand(u) @ Lambda.T)
            value, score, W = self.family.terms(eta, psi)
            joint = self.by_outer(value, u)
            bad = ~(joint >= last - 1e-9 * (1.0 + np.abs(last)))
            if bad.any() and not final:
                length = np.where(bad, 0.3 * length, length)
                if length.min() < 1e-10:
                    break
                u = tuple(
                    b + length[o][:, None] * s
                    for b, o, s in zip(base, self.outer, step, strict=True)
                )
                continue
            S = self.products(W)
            factor = eliminate(chain, Lambda.T @ S @ Lambda)
            found = Mode(u, eta, score, W, S, factor, joint)
            if final:
                self.u = u
                return found
            base, last = u, joint
            length = np.ones(len(last))
            step = factor.solve(self.sums(score) @ Lambda, tuple(-e for e in u))
            u = tuple(b + s for b, s in zip(base, step, strict=True))
            final = max(float(np.abs(s).max()) for s in step) < _MODE
        raise np.linalg.LinAlgError("no conditional mode found")

    def __call__(self, phi: FloatArray) -> tuple[float, FloatArray]:
        """Value and gradient at phi."""
        at = self._evaluate(phi)
        return at.value, at.gradient.copy()

    @property
    def has_hessian(self) -> bool:
        """Whether the second derivatives are known in closed form."""
        one = len(self.chain.stages) == 1 and len(self.log_weights) == 1
        return one and not self.family.dispersed and self.family.has_fourth

    def hessian(self, phi: FloatArray) -> FloatArray:
        """Minus the second derivatives at phi, where `has_hessian`."""
        at = self._at(phi)
        found = at.information
        if found is None:
            Lambda = self.covariance.matrix(self.split(phi)[1])
            found = laplace_information(self, at.mode, at.pull, Lambda)
            self._last = replace(at, information=found)
        return found.copy()

    def _at(self, phi: FloatArray) -> Evaluation:
        """The last evaluation, if it was here, or a new one."""
        if self._last is not None and np.array_equal(self._last.phi, phi):
            return self._last
        return self._evaluate(phi)

    def _evaluate(self, phi: FloatArray) -> Evaluation:
        """Value and gradient, kept for a Hessian at the same place."""
        gamma, theta, psi = self.split(phi)
        Lambda = self.covariance.matrix(theta)
        fixed = self.X @ gamma + self.offset
        mode = self.mode(fixed, Lambda, psi)
        if len(self.log_weights) == 1:
            node = self._at_mode(mode, psi)
        else:
            node = self._at_nodes(mode, fixed, Lambda, psi)
        gradient, pull = self._gradient(mode, node, Lambda, psi)
        value = node.value + self.family.aggregate(psi)[0]
        self._last = Evaluation(phi.copy(), value, gradient, mode, pull)
        return self._last

    def _at_mode(self, mode: Mode, psi: float) -> Nodes:
        """The Laplace approximation: one node, at the mode."""
        carried = self.sums(mode.score)
        u = self.chain.expand(mode.u)
        by_psi = 0.0
        if self.family.dispersed:
            by_psi = float(self.family.by_psi(mode.eta, psi)[0].sum())
        return Nodes(
            float(mode.joint.sum()) - 0.5 * mode.factor.logdet,
            mode.score,
            carried[:, :, None] * u[:, None, :],
            None,
            -0.5 * mode.factor.selected_inverse(),
            by_psi,
        )

    def _at_nodes(
        self, mode: Mode, fixed: FloatArray, Lambda: FloatArray, psi: float
    ) -> Nodes:
        """Average over the nodes u + L^-T x, where H = L L'."""
        chain, family = self.chain, self.family
        (u,) = mode.u
        G, Q = u.shape
        H = Lambda.T @ mode.S @ Lambda + np.eye(Q)
        B = np.linalg.inv(np.linalg.cholesky(H)).swapaxes(1, 2)
        total = np.zeros(G)
        by_u = np.zeros((G, Q))
        by_B = np.zeros((G, Q, Q))
        outer = np.zeros((G, Q, Q))
        psi_sum = np.zeros(G)
        score_sum = np.zeros(len(chain.cluster))
        for x, log_weight in zip(self.nodes, self.log_weights, strict=True):
            uj = u + B @ x
            eta = fixed + self.spread(uj @ Lambda.T)
            value, score, _ = family.terms(eta, psi)
            joint = np.add.reduceat(value, chain.starts) - 0.5 * (uj**2).sum(axis=1)
            # The mode is the highest point, so this cannot overflow.
            e = np.exp(np.minimum(joint - mode.joint + log_weight, 600.0))
            total += e
            carried = self.sums(score)
            slope = e[:, None] * (carried @ Lambda - uj)
            by_u += slope
            by_B += slope[:, :, None] * x
            outer += (e[:, None] * carried)[:, :, None] * uj[:, None, :]
            score_sum += np.repeat(e, self.counts) * score
            if family.dispersed:
                rows = family.by_psi(eta, psi)[0]
                psi_sum += e * np.add.reduceat(rows, chain.starts)
        M = (by_B / total[:, None, None]).swapaxes(1, 2) @ B
        half = np.tril(M)
        half[:, range(Q), range(Q)] *= 0.5
        bent = B @ half @ B.swapaxes(1, 2)
        inverse = mode.factor.inverses[0]
        value_sum = float((mode.joint + np.log(total)).sum())
        return Nodes(
            value_sum - 0.5 * mode.factor.logdet,
            score_sum / np.repeat(total, self.counts),
            outer / total[:, None, None],
            by_u / total[:, None],
            -0.5 * inverse - 0.5 * (bent + bent.swapaxes(1, 2)),
            float((psi_sum / total).sum()),
        )

    def _gradient(
        self, mode: Mode, node: Nodes, Lambda: FloatArray, psi: float
    ) -> tuple[FloatArray, Pull]:
        """
        Gradient by the adjoint of the mode equation.

        `node.by_curvature` is the derivative of the approximation with respect to H.
        It reaches the parameters through W, through Lambda, and through the mode: v
        solves H v = (derivative with respect to u).
        """
        chain, family = self.chain, self.family
        leverage = self.quadratic(Lambda @ node.by_curvature @ Lambda.T)
        third = family.third(mode.eta, psi)
        s = third * leverage
        own = None if node.by_u is None else (node.by_u,)
        v = chain.expand(mode.factor.solve(self.sums(s) @ Lambda, own))
        bent = s - mode.curvature * self.spread(v @ Lambda.T)
        by_gamma = self.X.T @ (node.score + bent)
        u = chain.expand(mode.u)
        slope = (
            node.outer.sum(axis=0)
            + self.sums(bent).T @ u
            + self.sums(mode.score).T @ v
            + 2.0 * np.einsum("gij,gjk->ik", mode.S @ Lambda, node.by_curvature)
        )
        gradient = [by_gamma, self.covariance.gather(slope)]
        if family.dispersed:
            constant_slope = family.aggregate(psi)[1]
            _, score, W = family.by_psi(mode.eta, psi)
            through = float(W @ leverage)
            through += float(((self.sums(score) @ Lambda) * v).sum())
            gradient.append(np.array([node.by_psi + through + constant_slope]))
        pull = Pull(node.by_curvature, leverage, third, v, bent)
        return np.concatenate(gradient), pull

    def information(self, phi: FloatArray) -> FloatArray:
        """Information about gamma with theta and the determinant held fixed."""
        mode = self._at(phi).mode
        Lambda = self.covariance.matrix(self.split(phi)[1])
        XWX = weighted_gram(self.X, mode.curvature)
        AWX = self.weighted_columns(mode, Lambda)
        solved = self.chain.expand(mode.factor.solve(AWX))
        lost = np.einsum("gip,giq->pq", AWX, solved)
        return np.asarray(XWX - lost, dtype=np.float64)

    def weighted_columns(self, mode: Mode, Lambda: FloatArray) -> FloatArray:
        """Lambda' Z' W X of every innermost cluster, (G, Q, p)."""
        return Lambda.T @ self.cross(mode.curvature)


def _column(z: FloatArray) -> FloatArray | float:
    """A column, or its value if it is constant as an intercept is."""
    return float(z[0]) if (z == z[0]).all() else np.ascontiguousarray(z)


def _sum(rows: FloatArray, z: FloatArray | float, starts: IntArray) -> FloatArray:
    """Sums of rows times a column by cluster."""
    if isinstance(z, float):
        return z * np.add.reduceat(rows, starts)
    return np.add.reduceat(rows * z, starts)
