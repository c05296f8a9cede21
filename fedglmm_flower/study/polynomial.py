"""Polynomials over the atoms of a model: the algebra of moment functions.

A monomial is a tuple with one whole number for every atom: the exponent of a
continuous atom, or the level of a factor atom (0 = no restriction, l >= 1 = the
indicator of level l).  Powers of an indicator collapse, and the product of two
levels of one factor vanishes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from math import comb, prod

Monomial = tuple[int, ...]
Polynomial = Mapping[Monomial, float]


def multiply_monomials(
    a: Monomial, b: Monomial, factors: Sequence[bool]
) -> Monomial | None:
    """
    Product of two monomials; None where it vanishes.

    Parameters
    ----------
    a, b : tuple of int
        Monomials over the same atoms.
    factors : sequence of bool
        Which atoms are factors.

    Examples
    --------
    >>> multiply_monomials((1, 2), (2, 2), [False, True])
    (3, 2)
    >>> multiply_monomials((0, 1), (0, 2), [False, True]) is None
    True
    """
    out = []
    for i, j, is_factor in zip(a, b, factors, strict=True):
        if not is_factor:
            out.append(i + j)
        elif i and j and i != j:
            return None
        else:
            out.append(i or j)
    return tuple(out)


def multiply(a: Polynomial, b: Polynomial, factors: Sequence[bool]) -> Polynomial:
    """Product of two polynomials."""
    out: dict[Monomial, float] = {}
    for m, x in a.items():
        for n, y in b.items():
            monomial = multiply_monomials(m, n, factors)
            if monomial is not None:
                out[monomial] = out.get(monomial, 0.0) + x * y
    return out


def shifted_power(
    atom: int, power: int, center: float, scale: float, atoms: int
) -> Polynomial:
    """
    ``(center + scale * z) ** power`` as a polynomial of the atom's ``z``.

    Examples
    --------
    >>> dict(shifted_power(0, 2, 3.0, 2.0, 1))
    {(0,): 9.0, (1,): 12.0, (2,): 4.0}
    """
    out: dict[Monomial, float] = {}
    for k in range(power + 1):
        parts = [center] * (power - k) + [scale] * k
        # A product overflows to infinity, where a power would raise an error.
        coefficient = prod(parts, start=float(comb(power, k)))
        if coefficient:
            out[_unit(atom, k, atoms)] = coefficient
    return out


def indicator(atom: int, level: int, levels: int, atoms: int) -> Polynomial:
    """
    Indicator of a level; that of the reference is one minus all others.

    Examples
    --------
    >>> dict(indicator(0, 0, 3, 1))
    {(0,): 1.0, (1,): -1.0, (2,): -1.0}
    """
    if level:
        return {_unit(atom, level, atoms): 1.0}
    out = {_unit(atom, 0, atoms): 1.0}
    out.update({_unit(atom, other, atoms): -1.0 for other in range(1, levels)})
    return out


def divisors(monomial: Monomial, factors: Sequence[bool]) -> set[Monomial]:
    """All monomials that divide one, itself and the constant among them."""
    ranges = [
        sorted({0, e}) if is_factor else range(e + 1)
        for e, is_factor in zip(monomial, factors, strict=True)
    ]
    return set(product(*ranges))


def products_by_degree(
    columns: Iterable[Polynomial],
    order: int,
    factors: Sequence[bool],
    *,
    limit: int | None = None,
    last: Callable[[Monomial], bool] | None = None,
) -> dict[Monomial, int]:
    """
    Monomials that span all products of at most ``order`` columns.

    The set is closed under division, so that it does not depend on the constants by
    which continuous atoms are shifted and scaled.

    Parameters
    ----------
    columns : iterable of polynomials
        Model columns in terms of the atoms.
    order : int
        Largest number of columns in a product.
    factors : sequence of bool
        Which atoms are factors.
    limit : int or None
        Stop as soon as there are more monomials than this: a hostile study is
        refused before its moment functions fill the memory.
    last : callable or None
        Which monomials of the highest degree belong; all of them where None.

    Returns
    -------
    dict
        Each monomial with the smallest number of columns that needs it; the
        constant has degree 0.
    """
    single = {
        d for column in columns for m in column for d in divisors(m, factors) if any(d)
    }
    degree: dict[Monomial, int] = {(0,) * len(factors): 0}
    frontier = list(degree)
    for k in range(1, order + 1):
        found: set[Monomial] = set()
        for m in frontier:
            for s in single:
                extended = multiply_monomials(m, s, factors)
                if extended is None or extended in degree:
                    continue
                if k < order or last is None or last(extended):
                    found.add(extended)
            if limit is not None and len(degree) + len(found) > limit:
                return degree | dict.fromkeys(found, k)
        for m in found:
            degree[m] = k
        frontier = list(found)
    return degree


def _unit(atom: int, value: int, atoms: int) -> Monomial:
    return tuple(value if i == atom else 0 for i in range(atoms))
