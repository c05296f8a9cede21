"""What a likelihood does at an anchor: the functions of an anchored release.

Given its random effects, a site's log-likelihood is ``t'b - sum m h(x'b)`` with a
linear statistic ``t``, a measure ``m`` and the cumulant function ``h`` (for gamma, with
``t = -sum x`` and amounts for measure, ``h(eta) = exp(-eta)``).  Around an
anchor ``b0`` it is known to second order from the value ``sum m h``, the score
``sum m h' x`` and the information ``sum m h'' x x'``.  The anchor is the site's own
penalised estimate, so that the score follows from ``t`` and the penalty.

The bend is the third derivative, contracted with what the anchor's error is expected
to be: ``sum m h''' x (x' V x)`` with ``V`` the inverse of the penalised information.
The estimate ``b0`` is off by ``delta`` with ``E[delta delta'] = V`` or so, hence
``sum m h''' x (x' delta)^2 / 2``, the leading term of what a second-order expansion
leaves out, is on average half the bend.  It is the vector of Cox & Snell (1968).

Likelihoods with two measures have all of these twice, one for each function of
:mod:`fedglmm_flower.glmm.curves`; ``V`` is of both, and one score follows from the
other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from fedglmm_flower.errors import FitError
from fedglmm_flower.study.families import TWO_MEASURES
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.polynomial import Monomial, multiply
from fedglmm_flower.study.release import anchor_columns, moment_degrees

FloatArray = npt.NDArray[np.float64]

# A slope of one for each standard deviation counts as much as one event or so: enough
# for an estimate that exists, little enough to leave it where the data want it.
PENALTY = 1.0
INTERCEPT_PENALTY = 0.01


@dataclass(frozen=True)
class AnchorFrame:
    """
    Coordinates in which a site's own estimate is penalised.

    Parameters
    ----------
    model : Model
        The question.

    Notes
    -----
    Columns ``x`` are those of :func:`anchor_columns`; ``z = T x`` are centred and of
    unit scale by the constants of the study, which hold no data.
    """

    model: Model

    @cached_property
    def monomials(self) -> tuple[Monomial, ...]:
        """Products of two columns and fewer, the constant first."""
        return tuple(sorted(moment_degrees(self.model, 2), key=lambda m: (any(m), m)))

    @cached_property
    def columns(self) -> FloatArray:
        """Columns in terms of the monomials, shape (p, k)."""
        at = {m: j for j, m in enumerate(self.monomials)}
        found = anchor_columns(self.model)
        out = np.zeros((len(found), len(at)))
        for i, column in enumerate(found):
            for m, coefficient in column.polynomial.items():
                out[i, at[m]] = coefficient
        return out

    @cached_property
    def offset(self) -> FloatArray:
        """The offset in terms of the monomials where it is a column, shape (k,)."""
        out = np.zeros(len(self.monomials))
        if self.model.offset_column is not None:
            at = {m: j for j, m in enumerate(self.monomials)}
            for m, coefficient in self.model.offset_column.polynomial.items():
                out[at[m]] = coefficient
        return out

    @cached_property
    def products(self) -> FloatArray:
        """``x_i x_j`` in terms of the monomials, shape (p, p, k)."""
        found = anchor_columns(self.model)
        at = {m: j for j, m in enumerate(self.monomials)}
        out = np.zeros((len(found), len(found), len(at)))
        for i, first in enumerate(found):
            for j, second in enumerate(found):
                joint = multiply(
                    first.polynomial, second.polynomial, self.model.factors
                )
                for m, coefficient in joint.items():
                    out[i, j, at[m]] = coefficient
        return out

    @cached_property
    def intercept(self) -> int | None:
        """Position of the constant column."""
        constant = (self.columns[:, 1:] == 0).all(axis=1) & (self.columns[:, 0] != 0)
        return int(np.flatnonzero(constant)[0]) if constant.any() else None

    @property
    def intercept_spread(self) -> FloatArray:
        """The error of an anchor that is public: a site's own level, shape (p, p)."""
        out = np.zeros((len(self.columns), len(self.columns)))
        if self.intercept is not None:
            out[self.intercept, self.intercept] = 1.0
        return out

    @cached_property
    def transform(self) -> FloatArray:
        """``z = T x``, shape (p, p)."""
        p = len(self.columns)
        out = np.eye(p)
        for i in range(p):
            if i == self.intercept:
                out[i, i] = 1.0 / self.columns[i, 0]
                continue
            scale = float(np.sqrt((self.columns[i, 1:] ** 2).sum())) or 1.0
            out[i, i] = 1.0 / scale
            if self.intercept is not None:
                level = self.columns[self.intercept, 0]
                out[i, self.intercept] = -self.columns[i, 0] / (scale * level)
        return out

    @cached_property
    def penalty(self) -> FloatArray:
        """Ridge on the coefficients of ``z``, shape (p,)."""
        out = np.full(len(self.columns), PENALTY)
        if self.intercept is not None:
            out[self.intercept] = INTERCEPT_PENALTY
        return out

    def linear(self, responses: Mapping[Monomial, float]) -> FloatArray:
        """The linear statistic by column, shape (p,), from that by monomial."""
        out = np.zeros(len(self.columns))
        model = self.model
        if model.family == "binomial" and (model.family, model.link) in TWO_MEASURES:
            return out
        for i, row in enumerate(self.columns):
            for j in np.flatnonzero(row):
                out[i] += row[j] * responses[self.monomials[j]]
        return out

    def center(self, responses: float, mass: float) -> FloatArray:
        """
        Where the penalty pulls to: the intercept of the overall rate, and no slopes.

        Parameters
        ----------
        responses : float
            Constant part of the linear statistic: the sum of the response, or minus
            that of the rows.
        mass : float
            Rows, trials, exposure or amount.
        """
        link = self.model.link
        out = np.zeros(len(self.columns))
        if self.intercept is not None and self.model.family == "gamma":
            out[self.intercept] = np.log(mass / -responses)
        elif self.intercept is not None and link in ("probit", "cloglog"):
            share = (responses + 0.5) / (mass + 1.0)
            odd = ndtri(share) if link == "probit" else np.log(-np.log1p(-share))
            out[self.intercept] = odd
        elif self.intercept is not None:
            rest = mass - responses if self.model.family == "binomial" else mass
            out[self.intercept] = np.log((responses + 0.5) / (rest + 0.5))
        return out

    def score(
        self, anchor: FloatArray, linear: FloatArray, center: FloatArray
    ) -> FloatArray:
        """
        ``sum m h'(x'b0) x``, from the equation that the penalised estimate solves.

        Over all functions of the likelihood, each as often as it enters.

        Parameters
        ----------
        anchor : array of shape (p,)
            Coefficients of ``x``.
        linear : array of shape (p,)
            The linear statistic.
        center : array of shape (p,)
            See :meth:`center`.
        """
        coefficients = np.linalg.solve(self.transform.T, anchor)
        pull = np.linalg.solve(self.transform, self.penalty * (coefficients - center))
        return np.asarray(linear - pull)

    def spread(self, information: FloatArray) -> FloatArray:
        """
        Inverse of the penalised information for ``x``, shape (p, p).

        Parameters
        ----------
        information : array of shape (k,)
            ``sum m h''`` times each monomial, over all functions of the likelihood.

        Raises
        ------
        FitError
            If it is not positive definite.
        """
        T = self.transform
        inner = T @ (self.products @ information) @ T.T + np.diag(self.penalty)
        try:
            root = np.linalg.cholesky(inner)
        except np.linalg.LinAlgError:
            raise FitError(
                "anchored release: the information at the anchor is not positive "
                "definite; sums of squares are required; the release is damaged"
            ) from None
        half = np.linalg.solve(root, T)
        return np.asarray(half.T @ half)
