"""Questions that can be read and yet make no sense, refused before any fit."""

from collections.abc import Iterable, Mapping, Sequence

from fedglmm_flower.errors import FormulaError
from fedglmm_flower.study.columns import Column
from fedglmm_flower.study.expression import Expression
from fedglmm_flower.study.formula import Formula
from fedglmm_flower.study.terms import Term, used_columns


def refuse_contradictions(
    formula: Formula,
    fixed: Sequence[Term],
    columns: Mapping[str, Column],
    others: Iterable[Expression | None],
) -> None:
    """
    Refuse a response that explains itself, and a group that is twice in a model.

    A response made of several columns may meet some of them again, as a change from
    baseline may be explained by the baseline.

    Parameters
    ----------
    formula : Formula
        Parsed formula.
    fixed : sequence of Term
        Its fixed effects.
    columns : mapping
        Declared columns.
    others : iterable of Expression or None
        Offset and weights.

    Raises
    ------
    FormulaError
        If there is such a contradiction.
    """
    sides = [formula.fixed, *(part.terms for part in formula.random)]
    explaining = {name for side in sides for name in used_columns(side)}
    explaining |= {name for part in formula.random for name in part.group}
    explaining |= {name for other in others if other for name in other.columns}
    response = formula.response
    if response.columns and explaining.issuperset(response.columns):
        raise FormulaError(
            f"formula: the response {response.text!r} also stands among what explains "
            "it (terms, groups, offset or weights); other columns are required there; "
            "remove it"
        )
    single = {part.group[0] for part in formula.random if len(part.group) == 1}
    for term in fixed:
        factors = {piece.column for piece in term.pieces if piece.column is not None}
        twice = single & factors if len(term.pieces) == 1 else set()
        if twice and columns[min(twice)].kind == "categorical":
            raise FormulaError(
                f"formula: {min(twice)!r} is a fixed effect and the group of a random "
                "one, which cannot be told apart; one of the two is required; remove "
                "the other"
            )
