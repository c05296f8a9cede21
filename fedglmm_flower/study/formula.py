"""lme4's formula syntax, split into response, fixed part, random parts and offset.

The fixed part is left to formulaic; ``(terms | group)``, ``offset()`` and
``cbind()`` are read here, because formulaic gives ``|`` another meaning.
"""

import re
from dataclasses import dataclass

from fedglmm_flower.errors import FormulaError
from fedglmm_flower.study.expression import Expression, parse_expression

_OPEN = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class RandomPart:
    """
    One ``(terms | group)`` of a formula.

    Parameters
    ----------
    terms : str
        Right-hand side of the columns, as ``1 + x``.
    group : tuple of str
        Grouping columns from the outermost: ``("site",)`` or ``("site", "clinic")``.
    correlated : bool
        False for ``||``.
    """

    terms: str
    group: tuple[str, ...]
    correlated: bool

    @property
    def name(self) -> str:
        """Name of the group in results, as ``site:clinic``."""
        return ":".join(self.group)


@dataclass(frozen=True)
class Formula:
    """
    The parts of a mixed-model formula.

    Parameters
    ----------
    text : str
        The formula as it was written.
    response : Expression
        Response, or the number of events of a ``cbind``.
    trials : Expression or None
        Events plus non-events of a ``cbind``.
    fixed : str
        Right-hand side without random parts and offsets.
    random : tuple of RandomPart
        Random parts in the order written, ``a/b`` written out as ``a`` and ``a:b``.
    offset : Expression or None
        Sum of the offsets.
    """

    text: str
    response: Expression
    trials: Expression | None
    fixed: str
    random: tuple[RandomPart, ...]
    offset: Expression | None


def parse_formula(text: str) -> Formula:
    """
    Split a formula into its parts.

    Raises
    ------
    FormulaError
        If the formula is not of the form ``y ~ terms + (terms | group)``.

    Examples
    --------
    >>> f = parse_formula("y ~ x + offset(log(e)) + (1 + x | site)")
    >>> f.fixed, f.random[0].name, f.offset.text
    ('x', 'site', 'log(e)')
    >>> [r.group for r in parse_formula("y ~ 1 + (1 | a/b)").random]
    [('a',), ('a', 'b')]
    """
    _no_numbers_as_names(text)
    sides = _split(text, "~")
    if len(sides) != 2 or not sides[0][1].strip() or not sides[1][1].strip():
        raise FormulaError(
            f"formula: {text!r} has not the form 'response ~ terms'; write for "
            "example 'y ~ x + (1 | site)'"
        )
    response, trials = _response(sides[0][1].strip())
    fixed: list[str] = []
    random: list[RandomPart] = []
    offsets: list[str] = []
    for sign, term in _split(sides[1][1], "+-"):
        stripped = term.strip()
        if not stripped:
            if sign == "+" and not fixed and not random and not offsets:
                continue
            raise FormulaError(
                f"formula: nothing follows {sign!r} in {text!r}; a term is required "
                "there; add it or remove the sign"
            )
        if stripped.startswith("offset(") and _closes(stripped, len("offset")):
            _only_plus(sign, stripped, text)
            offsets.append(stripped[len("offset") :])
        elif stripped.startswith("(") and _closes(stripped, 0) and _bar(stripped):
            _only_plus(sign, stripped, text)
            random.extend(_random(stripped[1:-1], text))
        elif _bar(stripped, depth=None):
            raise FormulaError(
                f"formula: '|' inside {stripped!r}; a random part stands alone in "
                "parentheses; write '+ (1 | group)'"
            )
        else:
            fixed.append(f"{sign} {stripped}")
    _no_repetition(random, text)
    joined = _python_power(" ".join(fixed).removeprefix("+ ") or "1")
    offset = parse_expression(" + ".join(offsets)) if offsets else None
    return Formula(text, response, trials, joined, tuple(random), offset)


def _response(text: str) -> tuple[Expression, Expression | None]:
    if text.startswith("cbind(") and _closes(text, len("cbind")):
        parts = [part for _, part in _split(text[len("cbind(") : -1], ",")]
        if len(parts) != 2:
            raise FormulaError(
                f"formula: {text!r} has {len(parts)} parts; cbind takes two; write "
                "cbind(events, non_events)"
            )
        events, rest = (parse_expression(part) for part in parts)
        total = re.fullmatch(r"(.+) - " + re.escape(_grouped(events)), rest.text)
        trials = total.group(1) if total else f"({events.text}) + ({rest.text})"
        return events, parse_expression(trials)
    return parse_expression(text), None


