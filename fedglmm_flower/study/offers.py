"""Acceptable releases of a study: sets with their orders, the best first.

A site sends the first that its disclosure gate lets out, so that every party knows
beforehand all that may leave.
"""

from typing import Final, get_args

from fedglmm_flower.errors import StudyError
from fedglmm_flower.study.families import TWO_MEASURES
from fedglmm_flower.study.joint import JOINT
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.products import SETS, Products, join_set, split_set
from fedglmm_flower.study.release import MAX_ORDER, release_statistics

Offer = tuple[str, int]
MAX_OFFERS: Final = 20
# Numbers that a site of 450 rows may send at three rows for each.
_PLENTY: Final = 150
_HIGHEST: Final = 5
_USUAL: Final = 4


def ladder(release_set: str, order: int) -> tuple[Offer, ...]:
    """
    A set at an order, and what may be sent in its place.

    Examples
    --------
    >>> ladder("canonical", 3)
    (('canonical', 3), ('canonical', 2), ('canonical', 1))
    >>> ladder("anchored", 2)
    (('anchored', 2), ('canonical', 3), ('canonical', 2), ('canonical', 1))
    >>> ladder("anchored-pairs", 3)[:3]
    (('anchored-pairs', 3), ('anchored', 2), ('canonical', 3))
    >>> ladder("canonical-tables", 2)
    (('canonical-tables', 2), ('canonical', 2), ('canonical', 1))
    """
    base, products = split_set(release_set)
    if products != "all":
        # What the set is without its extra products: one order lower of pairs, the
        # same of tables.
        below = max(1, order - 1) if products == "pairs" else order
        return ((release_set, order), *ladder(base, below))
    if release_set == "canonical":
        return tuple((release_set, k) for k in range(order, 0, -1))
    first = tuple((release_set, k) for k in range(order, min(order, 2) - 1, -1))
    if release_set == JOINT:
        return first
    return first + ladder("canonical", min(order + 1, MAX_ORDER))


def around(offer: Offer) -> tuple[Offer, ...]:
    """
    Sets that a study might have asked instead: other products, and an order off.

    Examples
    --------
    >>> around(("anchored", 2))[:3]
    (('anchored', 1), ('anchored', 2), ('anchored', 3))
    """
    (base, _), order = split_set(offer[0]), offer[1]
    found = []
    for products in get_args(Products):
        lowest = 1 if base != JOINT and products != "pairs" else 2
        orders = range(max(lowest, order - 1), min(order + 1, MAX_ORDER) + 1)
        found += [(join_set(base, products), k) for k in orders]
    return tuple(one for one in found if one[0] in SETS)


def can_anchor(model: Model) -> bool:
    """Whether an anchored release of a model exists and tells more than moments."""
    one_measure = (model.family, model.link) not in TWO_MEASURES
    return model.family != "gaussian" and one_measure and not all(model.factors)


def best_offer(model: Model) -> Offer:
    """
    What is asked first unless a study says otherwise.

    Measured (docs/release-sets.md): for a given count of numbers the anchored set is
    the most accurate wherever a continuous column is involved; its order is the highest
    with a moderate count.  Without continuous columns moments to the number of factors
    are the whole table, and the fit is exact.
    """
    if model.family == "gaussian":
        return "canonical", _USUAL
    if can_anchor(model):
        return "anchored", moderate_order(model, "anchored")
    factors = sum(model.factors)
    return "canonical", min(MAX_ORDER, max(_USUAL, factors))


def moderate_order(model: Model, release_set: str) -> int:
    """The highest order of a set with a moderate count of numbers, at least two."""
    for order in range(_HIGHEST, 2, -1):
        if len(release_statistics(model, release_set, order)) <= _PLENTY:
            return order
    return 2


def parse_offer(text: str) -> Offer:
    """
    Set and order of a text.

    Raises
    ------
    StudyError
        If the set is unknown or the order out of range.

    Examples
    --------
    >>> parse_offer("anchored:3")
    ('anchored', 3)
    """
    name, _, number = text.partition(":")
    orders = [str(k) for k in range(1, MAX_ORDER + 1)]
    if name not in SETS or number not in orders:
        raise StudyError(
            f"release: {text!r} is no set with an order from 1 to {MAX_ORDER}; sets "
            f"are {', '.join(SETS)}; write for example 'anchored:3'"
        )
    if split_set(name)[1] == "pairs" and number == "1":
        raise StudyError(
            f"release: {text!r} leaves out the columns themselves; pairs need an order "
            f"from 2 to {MAX_ORDER}; write for example 'anchored-pairs:3'"
        )
    return name, int(number)


def write_offer(offer: Offer) -> str:
    """
    Text of a set and its order.

    Examples
    --------
    >>> write_offer(("canonical", 4))
    'canonical:4'
    """
    return f"{offer[0]}:{offer[1]}"
