"""Satterthwaite's degrees of freedom for the fixed effects of a linear model."""

import numpy as np

from fedglmm_flower.errors import UsageError
from fedglmm_flower.glmm.fitted import FittedModel
from fedglmm_flower.glmm.generalized import usable_rows
from fedglmm_flower.glmm.linear_problem import LinearProblem
from fedglmm_flower.glmm.reduce import cross_products
from fedglmm_flower.glmm.rows import CrossProducts, FloatArray

_STEP = 1e-4  # spacing of differences, relative to each parameter


def linear_problem(fitted: FittedModel) -> LinearProblem:
    """The likelihood of a fitted linear model, laid out again."""
    source = fitted.source
    if not isinstance(source, CrossProducts):
        source = cross_products(usable_rows(source))
    return LinearProblem(source, fitted.method)


def satterthwaite(fitted: FittedModel, linear: FloatArray | None = None) -> FloatArray:
    """
    Degrees of freedom of the t statistic of every fixed effect.

    df = 2 v^2 / Var(v), where v is the squared standard error as a function of the
    variance parameters and Var(v) follows from their information (Giesbrecht & Burns
    1985; Kuznetsova et al. 2017, eq. 5).  Variances at zero are held there.

    Parameters
    ----------
    fitted : FittedModel
        Gaussian.
    linear : array of shape (m, p), optional
        Linear functions of the coefficients to take instead of each by itself.

    Raises
    ------
    UsageError
        For other families, whose Wald tests are normal.
    """
    if fitted.family != "gaussian":
        raise UsageError(
            f"satterthwaite: found family {fitted.family}; degrees of freedom are "
            "defined for gaussian models; use the normal distribution"
        )
    problem = linear_problem(fitted)
    objective = problem.objective
    p = len(fitted.names)
    L = np.eye(p) if linear is None else linear
    if objective is None:
        return np.full(len(L), problem.weight - p)
    nu = objective.degrees
    theta_hat = fitted.point
    free = np.flatnonzero(theta_hat != 0.0)
    sigma_hat = float(fitted.residual_sd or 0.0)
    start = np.append(theta_hat[free], sigma_hat)

    def both(x: FloatArray) -> tuple[float, FloatArray]:
        """Deviance, and the squared standard errors, at (theta, sigma)."""
        theta = theta_hat.copy()
        theta[free] = x[:-1]
        s2 = float(x[-1]) ** 2
        profile = objective.at(theta)
        penalty = nu * (np.log(s2 / profile.sigma2) + profile.sigma2 / s2 - 1.0)
        root = np.linalg.inv(profile.L).T * x[-1]
        half = L @ problem.coordinates.estimates(root)
        return -2.0 * profile.value + float(penalty), (half**2).sum(axis=1)

    d = len(start)
    h = _STEP * np.maximum(np.abs(start), 1e-2)
    center, variances = both(start)
    hessian = np.empty((d, d))
    slopes = np.empty((d, len(L)))
    shifts = np.diag(h)
    for i in range(d):
        up, down = both(start + shifts[i]), both(start - shifts[i])
        slopes[i] = (up[1] - down[1]) / (2 * h[i])
        hessian[i, i] = (up[0] - 2 * center + down[0]) / h[i] ** 2
        for j in range(i):
            a, b = shifts[i], shifts[j]
            cross = both(start + a + b)[0] - both(start + a - b)[0]
            cross -= both(start - a + b)[0] - both(start - a - b)[0]
            hessian[i, j] = hessian[j, i] = cross / (4 * h[i] * h[j])
    # Twice the inverse of the Hessian of the deviance is the covariance.
    spread = 2.0 * np.einsum("ip,ij,jp->p", slopes, np.linalg.inv(hessian), slopes)
    with np.errstate(invalid="ignore"):
        return np.asarray(2.0 * variances**2 / spread, dtype=np.float64)
