"""Numeric expressions of a formula, read as a tree and never executed as Python.

A site evaluates formulas that somebody else wrote, so an expression may hold only
numbers, column names, ``+ - * / **`` and the functions listed here.
"""

import ast
import keyword
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from fedglmm_flower.errors import FormulaError

FUNCTIONS = ("abs", "exp", "expm1", "log", "log10", "log1p", "log2", "sqrt")
DATA_DEPENDENT = {
    "scale": "declare center and scale of the column in the study",
    "center": "declare the center of the column in the study",
    "standardize": "declare center and scale of the column in the study",
    "poly": "write powers: x + I(x**2)",
    "bs": "add spline columns to the table, or write powers",
    "cr": "add spline columns to the table, or write powers",
    "cc": "add spline columns to the table, or write powers",
    "cs": "add spline columns to the table, or write powers",
    "ns": "add spline columns to the table, or write powers",
    "te": "add spline columns to the table, or write powers",
    "lag": "add the lagged column to the table",
    "cut": "add the grouped column to the table",
    "factor": "write C(column), and declare its levels by --levels or in the study",
    "as_": "declare the kind of the column in the study",
    "relevel": "order the levels in the study, the reference first",
}
_QUOTED = re.compile(r"`([^`]*)`")
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)
_MAX_NODES = 200
_MAX_POWER = 12
_MAX_NUMBER = 1e100
_MAX_BASE = 1e8


@dataclass(frozen=True)
class Expression:
    """
    A validated arithmetic expression of columns.

    Parameters
    ----------
    text : str
        Canonical text, columns in backticks where they are no Python name.
    columns : tuple of str
        Columns it reads, in order of appearance.
    """

    text: str
    columns: tuple[str, ...]

    @cached_property
    def tree(self) -> ast.expr:
        """Syntax tree with columns as plain names."""
        return _read(self.text)


@dataclass(frozen=True)
class Powers:
    """``coefficient`` times a product of expressions raised to whole powers."""

    coefficient: float
    powers: tuple[tuple[Expression, int], ...]


def parse_expression(text: str) -> Expression:
    """
    Read one numeric expression.

    Parameters
    ----------
    text : str
        For example ``log(charges)`` or ``(age - 50) / 10``; ``^`` means power.

    Raises
    ------
    FormulaError
        If it holds anything but numbers, names, arithmetic and known functions.

    Examples
    --------
    >>> parse_expression("I(age^2)").text
    'age ** 2'
    >>> parse_expression("size - incidence").columns
    ('size', 'incidence')
    """
    tree = _strip_identity(_read(text))
    _check(tree, text)
    columns = tuple(dict.fromkeys(_names(tree)))
    return Expression(text=_spell(tree), columns=columns)


def column_or_expression(text: str, columns: Iterable[object]) -> str:
    """
    A text that may name a column as it stands in a header, as an expression.

    Parameters
    ----------
    text : str
        A column's name, or an expression of columns.
    columns : iterable
        Names of a table's columns; they win over an expression that reads alike.

    Examples
    --------
    >>> column_or_expression("n of trials", ["n of trials"])
    '`n of trials`'
    >>> column_or_expression("log(size)", ["size"])
    'log(size)'
    """
    is_name = "`" not in text and any(text == str(name) for name in columns)
    return f"`{text}`" if is_name and not _is_plain(text) else text


def as_powers(expression: Expression) -> Powers:
    """
    Write an expression as a coefficient times powers of simpler ones.

    What is no such product comes back as itself to the power one.

    Examples
    --------
    >>> p = as_powers(parse_expression("2 * age**2 * log(dose)"))
    >>> p.coefficient, [(e.text, k) for e, k in p.powers]
    (2.0, [('age', 2), ('log(dose)', 1)])
    """
    coefficient, factors = _factor(expression.tree)
    powers: dict[Expression, int] = {}
    for tree, power in factors:
        base = Expression(_spell(tree), tuple(dict.fromkeys(_names(tree))))
        powers[base] = powers.get(base, 0) + power
    return Powers(coefficient, tuple(powers.items()))


