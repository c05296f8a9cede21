"""A basis that a likelihood can bear: nearly dependent functions made orthogonal."""

from dataclasses import replace

import numpy as np

from fedglmm_flower.glmm.rows import ModelRows

_FAIR = 1e-6  # smallest eigenvalue of the scaled products that is left as it is


def well_conditioned(rows: ModelRows) -> ModelRows:
    """
    The same model over an orthogonal basis, if the given one is ill conditioned.

    A raw ``year`` beside ``year**2`` is nearly a multiple of it; products of such
    columns lose the digits in which they differ.  A constant function stays exact.
    """
    basis = rows.basis
    gram = basis.T @ basis
    scale = np.sqrt(np.diag(gram))
    scale[scale == 0] = 1.0
    if np.linalg.eigvalsh(gram / np.outer(scale, scale))[0] > _FAIR:
        return rows
    constant = (basis == 1.0).all(axis=0)
    order = np.argsort(~constant, kind="stable")
    Q, R = np.linalg.qr(basis[:, order])
    unit = np.sqrt(len(basis))
    Q, R = Q * unit, R / unit
    if constant.any():
        R[0] *= np.sign(Q[0, 0])
        Q[:, 0] = 1.0
    return replace(rows, basis=Q, coefficients=rows.coefficients[:, order] @ R.T)
