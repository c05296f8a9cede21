"""The reference grid: every combination of factor levels, covariates at their means."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from fedglmm_flower.errors import UsageError
from fedglmm_flower.glmm.design import basis_of
from fedglmm_flower.glmm.evaluate import evaluate_expression, evaluate_monomials
from fedglmm_flower.glmm.fitted import FittedModel
from fedglmm_flower.glmm.rows import CrossProducts, FloatArray
from fedglmm_flower.study.atoms import Atom
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.polynomial import (
    Monomial,
    Polynomial,
    indicator,
    multiply,
    multiply_monomials,
)


class ReferenceGrid:
    """
    Combinations of levels at which a model is predicted, and their shares.

    Only means are asked of the data: of covariates, and of indicators of levels.  So
    cross-products and pseudo-data answer as the rows themselves would.

    Parameters
    ----------
    fitted : FittedModel
    at : mapping
        Covariates to numbers, and factors to the levels that are kept.

    Attributes
    ----------
    model : Model
    factors : tuple of int
        Atoms of the fixed part that are factors.
    levels : tuple of arrays
        Codes of the kept levels of each.

    Raises
    ------
    UsageError
        If the model was not fitted by a formula, or `at` does not fit it.
    """

    def __init__(self, fitted: FittedModel, at: Mapping[str, Any] | None) -> None:
        if fitted.asked is None:
            raise UsageError(
                "marginal means: the model was fitted to arrays, so its factors are "
                "not known; fit with glmm.fit"
            )
        self.fitted, self.model = fitted, fitted.asked.model
        self.basis = basis_of(self.model)
        at = dict(at or {})
        monomials = [m for column in self.model.fixed for m in column.polynomial]
        used = [any(m[j] for m in monomials) for j in range(len(self.model.atoms))]
        _check_names(self.model, at)
        self.point = np.zeros(len(self.model.atoms))
        factors, levels = [], []
        for j, atom in enumerate(self.model.atoms):
            if not used[j]:
                continue
            if atom.is_factor:
                factors.append(j)
                levels.append(_kept(atom, at))
            else:
                self.point[j] = self._value(j, atom, at)
        self.factors, self.levels = tuple(factors), tuple(levels)

    def columns(self, codes: Sequence[int]) -> FloatArray:
        """Fixed-effects columns, (p,), at one combination of levels."""
        values = self.point.copy()
        values[list(self.factors)] = codes
        functions = evaluate_monomials(
            values[None], self.basis.monomials, self.model.factors
        )
        return np.asarray(self.basis.fixed @ functions[:, 0], dtype=np.float64)

    def combinations(self) -> list[tuple[int, ...]]:
        """Codes of every combination, the first factor slowest."""
        return list(product(*self.levels))

    def share(self, places: Sequence[int], codes: Sequence[int]) -> float:
        """
        Share of the rows that have these levels of these factors together.

        Parameters
        ----------
        places : sequence of int
            Positions in `factors`.
        codes : sequence of int
            One level each.
        """
        atoms = self.model.atoms
        cell: Polynomial = {self.model.constant: 1.0}
        for place, code in zip(places, codes, strict=True):
            j = self.factors[place]
            one = indicator(j, code, len(atoms[j].levels), len(atoms))
            cell = multiply(cell, one, self.model.factors)
        return sum(c * self._mean(m) for m, c in cell.items())

    def _value(self, j: int, atom: Atom, at: Mapping[str, Any]) -> float:
        """A covariate's place: given, calculated from what is given, or its mean."""
        expression = atom.expression
        assert expression is not None  # noqa: S101 - a continuous atom has one
        if atom.name in at:
            value = _number(atom.name, at[atom.name])
        elif set(expression.columns) & set(at):
            absent = set(expression.columns) - set(at)
            if absent:
                raise UsageError(
                    f"at: {atom.name!r} needs {', '.join(sorted(absent))} too; give "
                    f"it, or a value of {atom.name!r} itself"
                )
            cells = {c: np.array([_number(c, at[c])]) for c in expression.columns}
            value = float(evaluate_expression(expression, cells).ravel()[0])
        else:
            unit = tuple(int(i == j) for i in range(len(self.point)))
            return self._mean(unit)
        return (value - atom.center) / atom.scale

    def _mean(self, monomial: Monomial) -> float:
        """Mean of a moment function over the fitted rows."""
        if monomial == self.model.constant:
            return 1.0
        source = self.fitted.source
        at = {m: i for i, m in enumerate(self.basis.monomials)}
        if isinstance(source, CrossProducts):
            total = source.products.sum(axis=0)
            for first, i in at.items():
                for second, j in at.items():
                    both = multiply_monomials(first, second, self.model.factors)
                    if both == monomial:
                        return float(total[i, j] / total[source.const, source.const])
        else:
            units = [
                tuple(e if i == j else 0 for i in range(len(monomial)))
                for j, e in enumerate(monomial)
                if e
            ]
            if all(unit in at for unit in units):
                column = np.prod([source.basis[:, at[u]] for u in units], axis=0)
                weights = source.weights
                if source.constant is not None:  # the mass of pseudo-rows is in both
                    weights = weights * source.trials
                return float(np.average(column, weights=weights))
        names = [a.name for a, e in zip(self.model.atoms, monomial, strict=True) if e]
        raise UsageError(
            f"marginal means: the fit does not tell the mean of {' and '.join(names)}; "
            "give values in `at`, or use weights='equal'"
        )


def _check_names(model: Model, at: Mapping[str, Any]) -> None:
    known = {atom.name for atom in model.atoms}
    known.update(c for a in model.atoms if a.expression for c in a.expression.columns)
    unknown = sorted(set(at) - known)
    if unknown:
        raise UsageError(
            f"at: found {unknown[0]!r}; the model has {', '.join(sorted(known))}"
        )


def _kept(atom: Atom, at: Mapping[str, Any]) -> list[int]:
    """Codes of the levels of a factor that stay in the grid."""
    if atom.name not in at:
        return list(range(len(atom.levels)))
    given = at[atom.name]
    names = [given] if isinstance(given, str | int | float) else list(given)
    codes = []
    for name in names:
        text = f"{name:g}" if isinstance(name, int | float) else str(name)
        if text not in atom.levels:
            raise UsageError(
                f"at: {atom.name!r} has no level {text!r}; its levels are "
                f"{', '.join(atom.levels)}"
            )
        codes.append(atom.levels.index(text))
    return codes


def _number(name: str, value: Any) -> float:
    if isinstance(value, str) or not np.isscalar(value):
        raise UsageError(f"at: {name!r} is a covariate; give one number")
    return float(np.float64(value))  # type: ignore[arg-type]
