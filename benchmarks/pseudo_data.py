"""
Claim: pseudo-data are made hundreds of times faster than by the authors' optimiser.

Ours moves rows by Gauss-Newton in the space of constraints.  The peer is written from
the description of the published code: Levenberg-Marquardt over all n*p unknowns with
a numeric Jacobian, damping 1e-3 max diag J'J, Nielsen's updates, and a Cholesky factor
of the (n*p) x (n*p) matrix J'J + mu I.  All p = 5 columns float; the constraints are
the same moments.  At 850 rows one factor is of a 4,250 x 4,250 matrix and one Jacobian
takes 4,250 evaluations of all moments, so the peer is timed for a few iterations, on
the full problem, and multiplied by the iterations that it needs to 1e-8 on a smaller
one, 60 rows at K=3: the extrapolated ratio is an estimate, printed with its parts.

Run: ``python -m benchmarks.pseudo_data``.
"""

import time

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from benchmarks import gusto
from fedglmm_flower.coordinator.pseudodata import generate
from fedglmm_flower.coordinator.starts import Starts
from fedglmm_flower.coordinator.targets import Targets
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.polynomial import Monomial

FloatArray = npt.NDArray[np.float64]
ROWS = 850
TIMED = 2
SMALL_ROWS = 60
SMALL_ORDER = 3
MOST = 100
STARTS = Starts.for_rows(1, 4096)


class AuthorsOptimiser:
    """Rows are moved one unknown at a time to see what that does to the moments."""

    def __init__(self, model: Model, moments: dict[Monomial, float], rows: int) -> None:
        self.monomials = np.array([m for m in moments if any(m)])
        self.goal = np.array([v for m, v in moments.items() if any(m)])
        self.shape = (rows, len(model.atoms))
        scale = [abs(moments.get(tuple(2 * m), 1.0)) for m in self.monomials]
        self.size = np.sqrt(np.maximum(scale, 1e-3))

    def residuals(self, unknowns: FloatArray) -> FloatArray:
        """Moments minus their targets."""
        x = unknowns.reshape(self.shape)
        powers = x[None, :, :] ** np.arange(self.monomials.max() + 1)[:, None, None]
        out = np.ones((len(self.monomials), len(x)))
        for k in range(self.shape[1]):
            out *= powers[self.monomials[:, k], :, k]
        return np.asarray((out.mean(axis=1) - self.goal) / self.size)

    def jacobian(self, unknowns: FloatArray, at: FloatArray) -> FloatArray:
        """Forward differences, one evaluation of every moment for each unknown."""
        step = 1e-7
        out = np.empty((len(at), len(unknowns)))
        for i in range(len(unknowns)):
            moved = unknowns.copy()
            moved[i] += step
            out[:, i] = (self.residuals(moved) - at) / step
        return out

    def run(self, unknowns: FloatArray, iterations: int) -> tuple[int, float]:
        """Iterations taken, and the largest residual reached."""
        at = self.residuals(unknowns)
        J = self.jacobian(unknowns, at)
        mu, nu = 1e-3 * float((J**2).sum(axis=0).max()), 2.0
        for done in range(1, iterations + 1):
            normal = J.T @ J
            normal[np.diag_indices_from(normal)] += mu
            gradient = J.T @ at
            factor = cho_factor(normal, check_finite=False)
            step = -cho_solve(factor, gradient, check_finite=False)
            tried = self.residuals(unknowns + step)
            gain = (at @ at - tried @ tried) / (step @ (mu * step - gradient))
            if gain > 0:
                unknowns, at = unknowns + step, tried
                J = self.jacobian(unknowns, at)
                mu, nu = mu * max(1 / 3, 1 - float(2 * gain - 1) ** 3), 2.0
            else:
                mu, nu = mu * nu, 2 * nu
            if np.abs(at).max() < 1e-8:
                return done, float(np.abs(at).max())
        return iterations, float(np.abs(at).max())


def start(model: Model, targets: Targets, rows: int) -> FloatArray:
    """A Gaussian start with the right means and variances, as the authors take."""
    rng = np.random.default_rng(1)
    unit = np.eye(len(model.atoms), dtype=int)
    first = np.array([targets.moments[tuple(e)] for e in unit])
    second = np.array(
        [
            first[i] if factor else targets.moments[tuple(2 * unit[i])]
            for i, factor in enumerate(model.factors)
        ]
    )
    sd = np.sqrt(second - first**2)
    return np.asarray(first + sd * rng.normal(size=(rows, len(first)))).ravel()


def main() -> None:
    """Time both, and print one ratio."""
    study, rows = gusto.load()
    model, targets = study.model, gusto.targets(study, rows)
    site = min(targets, key=lambda s: abs(targets[s].n_rows - ROWS))
    one = targets[site]
    began = time.process_time()
    ours = generate(model, one, STARTS)
    seconds = time.process_time() - began
    print(
        f"ours: site {site}, {one.n_rows} patients, {len(ours.weights)} pseudo-rows, "
        f"K={study.order}: {seconds:.3f} s, residual {ours.residual:.0e}"
    )
    began = time.process_time()
    worst = max(
        generate(model, t, STARTS, block).residual
        for block, t in enumerate(targets.values())
    )
    whole = time.process_time() - began
    print(
        f"ours: all {len(targets)} sites, one draw, one core: {whole:.1f} s, worst "
        f"residual {worst:.0e}; a run takes eight draws, and two of K={study.order - 1}"
    )
    low = {m: v for m, v in one.moments.items() if sum(map(bool, m)) <= SMALL_ORDER}
    low = {m: v for m, v in low.items() if sum(m) <= SMALL_ORDER}
    small = AuthorsOptimiser(model, low, SMALL_ROWS)
    needed, left = small.run(start(model, one, SMALL_ROWS), MOST)
    print(
        f"peer: {SMALL_ROWS} rows, K={SMALL_ORDER}: {needed} iterations, largest "
        f"residual {left:.0e}"
    )
    peer = AuthorsOptimiser(model, dict(one.moments), one.n_rows)
    began = time.process_time()
    done, _ = peer.run(start(model, one, one.n_rows), TIMED)
    each = (time.process_time() - began) / done
    print(
        f"peer: {one.n_rows} rows, K={study.order}: {each:.1f} s an iteration (timed "
        f"{done}); extrapolated to {needed} iterations: {each * needed:.0f} s"
    )
    print(f"ratio, one site, extrapolated: {each * needed / seconds:.0f}")


if __name__ == "__main__":
    main()
