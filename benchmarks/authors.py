"""
The authors' generator of pseudo-data, written from a reading of their code.

Levenberg-Marquardt over all n p unknowns of an n x p table of floats, indicators
included: a Jacobian of central differences at every point that is tried, the matrix
``J'J + mu I`` of (n p) x (n p), its Cholesky factor and from that its inverse, damping
from 1e-3 max diag J'J with Nielsen's updates.  It ends at a sum of squares of 1e-16, a
gradient of 1e-8, a relative step of 1e-8, or after 20 iterations in a row that take off
less than a hundredth.  Columns are standardised.  No code is copied.

All moments are entries of one product ``V'V`` of the columns and their pairs; what
their code does besides with names of moments is left out, and so is the response, which
is one more column of theirs.
"""

import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve, lapack
from scipy.stats import qmc

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

STEP = float(np.finfo(float).eps ** (1 / 3))
TIMED_COLUMNS = 20
REACH = 15.0


class Path(NamedTuple):
    """How an optimisation went, and the largest residual left."""

    iterations: int
    accepted: int
    residual: float


@dataclass(frozen=True)
class Parts:
    """Processor seconds of one Jacobian, one product ``J'J`` and one inverse."""

    jacobian: float
    product: float
    inverse: float

    def total(self, path: Path) -> float:
        """Seconds of a whole optimisation."""
        jacobians, products = path.iterations + 1, path.accepted + 1
        return (
            jacobians * self.jacobian
            + products * self.product
            + path.iterations * self.inverse
        )


class AuthorsOptimiser:
    """
    Rows are moved one unknown at a time to see what that does to the moments.

    Parameters
    ----------
    table : array of shape (n, p)
        Columns of a site; nothing but their moments is used.
    exponents : array of shape (m, p)
        The moments, of order four at most.
    """

    def __init__(self, table: FloatArray, exponents: IntArray) -> None:
        self.shape = table.shape
        self.exponents = exponents
        standard = (table - table.mean(axis=0)) / table.std(axis=0)
        self.covariance = np.cov(standard.T, bias=True)
        p = table.shape[1]
        self.first, self.second = np.triu_indices(p)
        pairs = zip(self.first.tolist(), self.second.tolist(), strict=True)
        at: dict[tuple[int, ...], int] = {(): 0, **{(k,): 1 + k for k in range(p)}}
        at |= {pair: 1 + p + i for i, pair in enumerate(pairs)}
        splits = []
        for e in exponents:
            factors = [k for k in range(p) for _ in range(e[k])]
            splits.append((at[tuple(factors[:2])], at[tuple(factors[2:])]))
        self.left, self.right = np.array(splits).T
        self.goal = np.zeros(len(exponents))
        self.goal = self.residuals(standard)

    def far_start(self) -> FloatArray:
        """Sobol points of a wide cube, as in the authors' demonstration."""
        n, p = self.shape
        sobol = qmc.Sobol(p, scramble=True, rng=np.random.default_rng(1))
        cube = sobol.random_base2(int(np.ceil(np.log2(n))))[:n]
        return np.asarray((2.0 * cube - 1.0) * REACH)

    def near_start(self) -> FloatArray:
        """A uniform table with exact means and covariances, as in their simulation."""
        raw = np.random.default_rng(1).uniform(size=self.shape)
        raw -= raw.mean(axis=0)
        white = np.linalg.svd(raw, full_matrices=False)[0] * np.sqrt(len(raw))
        values, vectors = np.linalg.eigh(self.covariance)
        return np.asarray(white @ (vectors * np.sqrt(np.maximum(values, 0.0))).T)

    def residuals(self, x: FloatArray) -> FloatArray:
        """Moments minus their targets."""
        ones = np.ones((len(x), 1))
        V = np.hstack([ones, x, x[:, self.first] * x[:, self.second]])
        H = V.T @ V / len(x)
        return np.asarray(H[self.left, self.right] - self.goal)

    def exact_jacobian(self, x: FloatArray) -> FloatArray:
        """What the numeric one approximates, shape (m, p n)."""
        n, p = x.shape
        powers = x.T ** np.arange(5)[:, None, None]
        out = np.zeros((len(self.exponents), p, n))
        for j, e in enumerate(self.exponents):
            for k in np.flatnonzero(e):
                out[j, k] = e[k] / n * powers[e[k] - 1, k]
                for other in np.flatnonzero(e):
                    if other != k:
                        out[j, k] *= powers[e[other], other]
        return out.reshape(len(out), -1)

    def path(self, start: FloatArray, most: int) -> Path:
        """
        The iterations, taken cheaply.

        ``(J'J + mu I)^-1 J'r = J'(J J' + mu I)^-1 r``, and the exact Jacobian is the
        numeric one but for rounding: the same steps, so that they can be counted on the
        full problem without the cost that :meth:`parts` measures.
        """
        n, p = self.shape
        x, at = start, self.residuals(start)
        J = self.exact_jacobian(x)
        gram, gradient = J @ J.T, J.T @ at
        mu, nu = 1e-3 * float((J**2).sum(axis=0).max()), 2.0
        iterations = accepted = stalls = 0
        before = float(at @ at)
        while iterations < most and before > 1e-16 and stalls < 20:
            iterations += 1
            damped = gram + mu * np.eye(len(gram))
            alpha = cho_solve(cho_factor(damped, check_finite=False), at)
            step = -(J.T @ alpha)
            if np.linalg.norm(step) <= 1e-8 * (1e-8 + np.linalg.norm(x)):
                break
            moved = x + step.reshape(p, n).T
            tried = self.residuals(moved)
            after = float(tried @ tried)
            gain = (before - after) / float(step @ (mu * step - gradient))
            stalls = stalls + 1 if after >= 0.99 * before else 0
            if gain > 0:
                accepted += 1
                x, at, before = moved, tried, after
                J = self.exact_jacobian(x)
                gram, gradient = J @ J.T, J.T @ at
                mu, nu = mu * max(1 / 3, 1 - float(2 * gain - 1) ** 3), 2.0
            else:
                mu, nu = mu * nu, 2 * nu
            if np.abs(gradient).max() <= 1e-8:
                break
        return Path(iterations, accepted, float(np.abs(at).max()))

    def parts(self) -> Parts:
        """
        Processor seconds of the parts of one iteration, at full size.

        The Jacobian is timed on ``TIMED_COLUMNS`` of its columns and scaled.
        """
        x = self.near_start()
        began = time.process_time()
        for i in range(TIMED_COLUMNS):
            up, down = x.copy(), x.copy()
            up.flat[i] += STEP
            down.flat[i] -= STEP
            _ = (self.residuals(up) - self.residuals(down)) / (2 * STEP)
        jacobian = (time.process_time() - began) * x.size / TIMED_COLUMNS
        J = self.exact_jacobian(x)
        began = time.process_time()
        normal = J.T @ J
        product = time.process_time() - began
        normal[np.diag_indices_from(normal)] += 1e-3 * float(normal.max())
        began = time.process_time()
        factor, _ = cho_factor(
            normal.T, lower=True, overwrite_a=True, check_finite=False
        )
        lapack.dpotri(factor, lower=1, overwrite_c=1)
        return Parts(jacobian, product, time.process_time() - began)
