"""What each record adds to each statistic: the terms of the sums, one by one.

Without noise :mod:`~fedglmm_flower.site.sums` needs the sums alone and takes them by
matrix products.  Noise is calibrated to what one record can add, and so each is told.

Law: the column of a record depends on that record alone, to the last bit: every step
is an operation element by element, and functions that a processor may round by the
position of their argument are applied to one value at a time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from fedglmm_flower.glmm.anchor import AnchorFrame
from fedglmm_flower.glmm.cumulant import cumulant
from fedglmm_flower.glmm.evaluate import AtomRows, evaluate_monomials
from fedglmm_flower.glmm.negative_binomial import log_rising
from fedglmm_flower.site.records import alone
from fedglmm_flower.site.residual_basis import ResidualBasis
from fedglmm_flower.site.sums import constant_on_rows, shifted_response
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.polynomial import Monomial
from fedglmm_flower.study.release import ANCHORED, Measure, Statistic
from fedglmm_flower.study.shapes import SHAPES

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Features:
    """
    Terms of the statistics of a release, and of the count of records.

    At a public anchor they are those of residuals and expectations, of which the
    released sums are computed; see :mod:`~fedglmm_flower.site.residual_basis`.

    Parameters
    ----------
    model : Model
        The question.
    statistics : tuple of Statistic
        What is released.
    anchor : tuple of float or None
        The study's public anchor, where it has one.
    """

    model: Model
    statistics: tuple[Statistic, ...]
    anchor: tuple[float, ...] | None = None

    @property
    def size(self) -> int:
        """Number of coordinates: the statistics and, last, the count."""
        return len(self.statistics) + 1

    @cached_property
    def basis(self) -> ResidualBasis | None:
        """Which sums are computed from others after the noise."""
        return ResidualBasis.of(self.model, self.statistics)

    @cached_property
    def _monomials(self) -> list[Monomial]:
        return list(dict.fromkeys(s.monomial for s in self.statistics))

    def on_rows(self, rows: AtomRows, counted: FloatArray) -> FloatArray:
        """
        Terms of every row, zero for a row that does not count.

        Parameters
        ----------
        rows : AtomRows
            As :func:`~fedglmm_flower.site.records.bounded_rows` finds them.
        counted : array of shape (n,)
            1 for a row that counts, else 0.

        Returns
        -------
        array of shape (coordinates, n)
            Not finite where a term overflows.
        """
        model = self.model
        with np.errstate(all="ignore"):
            found = evaluate_monomials(rows.values, self._monomials, model.factors)
            at = {m: found[i] for i, m in enumerate(self._monomials)}
            measures = {
                kind: _measure(rows, kind)
                for kind in {s.measure for s in self.statistics}
            }
            wy = rows.weights * shifted_response(model, rows)
            anchored = self._at_anchor(rows, measures)
            out = np.empty((self.size, len(counted)))
            for i, s in enumerate(self.statistics):
                if s.role in ANCHORED:
                    out[i] = anchored[s]
                elif s.role == "x":
                    out[i] = at[s.monomial] * measures[s.measure]
                elif s.role == "y":
                    out[i] = at[s.monomial] * wy
                else:
                    out[i] = self._other(s, rows, wy)
            if self.basis is not None:
                pairs = zip(self.basis.responses, self.basis.scores, strict=True)
                for response, expected in pairs:
                    out[response] = out[response] - out[expected]
        out[-1] = 1.0
        return np.where(counted > 0, out, 0.0)

    def _other(self, s: Statistic, rows: AtomRows, wy: FloatArray) -> FloatArray:
        """Terms that hold no moment function."""
        if s.role == "yy":
            return wy * shifted_response(self.model, rows)
        if s.role == "y_offset":
            return wy * rows.offset
        if s.role == "offset":
            return rows.weights * rows.offset
        if s.role == "constant":
            return rows.weights * _each(self._constant, rows)
        if s.role != "shape":
            raise ValueError(s.role)
        theta = SHAPES[s.column]
        return rows.weights * alone(lambda y: log_rising(y, theta)[0], rows.response)

    def _constant(self, row: AtomRows) -> FloatArray:
        return constant_on_rows(self.model, row)

    def _at_anchor(
        self, rows: AtomRows, measures: Mapping[Measure, FloatArray]
    ) -> dict[Statistic, FloatArray]:
        """Terms of the sums at the public anchor."""
        wanted = [s for s in self.statistics if s.role in ANCHORED]
        if not wanted:
            return {}
        frame = AnchorFrame(self.model)
        f = evaluate_monomials(rows.values, frame.monomials, self.model.factors)
        x = [_combined(row, f) for row in frame.columns]
        eta = _combined(frame.offset, f)
        for coefficient, column in zip(self.anchor or (), x, strict=True):
            eta = eta + coefficient * column
        h = cumulant(self.model.family)
        orders = {"value": 0, "score": 1, "information": 2, "bend": 3}
        needed = {orders[s.role] for s in wanted}
        at = {k: alone(lambda e, k=k: h(e, k), eta) for k in needed}  # type: ignore[misc]
        level = frame.intercept
        found = {}
        for s in wanted:
            term = at[orders[s.role]] * measures[s.measure]
            if s.role == "information":
                term = term * f[frame.monomials.index(s.monomial)]
            elif s.role == "score" and self.basis is not None:
                term = term * f[frame.monomials.index(self.basis.monomials[s.column])]
            elif s.role == "score":
                term = term * x[s.column]
            elif s.role == "bend":
                bow = 0.0 if level is None else x[level] * x[level]
                term = term * bow * x[s.column]
            found[s] = term
        return found


def _combined(coefficients: FloatArray, f: FloatArray) -> FloatArray:
    """A linear combination, added up in one order; a matrix product is not."""
    out = np.zeros(f.shape[1])
    for j in np.flatnonzero(coefficients):
        out = out + coefficients[j] * f[j]
    return out


def _measure(rows: AtomRows, kind: str) -> FloatArray:
    if kind == "trials":
        return rows.weights * rows.trials
    if kind == "exposure":
        return np.asarray(rows.weights * alone(np.exp, rows.offset))
    if kind == "amount":
        return np.asarray(rows.weights * rows.response * alone(np.exp, -rows.offset))
    return rows.weights


def _each(function: Callable[[AtomRows], FloatArray], rows: AtomRows) -> FloatArray:
    found = [function(rows.select(np.array([i])))[0] for i in range(len(rows.response))]
    return np.array(found, dtype=np.float64)
