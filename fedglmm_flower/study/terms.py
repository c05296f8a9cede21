"""Model columns of a right-hand side, coded and named by formulaic.

formulaic expands and codes the terms on a probe table of declared levels; what comes
back is structure alone.  Every expression is checked before formulaic sees it, and no
row of data is ever given to it.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from formulaic import Formula as FormulaicFormula
from formulaic import model_matrix
from formulaic.errors import FormulaicError
from formulaic.parser import DefaultFormulaParser

from fedglmm_flower.errors import FormulaError
from fedglmm_flower.study.columns import Column
from fedglmm_flower.study.expression import (
    FUNCTIONS,
    Expression,
    as_powers,
    is_column,
    parse_expression,
)

_BACKTICKS = re.compile(r"`[^`]*`")
_OF_R = re.compile(r"\b(as\.(factor|ordered|numeric|integer|character)|ordered)\s*\(")
_DOT = re.compile(r"(^|[\s+\-*:(^])\.($|[\s+\-*:)^])")
_CONTEXT: dict[str, Any] = {
    **{name: getattr(np, name) for name in FUNCTIONS},
    "I": lambda x: x,
}
MAX_COLUMNS = 500
MAX_TERMS = 2000
_MAX_PROBE_COLUMNS = 20 * MAX_COLUMNS


@dataclass(frozen=True)
class Piece:
    """One factor of a term: a numeric product, or the indicator of a level."""

    coefficient: float = 1.0
    powers: tuple[tuple[Expression, int], ...] = ()
    column: str | None = None
    level: int = 0


@dataclass(frozen=True)
class Term:
    """A named model column as a product of pieces."""

    name: str
    pieces: tuple[Piece, ...]


def expand_terms(rhs: str, columns: Mapping[str, Column]) -> tuple[Term, ...]:
    """
    Model columns of a right-hand side, in formulaic's order and names.

    Parameters
    ----------
    rhs : str
        Terms in formulaic's syntax, without random parts and offsets.
    columns : mapping
        Declared columns by name.

    Raises
    ------
    FormulaError
        If a term cannot be read or names an undeclared column.
    """
    formula = _read(rhs)
    for factor in _factors(formula):
        _check_factor(factor, columns)
    _check_size(formula, columns)
    try:
        # A logarithm of the probe may be undefined: only the structure is wanted.
        with np.errstate(all="ignore"):
            matrix = model_matrix(
                formula, _probe(columns), context=_CONTEXT, na_action="ignore"
            )
    except FormulaicError as error:
        raise FormulaError(
            f"formula: {rhs!r} cannot be expanded ({_first_line(error)}); write terms "
            "of columns, ':' and '*'"
        ) from None
    names = [str(name) for name in matrix.columns]
    if len(set(names)) < len(names) or "Intercept" in columns:
        raise FormulaError(
            f"formula: two model columns of {rhs!r} have the same name; names must "
            "differ from each other and from 'Intercept'; rename a column of the table"
        )
    if len(names) > MAX_COLUMNS:
        raise FormulaError(
            f"formula: {len(names)} model columns; at most {MAX_COLUMNS} are "
            "accepted; leave out interactions or group levels"
        )
    known: dict[str, Term] = {}
    for structure in matrix.model_spec.structure:
        for scoped in structure.scoped_terms:
            for term in _candidates(scoped, columns):
                known.setdefault(term.name, term)
    return tuple(known[name] for name in names)


def factor_columns(rhs: str) -> set[str]:
    """
    Columns that a right-hand side wraps in ``C()``.

    Examples
    --------
    >>> sorted(factor_columns("C(dose) * age"))
    ['dose']
    """
    found = set()
    for factor in _factors(_read(rhs)):
        inner = _categorical_name(factor)
        if inner is not None:
            found.add(inner)
    return found


def calculated_columns(rhs: str) -> set[str]:
    """
    Columns of expressions that are no products of columns.

    Examples
    --------
    >>> sorted(calculated_columns("log(age) + I(b**2) + I(x - y)"))
    ['age', 'x', 'y']
    """
    found: set[str] = set()
    for factor in _factors(_read(rhs)):
        if _categorical_name(factor) is None:
            for base, _ in as_powers(parse_expression(_quoted(factor))).powers:
                found |= set() if is_column(base) else set(base.columns)
    return found


def used_columns(rhs: str) -> tuple[str, ...]:
    """
    All columns that a right-hand side reads.

    Examples
    --------
    >>> used_columns("log(age) * C(dose) + 1")
    ('age', 'dose')
    """
    found: dict[str, None] = {}
    for factor in _factors(_read(rhs)):
        inner = _categorical_name(factor)
        names = (inner,) if inner else parse_expression(_quoted(factor)).columns
        found.update(dict.fromkeys(names))
    return tuple(found)


def _read(rhs: str) -> FormulaicFormula:
    bare = _BACKTICKS.sub("", rhs)
    if _OF_R.search(bare):
        raise FormulaError(
            f"formula: {rhs!r} converts a column as R does; the kind of a column is "
            "declared beforehand; write C(column) for a factor (its levels by --levels "
            "or in the study), and the column's name alone for a number"
        )
    if _DOT.search(bare):
        raise FormulaError(
            f"formula: {rhs!r} holds '.', which stands for all columns; named columns "
            "are required; write them out"
        )
    try:
        size = _terms(DefaultFormulaParser().get_ast(rhs))
        if size > MAX_TERMS:
            raise FormulaError(
                f"formula: {rhs[:60]!r} has more than {MAX_TERMS} terms; fewer are "
                "required; leave out interactions"
            )
        formula = FormulaicFormula(rhs)
        terms = list(formula)
    except FormulaicError as error:
        raise FormulaError(
            f"formula: {rhs!r} cannot be read ({_first_line(error)}); write terms of "
            "columns joined by '+', ':' and '*'"
        ) from None
    except (SyntaxError, TypeError, ValueError, RecursionError):
        raise FormulaError(
            f"formula: {rhs!r} cannot be read; write terms of columns joined by '+', "
            "':' and '*'"
        ) from None
    if not all(hasattr(term, "factors") for term in terms):
        raise FormulaError(
            f"formula: {rhs!r} has several parts; one right-hand side is required; "
            "remove '|' or '~'"
        )
    return formula


def _terms(node: Any) -> int:
    """
    At most how many terms a formula has, counted before formulaic writes them out.

    ``(a + b + c)**20`` is a short text with billions of terms.
    """
    operator = getattr(node, "operator", None)
    if operator is None or not node.args:
        return 1
    sizes = [_terms(argument) for argument in node.args]
    first, last = sizes[0], sizes[-1]
    if operator.symbol == "**":
        power = int(str(node.args[-1]))
        size = first**power if power <= MAX_TERMS.bit_length() else MAX_TERMS + 1
    elif operator.symbol == "*":
        size = first + last + first * last
    elif operator.symbol in (":", "in"):
        size = first * last
    else:
        size = sum(sizes)
    return min(size, MAX_TERMS + 1)


def _check_size(formula: FormulaicFormula, columns: Mapping[str, Column]) -> None:
    """Refuse interactions of many levels before their columns are made."""
    most = 0
    for term in formula:
        levels = 1
        for factor in term.factors:
            name = _categorical_name(factor) or str(factor.expr)
            levels *= len(columns[name].levels) or 1 if name in columns else 1
        most += levels
    if most > _MAX_PROBE_COLUMNS:
        raise FormulaError(
            f"formula: up to {most} model columns; at most {MAX_COLUMNS} are "
            "accepted; leave out interactions or group levels"
        )


def _factors(formula: FormulaicFormula) -> Iterable[Any]:
    seen = set()
    for term in formula:
        for factor in term.factors:
            if factor.expr not in seen and factor.eval_method.value != "literal":
                seen.add(factor.expr)
                yield factor


def _quoted(factor: Any) -> str:
    lookup = factor.eval_method.value == "lookup"
    return f"`{factor.expr}`" if lookup else str(factor.expr)


def _categorical_name(factor: Any) -> str | None:
    """The column of ``C(column)``; None where the factor is no call of C."""
    text = str(factor.expr).strip()
    if factor.eval_method.value != "python" or not text.startswith("C("):
        return None
    try:
        inner = parse_expression(text[2:-1])
    except FormulaError:
        inner = None
    if inner is None or not is_column(inner) or not text.endswith(")"):
        raise FormulaError(
            f"formula: {text!r} asks for a coding of its own; C(column) with "
            "treatment coding is supported; put the reference level first in the "
            "study's levels"
        )
    return inner.columns[0]


def _check_factor(factor: Any, columns: Mapping[str, Column]) -> None:
    inner = _categorical_name(factor)
    if inner is not None:
        column = _declared(inner, columns)
        if column.kind != "categorical":
            raise FormulaError(
                f"formula: C({inner}) of a column declared {column.kind}; a factor "
                "needs declared levels; declare the column categorical"
            )
        return
    expression = parse_expression(_quoted(factor))
    if not expression.columns:
        raise FormulaError(
            f"formula: the term {expression.text!r} holds no column; only 0, 1 and "
            "-1 are constants; remove it"
        )
    for name in expression.columns:
        column = _declared(name, columns)
        if column.kind == "categorical" and not is_column(expression):
            raise FormulaError(
                f"formula: {expression.text!r} calculates with the categorical column "
                f"{name!r}; only numeric columns can be calculated with; use the "
                "column as it is"
            )


def _declared(name: str, columns: Mapping[str, Column]) -> Column:
    if name not in columns:
        raise FormulaError(
            f"formula: column {name!r} is not declared; known columns are "
            f"{', '.join(sorted(columns))}; declare it or correct the formula"
        )
    return columns[name]


def _probe(columns: Mapping[str, Column]) -> pd.DataFrame:
    """A table of constants and declared levels with the kinds of the columns."""
    rows = max([2, *(len(c.levels) for c in columns.values())])
    table = {}
    for column in columns.values():
        if column.kind == "categorical":
            table[column.name] = pd.Series(
                pd.Categorical(
                    [column.levels[i % len(column.levels)] for i in range(rows)],
                    categories=list(column.levels),
                )
            )
        else:
            table[column.name] = pd.Series(np.linspace(0.25, 0.75, rows))
    return pd.DataFrame(table)


def _candidates(scoped: Any, columns: Mapping[str, Column]) -> Iterable[Term]:
    choices = [_choices(factor, columns) for factor in scoped.factors]
    for combination in product(*choices):
        pieces = [piece for _, piece in combination]
        if not math.isclose(scoped.scale, 1.0):
            pieces.append(Piece(coefficient=float(scoped.scale)))
        name = ":".join(name for name, _ in combination) or "Intercept"
        yield Term(name, tuple(pieces))


def _choices(
    scoped_factor: Any, columns: Mapping[str, Column]
) -> Sequence[tuple[str, Piece]]:
    factor = scoped_factor.factor.factor
    inner = _categorical_name(factor)
    expression = None if inner else parse_expression(_quoted(factor))
    if inner is None and expression is not None and is_column(expression):
        name = expression.columns[0]
        inner = name if columns[name].kind == "categorical" else None
    if inner is not None:
        levels = columns[inner].levels
        reduced = scoped_factor.reduced
        return [
            (
                f"{factor.expr}[{'T.' if reduced else ''}{level}]",
                Piece(column=inner, level=i),
            )
            for i, level in enumerate(levels)
            if i or not reduced
        ]
    if expression is None:  # pragma: no cover - one of the two is always set
        raise AssertionError
    powers = as_powers(expression)
    return [(str(factor.expr), Piece(powers.coefficient, powers.powers))]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else "?"
