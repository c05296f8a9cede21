"""Release sets: which sums a site sends, in canonical order.

The log-likelihood of a GLMM with a canonical link sees the data through a few sums
(design, section 3): those with the response are exact, and the cumulant function is
integrated against the distribution of the model columns, which the moments up to
order K describe.  Probit, cloglog and negative binomial likelihoods integrate two
functions, the second against the distribution weighted by the response; gamma's one
is weighted by the response divided by its exposure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from fedglmm_flower.errors import StudyError
from fedglmm_flower.study.families import TWO_MEASURES
from fedglmm_flower.study.joint import JOINT, count_atoms
from fedglmm_flower.study.model import Model, ModelColumn
from fedglmm_flower.study.polynomial import Monomial
from fedglmm_flower.study.products import SETS, Products, degrees_of, split_set
from fedglmm_flower.study.shapes import SHAPES

Role = Literal[
    "x",
    "y",
    "yy",
    "y_offset",
    "offset",
    "constant",
    "shape",
    "anchor",
    "value",
    "information",
    "bend",
    "log_factorial",
    "score",
]
Measure = Literal["rows", "trials", "exposure", "amount"]
ANCHORED: tuple[Role, ...] = ("anchor", "value", "score", "information", "bend")
# What a local anchor has no need to send tells a public one.
PUBLIC: Role = "score"

MAX_ORDER = 6
MAX_STATISTICS = 20_000


@dataclass(frozen=True)
class Statistic:
    """
    One sum over the rows of a cluster.

    Parameters
    ----------
    role : str
        ``x``, ``y``: moment function alone, or times the response.  ``yy``,
        ``y_offset``, ``offset``, ``constant``: squared response, response times
        offset, offset, and the response-only part of the log-likelihood.  ``shape``:
        the gamma functions of a negative binomial at one theta of
        :data:`~fedglmm_flower.study.shapes.SHAPES`.  ``anchor``: a coefficient of the
        site's own penalised estimate.  ``value``, ``information``, ``bend``: sums of
        the cumulant function and its second and third derivatives at the anchor; see
        :mod:`fedglmm_flower.glmm.anchor`.  ``log_factorial``: minus log y! of an atom
        that may be a count.
    measure : {"rows", "trials", "exposure", "amount"}
        What weighs each row besides its prior weight; the amount is the response
        divided by its exposure.
    monomial : tuple of int
        The moment function; the constant one where the role has none.
    column : int
        Which model column an anchor or a bend, which shape, or which atom a
        ``log_factorial`` belongs to; 0 elsewhere.
    degree : int
        Number of model columns in the product; a release of order K holds the
        statistics of degree at most K, of its kind of products.  A sum is the same
        whatever set it belongs to, so that this is no part of its identity.
    """

    role: Role
    measure: Measure
    monomial: Monomial
    degree: int = field(compare=False)
    column: int = 0


def anchor_columns(model: Model) -> tuple[ModelColumn, ...]:
    """Columns along which a site's likelihood may move: fixed and random ones."""
    found = list(model.fixed)
    for effect in model.random:
        for column in effect.columns:
            if all(column.polynomial != other.polynomial for other in found):
                found.append(column)
    return tuple(found)


def measure_of(model: Model) -> Measure:
    """Measure against which the cumulant function is integrated."""
    if model.family == "binomial" and model.trials is not None:
        return "trials"
    if model.family == "poisson" and model.offset is not None:
        return "exposure"
    return "amount" if model.family == "gamma" else "rows"


def linear_sums(
    model: Model, sums: Mapping[Statistic, float], n_rows: int
) -> dict[Monomial, float]:
    """
    The linear statistic of the likelihood, ``t'b``, by moment function.

    Sums with the response; for gamma, whose log-likelihood is ``-sum(x'b) - sum
    amount exp(-x'b)`` but for its dispersion, minus the sums of the rows.
    """
    if model.family != "gamma":
        return {s.monomial: v for s, v in sums.items() if s.role == "y"}
    rows = {
        s.monomial: -v for s, v in sums.items() if (s.role, s.measure) == ("x", "rows")
    }
    return {model.constant: -float(n_rows), **rows}