def _grouped(expression: Expression) -> str:
    text = expression.text
    plain = text.isidentifier() or text.endswith(")") or text.startswith("`")
    return text if plain else f"({text})"


def _random(text: str, whole: str) -> list[RandomPart]:
    # Names in backticks may hold bars and slashes, so only others are cut at.
    bars = re.split(r"(\|\|?)(?=(?:[^`]*`[^`]*`)*[^`]*$)", text)
    if len(bars) != 3:
        raise FormulaError(
            f"formula: ({text}) in {whole!r} has several '|'; a random part has one; "
            "write '(terms | group)'"
        )
    terms, bar, group = bars[0].strip(), bars[1], bars[2].strip()
    nested = [part.strip() for _, part in _split(group, "/")]
    if not terms or not all(nested):
        raise FormulaError(
            f"formula: ({text}) in {whole!r} is incomplete; a random part has terms "
            "and a group; write for example '(1 | site)'"
        )
    paths: list[tuple[str, ...]] = []
    for part in nested:
        names = tuple(_name(n) for _, n in _split(part, ":"))
        paths.append((*(paths[-1] if paths else ()), *names))
    return [RandomPart(terms, path, bar == "|") for path in paths]


def _name(text: str) -> str:
    text = text.strip()
    if text.startswith("`") and text.endswith("`") and len(text) > 2:
        return text[1:-1]
    if re.fullmatch(r"[^\W\d][\w.]*", text):
        return text
    raise FormulaError(
        f"formula: {text!r} is no grouping column; a group is a column, a/b or a:b; "
        "put column names with blanks in backticks"
    )


def _no_numbers_as_names(text: str) -> None:
    """A quoted number is a number to formulaic, and would be no column at all."""
    for name in re.findall(r"`([^`]*)`", text):
        try:
            float(name)
        except ValueError:
            continue
        raise FormulaError(
            f"formula: the column `{name}` has a number for a name; a name that begins "
            "with a letter is required; rename the column of the table"
        )


def _no_repetition(random: list[RandomPart], text: str) -> None:
    names = [(part.name, part.terms.replace(" ", "")) for part in random]
    if len(set(names)) != len(names):
        raise FormulaError(
            f"formula: a random part is written twice in {text!r}; each may stand "
            "once; remove the repetition"
        )


def _python_power(text: str) -> str:
    """R writes powers as ``^``; formulaic understands ``**`` at every depth."""
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(p if p.startswith("`") else p.replace("^", "**") for p in pieces)


def _only_plus(sign: str, term: str, text: str) -> None:
    if sign != "+":
        raise FormulaError(
            f"formula: {term!r} is subtracted in {text!r}; offsets and random parts "
            "can only be added; remove it instead"
        )


def _split(text: str, signs: str) -> list[tuple[str, str]]:
    """Cut at signs outside brackets and backticks, but not at a leading power."""
    parts, sign, start, closers, quoted = [], "+", 0, [], False
    for i, c in enumerate(text):
        if c == "`":
            quoted = not quoted
        if quoted:
            continue
        if c in _OPEN:
            closers.append(_OPEN[c])
        elif closers and c == closers[-1]:
            closers.pop()
        elif c in ")]}":
            raise FormulaError(
                f"formula: {c!r} closes nothing in {text!r}; brackets must pair; "
                "remove or open it"
            )
        elif c in signs and not closers:
            parts.append((sign, text[start:i]))
            sign, start = c, i + 1
    if closers or quoted:
        raise FormulaError(
            f"formula: a bracket or backtick is not closed in {text!r}; they must "
            "pair; close it"
        )
    return [*parts, (sign, text[start:])]


def _closes(text: str, start: int) -> bool:
    """Whether the bracket that opens at ``start`` closes at the end of the text."""
    depth = 0
    for i, c in enumerate(text[start:], start):
        depth += (c in _OPEN) - (c in ")]}")
        if depth == 0:
            return i == len(text) - 1
    return False


def _bar(text: str, depth: int | None = 1) -> bool:
    """Whether a ``|`` stands at a bracket depth (anywhere for None)."""
    level, quoted = 0, False
    for c in text:
        quoted ^= c == "`"
        if not quoted:
            level += (c in _OPEN) - (c in ")]}")
            if c == "|" and depth in (None, level):
                return True
    return False