def is_column(expression: Expression) -> bool:
    """Whether the expression is a bare column."""
    return isinstance(expression.tree, ast.Name)


def _read(text: str) -> ast.expr:
    quoted: dict[str, str] = {}

    def hide(match: re.Match[str]) -> str:
        name = f"_quoted_{len(quoted)}_"
        quoted[name] = match.group(1)
        return name

    plain = _QUOTED.sub(hide, text).replace("^", "**").strip()
    # R's as.factor(x) deserves its own refusal; Python would stop at the keyword.
    plain = re.sub(r"\bas\.", "as_.", plain)
    try:
        tree = ast.parse(plain, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise FormulaError(
            f"formula: {text!r} is no arithmetic expression; numbers, columns, "
            "+ - * / ** and functions are understood; correct it, and put column "
            "names with blanks in backticks"
        ) from None
    # Counted before anything walks the tree recursively.
    if sum(1 for _ in ast.walk(tree)) > _MAX_NODES:
        raise FormulaError(
            f"formula: {text[:60]!r} is too long; at most {_MAX_NODES} symbols are "
            "accepted in one expression; compute the column in the table"
        )
    return _resolve(tree, quoted)


def _resolve(tree: ast.expr, quoted: dict[str, str]) -> ast.expr:
    """Give quoted names back their spelling, and join dotted ones."""

    class Names(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return ast.Name(quoted.get(node.id, node.id), ctx=ast.Load())

        def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
            value = self.visit(node.value)
            if isinstance(value, ast.Name):
                if value.id in {"np", "numpy"} and node.attr in FUNCTIONS:
                    return ast.Name(node.attr, ctx=ast.Load())
                return ast.Name(f"{value.id}.{node.attr}", ctx=ast.Load())
            return node

    resolved: ast.expr = Names().visit(tree)
    return resolved


def _strip_identity(tree: ast.expr) -> ast.expr:
    while (
        isinstance(tree, ast.Call)
        and isinstance(tree.func, ast.Name)
        and tree.func.id == "I"
        and len(tree.args) == 1
        and not tree.keywords
    ):
        tree = tree.args[0]
    return tree


def _check(tree: ast.expr, text: str) -> None:
    for node in ast.walk(tree):
        _check_node(node, text)


def _check_node(node: ast.AST, text: str) -> None:
    match node:
        case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords):
            _check_call(name, len(args) == 1 and not keywords, text)
        case ast.Constant(value=bool()):
            _refuse(text, "a truth value")
        case ast.Constant(value=int() | float() as number):
            if not abs(number) <= _MAX_NUMBER:
                _refuse(text, "a number beyond 1e100")
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            _check_power(left, right, text)
        case ast.BinOp(op=op) if isinstance(op, _OPERATORS):
            pass
        case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
            pass
        case ast.Name() | ast.Load() | ast.operator() | ast.unaryop():
            pass
        case _:
            _refuse(text, f"{type(node).__name__.lower()}")


def _check_power(base: ast.expr, exponent: ast.expr, text: str) -> None:
    """Refuse powers of constants: 9**9**9 is a short text without end."""
    if any(True for _ in _names(exponent)):
        return
    if not any(True for _ in _names(base)):
        _refuse(text, "a power of constants")
    match exponent:
        case ast.UnaryOp(operand=ast.Constant(value=number)):
            parts = [number]
        case ast.Constant(value=number):
            parts = [number]
        case ast.BinOp(
            left=ast.Constant(value=number),
            op=ast.Div(),
            right=ast.Constant(value=divisor),
        ):
            parts = [number, divisor]
        case _:
            parts = []
    if not parts or not all(
        isinstance(part, int | float) and part <= _MAX_POWER for part in parts
    ):
        _refuse(text, f"an exponent that is no number of at most {_MAX_POWER}")


def _check_call(name: str, plain: bool, text: str) -> None:  # noqa: FBT001 - private
    stem = name.split(".", maxsplit=1)[0]
    if stem in DATA_DEPENDENT:
        raise FormulaError(
            f"formula: {text!r} uses {name}(), whose result depends on all rows of a "
            f"table; every site must compute the same columns; {DATA_DEPENDENT[stem]}"
        )
    if name not in (*FUNCTIONS, "I"):
        raise FormulaError(
            f"formula: {text!r} uses {name}(), which is not known; known functions "
            f"are {', '.join(FUNCTIONS)}, I and C; compute the column in the table"
        )
    if not plain:
        raise FormulaError(
            f"formula: {name}() in {text!r} has several arguments; it takes exactly "
            "one; compute the column in the table"
        )


def _refuse(text: str, what: str) -> None:
    raise FormulaError(
        f"formula: {text!r} contains {what}; only numbers, columns, + - * / ** and "
        f"the functions {', '.join(FUNCTIONS)} are accepted; compute the column in "
        "the table"
    )


def _names(tree: ast.expr) -> Iterator[str]:
    match tree:
        case ast.Name(id=name):
            yield name
        case ast.Call(args=args):
            for argument in args:
                yield from _names(argument)
        case ast.BinOp(left=left, right=right):
            yield from _names(left)
            yield from _names(right)
        case ast.UnaryOp(operand=operand):
            yield from _names(operand)


def _is_plain(name: str) -> bool:
    """Whether Python would read a column's name back as it is written."""
    same = unicodedata.normalize("NFKC", name) == name
    return name.isidentifier() and same and not keyword.iskeyword(name)


def _spell(tree: ast.expr) -> str:
    class Quote(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            plain = _is_plain(node.id)
            return node if plain else ast.Name(f"`{node.id}`", ctx=ast.Load())

        def visit_Call(self, node: ast.Call) -> ast.expr:
            args = [self.visit(_strip_identity(a)) for a in node.args]
            stripped = _strip_identity(node)
            if stripped is not node:
                return self.visit(stripped)  # type: ignore[no-any-return]
            return ast.Call(node.func, args, [])

    return ast.unparse(Quote().visit(_copy(tree)))


def _copy(tree: ast.expr) -> ast.expr:
    match tree:
        case ast.Name(id=name):
            return ast.Name(name, ctx=ast.Load())
        case ast.Call(func=func, args=args):
            return ast.Call(func, [_copy(a) for a in args], [])
        case ast.BinOp(left=left, op=op, right=right):
            return ast.BinOp(_copy(left), op, _copy(right))
        case ast.UnaryOp(op=op, operand=operand):
            return ast.UnaryOp(op, _copy(operand))
    return tree


def _factor(tree: ast.expr) -> tuple[float, list[tuple[ast.expr, int]]]:
    tree = _strip_identity(tree)
    match tree:
        case ast.Constant(value=int() | float() as number):
            return float(number), []
        case ast.UnaryOp(op=op, operand=operand):
            coefficient, factors = _factor(operand)
            return -coefficient if isinstance(op, ast.USub) else coefficient, factors
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            first, second = _factor(left), _factor(right)
            return first[0] * second[0], first[1] + second[1]
        case ast.BinOp(left=left, op=ast.Div(), right=ast.Constant(value=number)) if (
            isinstance(number, int | float) and number != 0
        ):
            coefficient, factors = _factor(left)
            return coefficient / number, factors
        case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=int() as k)):
            if 0 <= k <= _MAX_POWER:
                coefficient, factors = _factor(left)
                powers = [(base, power * k) for base, power in factors]
                # What would overflow, or have a power without end, stays as it is.
                if abs(coefficient) <= _MAX_BASE and all(
                    power <= _MAX_POWER for _, power in powers
                ):
                    return coefficient**k, powers
    return 1.0, [(tree, 1)]