def response_degrees(
    model: Model, order: int, products: Products = "all"
) -> dict[Monomial, int]:
    """Moment functions whose products with the response are summed, by degree."""
    if (model.family, model.link) in TWO_MEASURES:
        return moment_degrees(model, order, products)
    return moment_degrees(model, 1)


def moment_degrees(
    model: Model, order: int, products: Products = "all"
) -> dict[Monomial, int]:
    """
    Moment functions of a release of an order, by degree.

    See :func:`~fedglmm_flower.study.products.degrees_of`.

    Raises
    ------
    StudyError
        If there are too many of them, or the order leaves out the columns themselves.
    """
    if products == "pairs" and order == 1:
        raise StudyError(
            "release set: pairs of order 1 have no products of two columns; an order "
            f"from 2 to {MAX_ORDER} is required; change the study"
        )
    columns = [column.polynomial for column in model.fixed]
    for effect in model.random:
        columns.extend(column.polynomial for column in effect.columns)
    if model.offset_column is not None:
        columns.append(model.offset_column.polynomial)
    levels = [len(atom.levels) for atom in model.atoms]
    degrees = degrees_of(products, columns, order, levels, limit=MAX_STATISTICS)
    if len(degrees) > MAX_STATISTICS:
        raise StudyError(
            f"release set: more than {MAX_STATISTICS} moment functions at order "
            f"{order}; fewer are required; lower the order or leave out terms"
        )
    return degrees


def effective_order(model: Model, order: int) -> int:
    """Order of a release; the gaussian one is lossless at two and has no other."""
    return 2 if model.family == "gaussian" else order


def release_statistics(
    model: Model, release_set: str, order: int
) -> tuple[Statistic, ...]:
    """
    The sums of a release, in canonical order.

    Parameters
    ----------
    model : Model
        The question.
    release_set : str
        Name of the set, ``canonical``, ``anchored``, ``public`` or ``joint``; the first
        three may end in ``-pairs`` or ``-tables``, which says what products they hold
        (:mod:`fedglmm_flower.study.products`).
        ``anchored`` is the canonical one with what the cumulant
        function does at the site's own penalised estimate, ``public`` with what it
        does at the study's anchor; ``joint`` holds all products of columns and
        response, and is asked of a
        :func:`~fedglmm_flower.study.joint.joint_model`.
    order : int
        Highest order K of the moments, 1 to 6.

    Returns
    -------
    tuple of Statistic
        Sorted by role, measure, degree and monomial.  The sets of K are nested: a
        lower order is a selection by ``degree``.

    Raises
    ------
    StudyError
        If the set is unknown or the order out of range.
    """
    if release_set not in SETS:
        raise StudyError(
            f"release set: {release_set!r} is not known; one of {', '.join(SETS)} is "
            "required; change the study"
        )
    base, products = split_set(release_set)
    shaped = base in ("anchored", "public") or products != "all"
    if shaped and model.family == "gaussian":
        raise StudyError(
            f"release set: {release_set} with family gaussian; the canonical set is "
            "lossless there and smaller; change the study"
        )
    if base == "anchored" and (model.family, model.link) in TWO_MEASURES:
        raise StudyError(
            f"release set: {release_set} with {model.family} and link {model.link}; "
            "the set exists for binomial with logit, poisson and gamma; ask the "
            "canonical set"
        )
    if not 1 <= order <= MAX_ORDER:
        raise StudyError(
            f"release set: order {order}; an order from 1 to {MAX_ORDER} is required; "
            "change the study"
        )
    if release_set == JOINT:
        if order == 1:
            raise StudyError(
                "release set: joint of order 1 has no product with a response; an "
                f"order from 2 to {MAX_ORDER} is required; change the study"
            )
        return _joint(_Key(model), order)
    canonical = _canonical(_Key(model), effective_order(model, order), products)
    if base == "canonical":
        return canonical
    if base == "public":
        return canonical + _public(_Key(model))
    return canonical + _anchored(_Key(model))


