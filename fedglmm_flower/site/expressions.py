"""Which expressions a site computes unasked: those that cannot single out a patient."""

import ast
from collections.abc import Callable, Iterator

from fedglmm_flower.study.expression import Expression, as_powers
from fedglmm_flower.study.model import Model

# Beyond cubes, powers of a column single out its largest values.
MOST_POWER = 3
_LOGS = ("log", "log2", "log10", "log1p", "sqrt")
Leaf = Callable[[ast.expr], bool]


def free_expressions(model: Model) -> Iterator[str]:
    """
    Parts of a model that are more than the accepted forms, in words.

    A narrow bump such as ``exp(-1000*(age-83)**2)`` makes every sum a value of one
    patient.  Accepted are, for predictors, a column, an affine function of one, or a
    logarithm or root of a column plus a constant, with products of these and their
    powers to the third; for weights and trials, sums of columns; for offsets, linear
    combinations of columns and their logarithms; for responses, a column, its log or
    root, or sums.
    """
    response = model.response.expression
    if response is not None and not (_is_sum(response.tree) or _is_root(response.tree)):
        yield f"response {response.text}"
    for what, expression in (("trials", model.trials), ("weights", model.weights)):
        if expression is not None and not _is_sum(expression.tree):
            yield f"{what} {expression.text}"
    exempt: set[Expression] = set()
    if model.offset is not None:
        if _is_linear(model.offset.tree, lambda t: _is_name(t) or _is_log(t)):
            exempt = {base for base, _ in as_powers(model.offset).powers}
        else:
            yield f"offset {model.offset.text}"
    yield from _high_powers(model)
    for atom in model.atoms:
        known = atom.expression
        if known is None or known in exempt:
            continue
        if not (_is_transform(known.tree) or _is_affine(known)):
            yield f"term {known.text}"


def _high_powers(model: Model) -> Iterator[str]:
    columns = [*model.fixed, *(c for effect in model.random for c in effect.columns)]
    for column in columns:
        if any(
            e > MOST_POWER and not factor
            for m in column.polynomial
            for e, factor in zip(m, model.factors, strict=True)
        ):
            yield f"power {column.name}"


def _is_name(tree: ast.expr) -> bool:
    return isinstance(tree, ast.Name)


def _is_constant(tree: ast.expr) -> bool:
    match tree:
        case ast.Constant():
            return True
        case ast.UnaryOp(operand=operand):
            return _is_constant(operand)
        case ast.BinOp(left=left, right=right):
            return _is_constant(left) and _is_constant(right)
    return False


def _is_sum(tree: ast.expr) -> bool:
    match tree:
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=right):
            return _is_sum(left) and _is_sum(right)
    return _is_name(tree)


def _is_linear(tree: ast.expr, leaf: Leaf) -> bool:
    if leaf(tree) or _is_constant(tree):
        return True
    match tree:
        case ast.UnaryOp(operand=operand):
            return _is_linear(operand, leaf)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=right):
            return _is_linear(left, leaf) and _is_linear(right, leaf)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return (_is_constant(left) and _is_linear(right, leaf)) or (
                _is_constant(right) and _is_linear(left, leaf)
            )
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return _is_constant(right) and _is_linear(left, leaf)
    return False


def _is_log(tree: ast.expr) -> bool:
    match tree:
        case ast.Call(func=ast.Name(id="log"), args=[ast.Name()]):
            return True
    return False


def _is_root(tree: ast.expr) -> bool:
    match tree:
        case ast.Call(func=ast.Name(id="log" | "sqrt"), args=[ast.Name()]):
            return True
    return False


def _is_transform(tree: ast.expr) -> bool:
    match tree:
        case ast.Call(func=ast.Name(id=name), args=[inner]) if name in _LOGS:
            return _is_shifted(inner)
    return False


def _is_shifted(tree: ast.expr) -> bool:
    match tree:
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            one, other = _is_name(left), _is_name(right)
            return (one and _is_constant(right)) or (other and _is_constant(left))
        case ast.BinOp(left=left, op=ast.Sub(), right=right):
            return _is_name(left) and _is_constant(right)
    return _is_name(tree)


def _is_affine(expression: Expression) -> bool:
    return len(expression.columns) == 1 and _is_linear(expression.tree, _is_name)
