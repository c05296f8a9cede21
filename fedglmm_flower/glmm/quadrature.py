"""Gauss-Hermite nodes for one or several random effects."""

from itertools import product

import numpy as np

from fedglmm_flower.glmm.rows import FloatArray


def hermite_grid(k: int, dimension: int) -> tuple[FloatArray, FloatArray]:
    """
    Product Gauss-Hermite rule centred and scaled for a normal integrand.

    Parameters
    ----------
    k : int
        Nodes per dimension; 1 gives the Laplace approximation.
    dimension : int
        Number of random effects of a cluster.

    Returns
    -------
    nodes : array of shape (k ** dimension, dimension)
        Positions in standard deviations of the integrand.
    log_weights : array of shape (k ** dimension,)
        Such that ``logsumexp(log_weights + g(nodes))`` is exact for
        ``g(x) = -|x|^2 / 2`` times a polynomial, up to the normal constant:
        with ``g(x) = -|x|^2 / 2`` it is 0.

    References
    ----------
    Pinheiro & Bates (1995), J. Comput. Graph. Stat. 4(1), section 2.4.
    """
    x, w = np.polynomial.hermite_e.hermegauss(k)
    logw = np.log(w) - 0.5 * np.log(2 * np.pi) + 0.5 * x**2
    # Outermost nodes of large rules carry weights that underflow to zero.
    keep = np.isfinite(logw)
    x, logw = x[keep], logw[keep]
    nodes = np.array(list(product(x, repeat=dimension)), dtype=np.float64)
    logs = np.array([sum(c) for c in product(logw, repeat=dimension)])
    return nodes.reshape(len(logs), dimension), logs
