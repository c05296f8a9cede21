"""Values of a model's atoms, response, trials, offset and weights on a table."""

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fedglmm_flower.errors import DataError
from fedglmm_flower.glmm.table import FloatArray, TypedTable
from fedglmm_flower.study.atoms import Atom
from fedglmm_flower.study.expression import Expression
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.polynomial import Monomial

# Its exponential is still far from the largest float.
_MOST_OFFSET = 300.0
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


@dataclass(frozen=True)
class AtomRows:
    """
    Complete rows of a table in terms of a model.

    Parameters
    ----------
    values : array of shape (n, atoms)
        Continuous atoms as ``(x - center) / scale``, factor atoms as level codes.
    response, trials, offset, weights : arrays of shape (n,)
        Ones, zeros and ones where the model has no trials, offset and weights.
    kept : boolean array over the rows of the table
        Rows that are complete and have positive weight.
    n_missing : int
        Rows dropped because a used column is missing.
    units : integer array of shape (n,) or None
        Whose each row is; None where every row is one of its own.
    """

    values: FloatArray
    response: FloatArray
    trials: FloatArray
    offset: FloatArray
    weights: FloatArray
    kept: npt.NDArray[np.bool_]
    n_missing: int
    units: npt.NDArray[np.int64] | None = None

    def select(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> "AtomRows":
        """Some of the kept rows, by a mask or by their positions among them."""
        return replace(
            self,
            values=self.values[rows],
            response=self.response[rows],
            trials=self.trials[rows],
            offset=self.offset[rows],
            weights=self.weights[rows],
            units=None if self.units is None else self.units[rows],
        )


def atom_rows(
    model: Model, table: TypedTable, *, where: str = "table", whole_counts: bool = True
) -> AtomRows:
    """
    Evaluate a model's parts on the complete rows of a table.

    Parameters
    ----------
    model : Model
        The question.
    table : TypedTable
        Checked columns.
    where : str
        Name of the table in messages.
    whole_counts : bool
        Require counts to be whole numbers, as real data are.

    Raises
    ------
    DataError
        If an expression is not finite, or the response, trials or weights are outside
        the family's range.
    """
    used = [table.columns[name] for name in model.used_columns]
    complete = np.ones(table.n_rows, dtype=bool)
    for column in used:
        complete &= ~np.isnan(column)
    rows = {name: table.columns[name][complete] for name in model.used_columns}
    n = int(complete.sum())
    weights = _optional(model.weights, rows, n, 1.0, where)
    _require(weights >= 0, where, "weights", "a negative weight", "correct the cells")
    positive = weights > 0
    if not positive.all():
        rows = {name: column[positive] for name, column in rows.items()}
        weights = weights[positive]
        n = len(weights)
    kept = complete.copy()
    kept[complete] = positive
    values = np.empty((n, len(model.atoms)))
    for at, atom in enumerate(model.atoms):
        values[:, at] = atom_value(atom, rows, where)
    trials = _optional(model.trials, rows, n, 1.0, where)
    out = AtomRows(
        values=values,
        response=_response(model, rows, where),
        trials=trials,
        offset=_optional(model.offset, rows, n, 0.0, where),
        weights=weights,
        kept=kept,
        n_missing=int(table.n_rows - complete.sum()),
    )
    _check_range(model, out, where, whole_counts=whole_counts)
    return out


def evaluate_expression(
    expression: Expression, columns: Mapping[str, FloatArray]
) -> FloatArray:
    """
    Value of an expression on columns.

    Only arithmetic and the known functions are walked; nothing is executed.
    """
    with np.errstate(all="ignore"):
        return np.asarray(_walk(expression.tree, columns), dtype=np.float64)


def evaluate_monomials(
    values: FloatArray, monomials: Sequence[Monomial], factors: Sequence[bool]
) -> FloatArray:
    """
    Moment functions on rows, one function a line.

    Parameters
    ----------
    values : array of shape (n, atoms)
        As in :class:`AtomRows`.
    monomials : sequence of tuple of int
        Functions; each one costs a single product when its divisors are there too.
    factors : sequence of bool
        Which atoms are factors.

    Returns
    -------
    array of shape (functions, n)

    Examples
    --------
    >>> x = np.array([[2.0, 1.0], [3.0, 0.0]])
    >>> evaluate_monomials(x, [(0, 0), (2, 0), (1, 1)], [False, True])
    array([[1., 1.],
           [4., 9.],
           [2., 0.]])
    """
    steps, slots = _steps(tuple(monomials), tuple(factors))
    out = np.empty((slots, len(values)))
    columns = np.ascontiguousarray(values.T)
    flags: dict[tuple[int, int], FloatArray] = {}
    for slot, parent, at, level in steps:
        if at is None:
            out[slot] = 1.0 if parent is None else out[parent]
            continue
        step = columns[at]
        if level is not None:
            if (at, level) not in flags:
                flags[at, level] = (step == level).astype(np.float64)
            step = flags[at, level]
        if parent is None:
            out[slot] = step
        else:
            np.multiply(out[parent], step, out=out[slot])
    return out[: len(monomials)]


# Slot of the result, slot that is multiplied, the atom it is multiplied with, and the
# level where that is a factor; None for the constant, or where nothing multiplies.
_Step: TypeAlias = tuple[int, int | None, int | None, int | None]


@lru_cache(maxsize=512)
def _steps(
    monomials: tuple[Monomial, ...], factors: tuple[bool, ...]
) -> tuple[tuple[_Step, ...], int]:
    """Products in an order in which each has its divisor; slots, the extra ones last.

    The pseudo-rows of a small site are evaluated thousands of times: looking for
    divisors each time took longer than multiplying.
    """
    steps: list[_Step] = []
    done: dict[Monomial, int] = {}
    extra = len(monomials)

    def place(monomial: Monomial, slot: int | None) -> int | None:
        nonlocal extra
        used = [i for i, e in enumerate(monomial) if e]
        known = done.get(monomial)
        if slot is None and (known is not None or not used):
            return known
        if slot is None:
            slot, extra = extra, extra + 1
        if known is not None or not used:
            steps.append((slot, known, None, None))
        else:
            at = used[-1]
            level = monomial[at] if factors[at] else None
            left = 0 if factors[at] else monomial[at] - 1
            parent = place((*monomial[:at], left, *monomial[at + 1 :]), None)
            steps.append((slot, parent, at, level))
        done.setdefault(monomial, slot)
        return slot

    for j, monomial in enumerate(monomials):
        place(monomial, j)
    return tuple(steps), extra


def _walk(tree: ast.expr, columns: Mapping[str, FloatArray]) -> Any:
    match tree:
        case ast.Name(id=name):
            return columns[name]
        case ast.Constant(value=int() | float() as number):
            return np.float64(number)
        case ast.BinOp(left=left, op=op, right=right):
            function = _OPERATORS[type(op)]
            return function(_walk(left, columns), _walk(right, columns))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_walk(operand, columns)
        case ast.UnaryOp(operand=operand):
            return _walk(operand, columns)
        case ast.Call(func=ast.Name(id=name), args=[argument]):
            return getattr(np, name)(_walk(argument, columns))
    raise AssertionError(ast.dump(tree))  # pragma: no cover - expressions are checked


def atom_value(atom: Atom, rows: Mapping[str, FloatArray], where: str) -> FloatArray:
    """
    Scaled values, or level codes, of one atom.

    Raises
    ------
    DataError
        If its expression is not finite in some row.
    """
    if atom.is_factor:
        return rows[atom.name]
    assert atom.expression is not None  # noqa: S101 - a continuous atom has one
    value = finite_value(atom.expression, rows, where)
    scaled: FloatArray = (value - atom.center) / atom.scale
    return scaled


def finite_value(
    expression: Expression, rows: Mapping[str, FloatArray], where: str
) -> FloatArray:
    """
    Value of an expression on complete rows.

    Raises
    ------
    DataError
        If it is not finite in some row.
    """
    n = len(next(iter(rows.values()))) if rows else 0
    value = np.broadcast_to(evaluate_expression(expression, rows), (n,)).copy()
    _require(
        np.isfinite(value),
        where,
        expression.text,
        "an infinite or undefined result",
        "change the formula, or leave the cells empty",
    )
    return value


def _optional(
    expression: Expression | None,
    rows: Mapping[str, FloatArray],
    n: int,
    default: float,
    where: str,
) -> FloatArray:
    if expression is None:
        return np.full(n, default)
    return finite_value(expression, rows, where)


def _response(model: Model, rows: Mapping[str, FloatArray], where: str) -> FloatArray:
    response = model.response
    if response.column is not None:
        return rows[response.column]
    assert response.expression is not None  # noqa: S101 - one of the two is set
    return finite_value(response.expression, rows, where)


def _check_range(
    model: Model, rows: AtomRows, where: str, *, whole_counts: bool
) -> None:
    y, m, name = rows.response, rows.trials, f"response {model.response.name!r}"
    family = model.family
    if family != "gaussian":
        fault = f"an offset beyond {_MOST_OFFSET:g} on the link scale"
        cure = "an offset is a logarithm, as log(exposure); correct the option"
        _require(np.abs(rows.offset) <= _MOST_OFFSET, where, "offset", fault, cure)
    whole = (y == np.floor(y)) | (not whole_counts)
    if family == "binomial" and model.trials is None:
        fault = "a value other than 0 and 1" if whole_counts else "a value not in 0..1"
        cure = "give counts with --trials, or code the event as 1"
        _require((y >= 0) & (y <= 1) & whole, where, name, fault, cure)
    elif family == "binomial":
        cure = "the response is the count of events; correct the cells"
        _require(m >= 0, where, "trials", "a negative number of trials", cure)
        _require(y >= 0, where, name, "a negative count", cure)
        _require(y <= m, where, name, "more events than trials", cure)
        _require(whole, where, name, "a count that is no whole number", cure)
        if whole_counts:
            fault = "a number of trials that is no whole number"
            _require(m == np.floor(m), where, "trials", fault, cure)
    elif family in ("poisson", "nbinom2"):
        cure = "a count is required; correct the cells or change the family"
        _require(y >= 0, where, name, "a negative count", cure)
        _require(whole, where, name, "a count that is no whole number", cure)
    elif family == "gamma":
        cure = "a positive value is required; correct the cells or change the family"
        _require(y > 0, where, name, "a value that is not positive", cure)


def _require(
    good: npt.NDArray[np.bool_], where: str, what: str, fault: str, cure: str
) -> None:
    bad = int((~good).sum())
    if bad:
        raise DataError(
            f"{where}: {what}: {bad} row{'s' if bad > 1 else ''} with {fault}; the "
            f"family and the formula need values in range; {cure}"
        )
