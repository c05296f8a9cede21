"""Which products of columns a release set holds, said by the second half of its name.

``anchored-pairs`` is the anchored set with fewer products of many columns,
``anchored-tables`` the one with more of the factors.
"""

from collections.abc import Sequence
from itertools import product
from typing import Final, Literal, get_args

from fedglmm_flower.study.polynomial import (
    Monomial,
    Polynomial,
    products_by_degree,
)

Products = Literal["all", "pairs", "tables"]
_SHAPED: Final = tuple(name for name in get_args(Products) if name != "all")
_BASES: Final = ("canonical", "anchored", "public")
# The joint set has no other: each of its columns may respond, so all products count.
SETS: Final = (
    *(f"{base}{tail}" for base in _BASES for tail in ("", "-pairs", "-tables")),
    "joint",
)


def split_set(release_set: str) -> tuple[str, Products]:
    """
    What a set holds besides moments, and which moments.

    Examples
    --------
    >>> split_set("anchored-pairs"), split_set("joint")
    (('anchored', 'pairs'), ('joint', 'all'))
    """
    for shaped in _SHAPED:
        base = release_set.removesuffix(f"-{shaped}")
        if base != release_set:
            return base, shaped
    return release_set, "all"


def join_set(base: str, products: Products) -> str:
    """
    The inverse of :func:`split_set`.

    Examples
    --------
    >>> join_set("public", "pairs"), join_set("anchored", "all")
    ('public-pairs', 'anchored')
    """
    return base if products == "all" else f"{base}-{products}"


def degrees_of(
    products: Products,
    columns: Sequence[Polynomial],
    order: int,
    levels: Sequence[int],
    *,
    limit: int,
) -> dict[Monomial, int]:
    """
    Moment functions of a set, closed under division, by degree.

    Parameters
    ----------
    products : {"all", "pairs", "tables"}
        ``all`` products of at most ``order`` columns; ``pairs``: those of them that
        involve one or two atoms, of the others those of at most ``order - 1`` columns;
        ``tables``: every combination of the levels of all factors, and in each all
        products of at most ``order`` continuous columns.
    columns : sequence of polynomials
        Model columns in terms of the atoms.
    order : int
        Largest number of columns in a product.
    levels : sequence of int
        Number of levels of each atom; 0 where it is continuous.
    limit : int
        Stop as soon as there are more than this.

    Returns
    -------
    dict
        Each monomial with the order from which on the set holds it; the constant has
        degree 0.  In tables the number of continuous columns counts, and a combination
        of levels alone has degree 1.
    """
    factors = [size > 0 for size in levels]
    if products == "all":
        return products_by_degree(columns, order, factors, limit=limit)
    if products == "pairs":
        return products_by_degree(
            columns, order, factors, limit=limit, last=lambda m: sum(map(bool, m)) <= 2
        )
    return _tables(columns, order, levels, limit)


def _tables(
    columns: Sequence[Polynomial], order: int, levels: Sequence[int], limit: int
) -> dict[Monomial, int]:
    factors = [size > 0 for size in levels]
    bare = [
        {tuple(0 if f else e for e, f in zip(m, factors, strict=True)): 1.0
         for m in column}
        for column in columns
    ]  # fmt: skip
    inside = products_by_degree(bare, order, factors, limit=limit)
    found: dict[Monomial, int] = {}
    for combination in product(*(range(max(1, size)) for size in levels)):
        for m, degree in inside.items():
            joint = tuple(c or e for c, e in zip(combination, m, strict=True))
            found[joint] = max(degree, 1) if any(joint) else 0
        if len(found) > limit:
            return found
    return found
