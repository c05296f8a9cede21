"""A formula over declared columns, reduced to atoms and polynomials of atoms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite, prod

from fedglmm_flower.errors import FormulaError, StudyError
from fedglmm_flower.study.atoms import Atom
from fedglmm_flower.study.columns import Column
from fedglmm_flower.study.contradictions import refuse_contradictions
from fedglmm_flower.study.expression import (
    Expression,
    as_powers,
    is_column,
    parse_expression,
)
from fedglmm_flower.study.families import OFFSET_IS_COLUMN
from fedglmm_flower.study.formula import Formula, parse_formula
from fedglmm_flower.study.polynomial import (
    Monomial,
    Polynomial,
    indicator,
    multiply,
    shifted_power,
)
from fedglmm_flower.study.terms import Piece, Term, expand_terms

Scale = tuple[float, float]
MAX_MONOMIALS = 20_000


@dataclass(frozen=True)
class ModelColumn:
    """A named model column as a polynomial of the atoms."""

    name: str
    polynomial: Polynomial


@dataclass(frozen=True)
class RandomEffect:
    """Columns that vary over the levels of one group."""

    group: tuple[str, ...]
    columns: tuple[ModelColumn, ...]
    correlated: bool

    @property
    def name(self) -> str:
        """Name of the group in results."""
        return ":".join(self.group)


@dataclass(frozen=True)
class Response:
    """
    What is explained.

    Parameters
    ----------
    name : str
        Name for people.
    expression : Expression or None
        Number or count; None where the response is a two-level factor.
    column : str or None
        The two-level factor; its second level is the event.
    center, scale : float
        Constants of a gaussian response; 0 and 1 otherwise.
    """

    name: str
    expression: Expression | None
    column: str | None
    center: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True)
class Model:
    """
    Everything a room below needs to know about the question.

    ``offset_column`` is set where an offset is one more atom with coefficient one
    (binomial, nbinom2); elsewhere ``offset`` is computed row by row.
    """

    formula: Formula
    family: str
    link: str
    atoms: tuple[Atom, ...]
    fixed: tuple[ModelColumn, ...]
    random: tuple[RandomEffect, ...]
    response: Response
    trials: Expression | None
    offset: Expression | None
    offset_column: ModelColumn | None
    weights: Expression | None
    columns: Mapping[str, Column]

    @cached_property
    def factors(self) -> tuple[bool, ...]:
        """Which atoms are factors."""
        return tuple(atom.is_factor for atom in self.atoms)

    @property
    def constant(self) -> Monomial:
        """The monomial that is one everywhere."""
        return (0,) * len(self.atoms)

    @cached_property
    def used_columns(self) -> tuple[str, ...]:
        """Columns whose missing values drop a row, in order of declaration."""
        used: set[str] = set()
        for atom in self.atoms:
            used.update(atom.expression.columns if atom.expression else (atom.name,))
        for expression in (
            self.response.expression,
            self.trials,
            self.offset,
            self.weights,
        ):
            if expression is not None:
                used.update(expression.columns)
        if self.response.column is not None:
            used.add(self.response.column)
        return tuple(name for name in self.columns if name in used)


def build_model(
    formula: str | Formula,
    columns: Sequence[Column],
    *,
    family: str,
    link: str,
    trials: str | None = None,
    offset: str | None = None,
    weights: str | None = None,
    scales: Mapping[str, Scale] | None = None,
) -> Model:
    """
    Reduce a formula to atoms.

    Parameters
    ----------
    formula : str or Formula
        lme4 syntax.
    columns : sequence of Column
        Declared columns; the grouping columns are not among them.
    family, link : str
        Family and link by name.
    trials, offset, weights : str or None
        Expressions of columns; an offset is added to those of the formula.
    scales : mapping or None
        Centre and scale of atoms that are no bare column, by their text.

    Raises
    ------
    FormulaError, StudyError
        If a part names an undeclared column or contradicts another part.
    """
    parsed = parse_formula(formula) if isinstance(formula, str) else formula
    by_name = {column.name: column for column in columns}
    builder = _Builder(by_name, dict(scales or {}))
    fixed_terms = expand_terms(parsed.fixed, by_name)
    random_terms = [expand_terms(part.terms, by_name) for part in parsed.random]
    total_trials = _one_of("trials", parsed.trials, trials, by_name)
    total_offset = _sum(parsed.offset, _optional(offset), by_name)
    weight = _checked(_optional(weights), "weights", by_name)
    refuse_contradictions(parsed, fixed_terms, by_name, (total_offset, weight))
    for terms in (fixed_terms, *random_terms):
        builder.collect(terms)
    if family in OFFSET_IS_COLUMN and total_offset is not None:
        builder.collect_expression(total_offset)
    fixed = tuple(builder.column(term) for term in fixed_terms)
    random = tuple(
        RandomEffect(part.group, tuple(map(builder.column, terms)), part.correlated)
        for part, terms in zip(parsed.random, random_terms, strict=True)
    )
    for effect in random:
        if not effect.columns:
            raise FormulaError(
                f"formula: the random part of {effect.name!r} has no columns; at least "
                "one is required; write (1 | group)"
            )
    offset_column = None
    if family in OFFSET_IS_COLUMN and total_offset is not None:
        offset_column = builder.column(_offset_term(total_offset))
    return Model(
        formula=parsed,
        family=family,
        link=link,
        atoms=tuple(builder.atoms.values()),
        fixed=fixed,
        random=random,
        response=_response(parsed.response, family, by_name, builder.scales),
        trials=total_trials,
        offset=total_offset,
        offset_column=offset_column,
        weights=_checked(_optional(weights), "weights", by_name),
        columns=by_name,
    )


class _Builder:
    """Collects atoms first, so that every polynomial has one exponent per atom."""

    def __init__(self, columns: Mapping[str, Column], scales: dict[str, Scale]) -> None:
        self.columns = columns
        self.scales = scales
        self.atoms: dict[str, Atom] = {}

    def collect(self, terms: Sequence[Term]) -> None:
        for term in terms:
            for piece in term.pieces:
                if piece.column is not None:
                    self._add_factor(piece.column, self.columns[piece.column].levels)
                for expression, _ in piece.powers:
                    self._add_numeric(expression)

    def collect_expression(self, expression: Expression) -> None:
        self.collect((_offset_term(expression),))

    def column(self, term: Term) -> ModelColumn:
        names = list(self.atoms)
        polynomial: Polynomial = {(0,) * len(names): 1.0}
        factors = [atom.is_factor for atom in self.atoms.values()]
        for piece in term.pieces:
            for part in self._parts(piece, names):
                polynomial = multiply(polynomial, part, factors)
                _require_moderate(polynomial, factors, term.name)
        return ModelColumn(term.name, polynomial)

    def _parts(self, piece: Piece, names: list[str]) -> list[Polynomial]:
        parts: list[Polynomial] = [{(0,) * len(names): piece.coefficient}]
        if piece.column is not None:
            levels = len(self.columns[piece.column].levels)
            at = names.index(piece.column)
            parts.append(indicator(at, piece.level, levels, len(names)))
        for expression, power in piece.powers:
            name = _atom_name(expression)
            atom, at = self.atoms[name], names.index(name)
            if atom.is_factor and power:
                parts.append(indicator(at, 1, 2, len(names)))
            elif power:
                parts.append(
                    shifted_power(at, power, atom.center, atom.scale, len(names))
                )
        return parts

    def _add_factor(self, name: str, levels: tuple[str, ...]) -> None:
        self.atoms.setdefault(name, Atom(name, None, levels))

    def _add_numeric(self, expression: Expression) -> None:
        name = _atom_name(expression)
        if is_column(expression):
            column = self.columns[name]
            if column.kind == "binary":
                self._add_factor(name, ("0", "1"))
            else:
                atom = Atom(name, expression, (), column.center, column.scale)
                self.atoms.setdefault(name, atom)
            return
        for used in expression.columns:
            if self.columns[used].kind == "binary":
                raise FormulaError(
                    f"formula: {expression.text!r} calculates with the 0/1 column "
                    f"{used!r}; only products of 0/1 columns are supported; write the "
                    "products as terms, a:b"
                )
        center, scale = self.scales.get(name, (0.0, 1.0))
        self.atoms.setdefault(name, Atom(name, expression, (), center, scale))


def _require_moderate(
    polynomial: Polynomial, factors: Sequence[bool], name: str
) -> None:
    """Refuse what no site could sum, before it is written out further."""
    most = 1
    for m in polynomial:
        divisors = (2 if f and e else e + 1 for e, f in zip(m, factors, strict=True))
        most = max(most, prod(divisors))
    if max(most, len(polynomial)) > MAX_MONOMIALS:
        raise FormulaError(
            f"formula: {name[:60]!r} is a product of more than {MAX_MONOMIALS} parts; "
            "lower powers are required; leave out its highest ones"
        )
    if not all(map(isfinite, polynomial.values())):
        raise StudyError(
            f"formula: {name[:60]!r} overflows; center, scale and coefficients of "
            "moderate size are required; change the units of its columns"
        )


def _atom_name(expression: Expression) -> str:
    return expression.columns[0] if is_column(expression) else expression.text


def _offset_term(expression: Expression) -> Term:
    powers = as_powers(expression)
    return Term("offset", (Piece(powers.coefficient, powers.powers),))


def _response(
    expression: Expression,
    family: str,
    columns: Mapping[str, Column],
    scales: Mapping[str, Scale],
) -> Response:
    bare = is_column(expression)
    _checked(expression, "the response" if bare else "a calculated response", columns)
    if is_column(expression):
        column = columns[expression.columns[0]]
        if column.kind == "categorical":
            if family != "binomial" or len(column.levels) != 2:
                raise StudyError(
                    f"response {column.name!r}: a categorical column with "
                    f"{len(column.levels)} levels for the family {family}; a "
                    "categorical response needs family binomial and two levels, the "
                    "second being the event; change the family or the column"
                )
            return Response(column.name, None, column.name)
        center, scale = column.center, column.scale
    else:
        center, scale = scales.get(expression.text, (0.0, 1.0))
    if family != "gaussian":
        center, scale = 0.0, 1.0
    return Response(_atom_name(expression), expression, None, center, scale)


def _optional(text: str | None) -> Expression | None:
    return None if text is None else parse_expression(text)


def _checked(
    expression: Expression | None, what: str, columns: Mapping[str, Column]
) -> Expression | None:
    for name in expression.columns if expression else ():
        if name not in columns:
            raise FormulaError(
                f"formula: column {name!r} of {what} is not declared; known columns "
                f"are {', '.join(sorted(columns))}; declare it or correct the name"
            )
        if columns[name].kind == "categorical" and what != "the response":
            raise FormulaError(
                f"formula: column {name!r} of {what} is categorical; {what} must be "
                "numeric; declare the column continuous"
            )
    return expression


def _one_of(
    what: str,
    first: Expression | None,
    second: str | None,
    columns: Mapping[str, Column],
) -> Expression | None:
    if first is not None and second is not None:
        raise FormulaError(
            f"formula: {what} are given by cbind() and as an option; one of the two is "
            "required; remove one"
        )
    return _checked(first or _optional(second), what, columns)


def _sum(
    first: Expression | None,
    second: Expression | None,
    columns: Mapping[str, Column],
) -> Expression | None:
    total = first or second
    if first is not None and second is not None:
        total = parse_expression(f"({first.text}) + ({second.text})")
    return _checked(total, "the offset", columns)
