"""The functions whose sums an anchored release fixes, on rows of atoms."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from fedglmm_flower.glmm.anchor import AnchorFrame
from fedglmm_flower.glmm.cumulant import FloatArray
from fedglmm_flower.glmm.curves import Curve
from fedglmm_flower.glmm.evaluate import evaluate_monomials
from fedglmm_flower.study.polynomial import Monomial
from fedglmm_flower.study.release import anchor_measures

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Expansion:
    """
    Functions of rows whose sums the anchor fixes, in order.

    Value, score, information and bend; ``slopes`` adds their derivatives in the atoms.

    Parameters
    ----------
    frame : AnchorFrame
        Coordinates.
    anchor : array of shape (p,)
        Coefficients of the columns.
    spread : array of shape (p, p)
        See :meth:`AnchorFrame.spread`.
    curve : Curve
        Which function is expanded.
    """

    frame: AnchorFrame
    anchor: FloatArray
    spread: FloatArray
    curve: Curve

    def values(self, atoms: FloatArray) -> FloatArray:
        """
        Functions on rows, shape (1 + p + k + p, n).

        Parameters
        ----------
        atoms : array of shape (n, atoms)
            As :class:`~fedglmm_flower.glmm.evaluate.AtomRows` holds them.
        """
        frame, h = self.frame, self.curve.h
        f = evaluate_monomials(atoms, frame.monomials, frame.model.factors)
        x = frame.columns @ f
        eta = self.anchor @ x + frame.offset @ f
        bow = np.einsum("in,ij,jn->n", x, self.spread, x)
        return np.concatenate(
            [h(eta, 0)[None], h(eta, 1) * x, h(eta, 2) * f, h(eta, 3) * bow * x]
        )

    def weights(self, atoms: FloatArray) -> dict[str, FloatArray]:
        """
        How much each row counts in each function, and in what is left of the whole.

        A steep anchor makes each of them a window on a few patients: the second
        derivative where the anchor predicts a half, the others on either side of it.
        """
        frame, h = self.frame, self.curve.h
        f = evaluate_monomials(atoms, frame.monomials, frame.model.factors)
        x = frame.columns @ f
        eta = self.anchor @ x + frame.offset @ f
        bow = np.einsum("in,ij,jn->n", x, self.spread, x)
        found = {
            "value": h(eta, 0),
            "score": h(eta, 1),
            "information": h(eta, 2),
            "bend": h(eta, 3) * bow,
        }
        # Sums with a polynomial are known: what a function leaves of its asymptote.
        for order, name in enumerate(("value", "score", "information")):
            rest = self.curve.rest(eta, order)
            if rest is not None:
                found[f"rest of the {name}"] = rest
        return found

    def shares(self, atoms: FloatArray, measure: FloatArray) -> dict[str, FloatArray]:
        """The weights under a measure, by names that tell two measures apart."""
        names = anchor_measures(self.frame.model)
        tail = f" under {self.curve.measure}" if len(names) > 1 else ""
        return {f"{k}{tail}": w * measure for k, w in self.weights(atoms).items()}

    def slopes(self, atoms: FloatArray, moving: list[int]) -> FloatArray:
        """
        Derivatives of the functions in some atoms, shape (functions, moving, n).

        Parameters
        ----------
        atoms : array of shape (n, atoms)
            Rows.
        moving : list of int
            Continuous atoms.
        """
        frame, h = self.frame, self.curve.h
        model = frame.model
        f = evaluate_monomials(atoms, frame.monomials, model.factors)
        x = frame.columns @ f
        eta = self.anchor @ x + frame.offset @ f
        vx = self.spread @ x
        bow = (x * vx).sum(axis=0)
        h1, h2, h3, h4 = (h(eta, k) for k in (1, 2, 3, 4))
        out = np.empty((1 + 2 * len(x) + len(f), len(moving), len(eta)))
        for a, at in enumerate(moving):
            used, powers, lower = _derivatives(frame.monomials, at)
            df = np.zeros_like(f)
            df[used] = evaluate_monomials(atoms, lower, model.factors)
            df[used] *= powers[:, None]
            dx = frame.columns @ df
            d_eta = self.anchor @ dx + frame.offset @ df
            d_bow = 2.0 * (dx * vx).sum(axis=0)
            out[:, a] = np.concatenate(
                [
                    (h1 * d_eta)[None],
                    h2 * d_eta * x + h1 * dx,
                    h3 * d_eta * f + h2 * df,
                    (h4 * d_eta * bow + h3 * d_bow) * x + h3 * bow * dx,
                ]
            )
        return out


@lru_cache(maxsize=256)
def _derivatives(
    monomials: tuple[Monomial, ...], at: int
) -> tuple[IntArray, FloatArray, tuple[Monomial, ...]]:
    """Which monomials vary with a continuous atom; their powers; one power less."""
    used = [j for j, m in enumerate(monomials) if m[at]]
    powers = np.array([monomials[j][at] for j in used], dtype=np.float64)
    lower = tuple(
        tuple(e - (i == at) for i, e in enumerate(monomials[j])) for j in used
    )
    return np.array(used, dtype=np.int64), powers, lower
