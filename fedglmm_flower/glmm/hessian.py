"""The exact second derivatives of the Laplace approximation."""

from typing import TYPE_CHECKING

import numpy as np

from fedglmm_flower.glmm.evaluation import Mode, Pull
from fedglmm_flower.glmm.gram import weighted_gram
from fedglmm_flower.glmm.rows import FloatArray

if TYPE_CHECKING:
    from fedglmm_flower.glmm.marginal import Marginal


def laplace_information(
    marginal: "Marginal", mode: Mode, pull: Pull, Lambda: FloatArray
) -> FloatArray:
    """
    Minus the Hessian in (gamma, theta), for one level of clusters.

    The mode u is held to its equation g(u) = 0 by the multiplier v that the gradient
    has already found, H v = d log-determinant / du.  Then the Hessian is that of the
    Lagrangian ``l(eta) - |u|^2 / 2 - log|H| / 2 + v' g`` along the directions
    (e_a, du / d phi_a), with v fixed: second derivatives of the mode do not occur.

    All sums over rows are sums of ``w z z'``, ``w z x'`` and ``w x x'`` by cluster, for
    weights w made of the second to fourth derivatives of the rows, so that the whole
    costs about as much as one gradient.

    Parameters
    ----------
    marginal : Marginal
        Of one stage, with one node and a family without dispersion.
    mode : Mode
    pull : Pull
    Lambda : array of shape (Q, Q)

    Returns
    -------
    array of shape (p + t, p + t)
    """
    fourth = marginal.family.fourth(mode.eta)
    rows, cols = marginal.covariance.rows, marginal.covariance.cols
    p, t, Q = marginal.X.shape[1], len(rows), len(Lambda)
    (u,) = mode.u
    (inverse,) = mode.factor.inverses
    W, third, S = mode.curvature, pull.third, mode.S
    turns = np.zeros((t, Q, Q))
    turns[range(t), rows, cols] = 1.0  # d Lambda / d theta

    # Mode and linear predictor along every direction: eta_a = x_a + z' B_a.
    ZWX = marginal.cross(W)
    carried = marginal.sums(mode.score)
    moved = np.einsum("tij,gj->git", turns, u)
    pushed = np.einsum("tji,gj->git", turns, carried) - Lambda.T @ (S @ moved)
    du = inverse @ np.concatenate([-Lambda.T @ ZWX, pushed], axis=2)
    B = Lambda @ du
    B[:, :, p:] += moved

    # Terms of second order in eta.
    bend = pull.leverage * fourth - W - third * marginal.spread(pull.v @ Lambda.T)
    ZDX = np.zeros((len(u), Q, p + t))
    ZDX[:, :, :p] = marginal.cross(bend)
    hessian = _summed(B, 2.0 * ZDX + marginal.products(bend) @ B) - _summed(du, du)
    hessian[:p, :p] += weighted_gram(marginal.X, bend)

    # Terms with a derivative of Lambda; `half` holds a in theta, and b anything.
    ZWE = S @ B
    ZWE[:, :, :p] += ZWX
    dS = marginal.changes(third, B)  # d (Z' W Z), (G, Q, Q, d)
    slope = carried + marginal.sums(pull.bent)
    half = np.einsum("tij,gi,gjb->tb", turns, slope, du)
    half -= np.einsum("tij,gj,gib->tb", turns, pull.v, ZWE)
    C = pull.by_curvature
    half += 2.0 * np.einsum("tij,gikb,gkj->tb", turns, dS, Lambda @ C, optimize=True)
    half[:, p:] += np.einsum("tij,gik,skl,glj->ts", turns, S, turns, C, optimize=True)
    hessian[p:] += 2.0 * half

    # The square of the first derivative of the determinant.
    dH = np.einsum("ik,gijb,jl->gklb", Lambda, dS, Lambda, optimize=True)
    twist = np.einsum("tij,gik,kl->gjlt", turns, S, Lambda, optimize=True)
    dH[..., p:] += twist + twist.swapaxes(1, 2)
    turned = np.einsum("gij,gjkb->gikb", inverse, dH, optimize=True)
    hessian += 0.5 * np.einsum("gijb,gjic->bc", turned, turned, optimize=True)
    return -0.5 * (hessian + hessian.T)


def _summed(left: FloatArray, right: FloatArray) -> FloatArray:
    """Sum over clusters of left' right: (G, Q, a), (G, Q, b) -> (a, b)."""
    flat = left.reshape(-1, left.shape[2]).T @ right.reshape(-1, right.shape[2])
    return np.asarray(flat, dtype=np.float64)