class _Key:
    """Identity of a model for the cache; a model holds mappings and has no hash."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def __hash__(self) -> int:
        return id(self.model)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.model is other.model


@lru_cache(maxsize=64)
def _canonical(key: _Key, order: int, products: Products) -> tuple[Statistic, ...]:
    model = key.model
    measure = measure_of(model)
    weighted = model.weights is not None
    degrees = moment_degrees(model, order, products)
    found = [
        Statistic("x", measure, m, d)
        for m, d in degrees.items()
        if any(m) or weighted or measure != "rows"
    ]
    if measure in ("exposure", "amount"):
        found += [
            Statistic("x", "rows", m, max(1, d))
            for m, d in moment_degrees(model, min(order, 2)).items()
            if any(m) or weighted
        ]
    if measure == "amount":
        if model.offset is not None:
            found.append(Statistic("offset", "rows", model.constant, 1))
    else:
        answered = response_degrees(model, order, products)
        found += [Statistic("y", "rows", m, max(1, d)) for m, d in answered.items()]
    if model.family == "gaussian":
        found.append(Statistic("yy", "rows", model.constant, 1))
    if measure == "exposure":
        found.append(Statistic("y_offset", "rows", model.constant, 1))
    if model.family == "nbinom2":
        shapes = range(len(SHAPES))
        found += [Statistic("shape", "rows", model.constant, 1, k) for k in shapes]
    if model.family in ("poisson", "gamma", "nbinom2") or measure == "trials":
        found.append(Statistic("constant", "rows", model.constant, 1))
    return tuple(sorted(found, key=_canonical_order))


@lru_cache(maxsize=64)
def _joint(key: _Key, order: int) -> tuple[Statistic, ...]:
    """All products of at most ``order`` columns and responses."""
    model = key.model
    found = [
        Statistic("x", "rows", m, d)
        for m, d in moment_degrees(model, order).items()
        if any(m) or model.weights is not None
    ]
    found += [
        Statistic("log_factorial", "rows", model.constant, 1, k)
        for k in count_atoms(model)
    ]
    return tuple(sorted(found, key=_canonical_order))


@lru_cache(maxsize=64)
def _anchored(key: _Key) -> tuple[Statistic, ...]:
    """
    Statistics at the anchor.

    The score is not among them: at a penalised estimate it follows from the sums with
    the response.
    """
    model = key.model
    measure, one = measure_of(model), model.constant
    columns = range(len(anchor_columns(model)))
    # Distinct products of two columns, each once: the square of a 0/1 column is it.
    products = [Statistic("value", measure, one, 1)]
    products += [
        Statistic("information", measure, m, 1) for m in moment_degrees(model, 2)
    ]
    return (
        *(Statistic("anchor", measure, one, 1, k) for k in columns),
        *sorted(products, key=_canonical_order),
        *(Statistic("bend", measure, one, 1, k) for k in columns),
    )


@lru_cache(maxsize=64)
def _public(key: _Key) -> tuple[Statistic, ...]:
    """
    Statistics at a public anchor.

    The bend is that along the intercept, by which a site differs first of all: sums
    of the third derivative times each column.
    """
    model = key.model
    measure, one = measure_of(model), model.constant
    columns = range(len(anchor_columns(model)))
    level = any(
        column.polynomial == {one: 1.0}
        for effect in model.random
        for column in effect.columns
    )
    products = [
        Statistic("information", measure, m, 1) for m in moment_degrees(model, 2)
    ]
    return (
        *(Statistic("score", measure, one, 1, k) for k in columns),
        Statistic("value", measure, one, 1),
        *sorted(products, key=_canonical_order),
        *(Statistic("bend", measure, one, 1, k) for k in columns if level),
    )


def _canonical_order(statistic: Statistic) -> tuple[int, str, int, Monomial, int]:
    roles = (
        *("log_factorial", "constant", "shape", "offset", "y", "y_offset", "yy", "x"),
        *("value", "information"),
    )
    return (
        roles.index(statistic.role),
        statistic.measure,
        statistic.degree,
        tuple(-e for e in statistic.monomial),
        statistic.column,
    )
