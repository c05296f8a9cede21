"""Whether sums can be those of any rows at all: damage and bad faith are named."""

from collections.abc import Iterator, Mapping

import numpy as np

from fedglmm_flower.errors import WireError
from fedglmm_flower.site.released import ClusterRelease
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.polynomial import Monomial, multiply_monomials
from fedglmm_flower.study.release import Measure, Statistic, measure_of

# Rounding of sums, relative to their size.
_ROUNDING = 1e-8
_MOST = 120


def require_plausible(
    model: Model,
    statistics: tuple[Statistic, ...],
    cluster: ClusterRelease,
    site: str,
) -> None:
    """
    Refuse sums that no rows have.

    Necessary conditions, of noiseless sums: masses are positive, counts lie between
    nothing and everything, means within declared bounds, events within trials, and the
    matrix of moments of all products is positive semidefinite.

    Parameters
    ----------
    model : Model
        The question.
    statistics : tuple of Statistic
        What the values are.
    cluster : ClusterRelease
        Values of one cluster.
    site : str
        Name of the site.

    Raises
    ------
    WireError
        It names the first condition that is violated.
    """
    if cluster.n_rows is None or len(cluster.values) != len(statistics):
        return  # refused elsewhere
    known = dict(zip(statistics, cluster.values, strict=True))
    for fault in _faults(model, known, float(cluster.n_rows)):
        raise WireError(
            f"release of {site!r}: {fault}; sums of rows are required; the release is "
            "damaged or made up: ask the site"
        )


def _faults(
    model: Model, known: Mapping[Statistic, float], n_rows: float
) -> Iterator[str]:
    one = model.constant
    sums: dict[Measure, dict[Monomial, float]] = {"rows": {one: n_rows}}
    for s, value in known.items():
        if s.role == "x":
            sums.setdefault(s.measure, {})[s.monomial] = value
    for measure, of in sums.items():
        if one in of:
            yield from _measure_faults(model, measure, of)
    mass = sums.get(measure_of(model), {})
    if one in mass:
        yield from _response_faults(model, known, mass)
    yield from _anchor_faults(model, known)


def _anchor_faults(model: Model, known: Mapping[Statistic, float]) -> Iterator[str]:
    """The functions of every likelihood are positive and convex."""
    informations: dict[Measure, dict[Monomial, float]] = {}
    for s, value in known.items():
        if s.role == "value" and value < 0:
            yield f"a sum of positive functions at the anchor is {value:g}"
        if s.role == "information":
            informations.setdefault(s.measure, {})[s.monomial] = value
    for measure, of in informations.items():
        level = of.get(model.constant, 0.0)
        if level < 0:
            yield f"the information under {measure} is negative ({level:g})"
        elif _contradicts(model, of, level):
            yield f"the information under {measure} is not positive semidefinite"


def _measure_faults(
    model: Model, measure: str, of: Mapping[Monomial, float]
) -> Iterator[str]:
    one, factors = model.constant, model.factors
    mass = of[one]
    if mass <= 0:
        yield f"the mass of the {measure} is {mass:g}"
        return
    slack = _ROUNDING * mass
    for m, value in of.items():
        pure = any(m) and all(f or not e for e, f in zip(m, factors, strict=True))
        if pure and not -slack <= value <= mass + slack:
            yield f"a level or a combination of levels has {value:g} of {mass:g}"
    yield from _outside(model, of, mass)
    if _contradicts(model, of, mass):
        yield (
            f"the moments under {measure} contradict each other: their matrix is not "
            "positive semidefinite (a negative sum of squares, or variance of some "
            "combination)"
        )


def _contradicts(model: Model, of: Mapping[Monomial, float], mass: float) -> bool:
    """Whether the matrix of products has a direction of negative variance."""
    basis = [m for m in of if _product(m, m, model, of) is not None]
    basis = sorted(basis, key=lambda m: (sum(m), m))[:_MOST]
    chosen: list[Monomial] = []
    for m in basis:
        if all(_product(m, other, model, of) is not None for other in chosen):
            chosen.append(m)
    matrix = np.array(
        [[_product(a, b, model, of) or 0.0 for b in chosen] for a in chosen]
    )
    size = np.sqrt(np.maximum(np.diag(matrix), 0.0))
    if (np.diag(matrix) < -_ROUNDING * mass).any():
        return True
    kept = size > 0
    scaled = matrix[np.ix_(kept, kept)] / np.outer(size[kept], size[kept])
    return bool(kept.any() and np.linalg.eigvalsh(scaled)[0] < -_ROUNDING * len(scaled))


def _outside(model: Model, of: Mapping[Monomial, float], mass: float) -> Iterator[str]:
    """Means beyond declared bounds."""
    for at, atom in enumerate(model.atoms):
        column = model.columns.get(atom.name)
        unit = tuple(1 if i == at else 0 for i in range(len(model.atoms)))
        if column is None or atom.is_factor or unit not in of:
            continue
        mean = atom.center + atom.scale * of[unit] / mass
        slack = _ROUNDING * (1.0 + abs(mean))
        low = -np.inf if column.low is None else column.low
        high = np.inf if column.high is None else column.high
        if not low - slack <= mean <= high + slack:
            yield f"the mean of {atom.name!r} is outside its declared bounds"


def _response_faults(
    model: Model, known: Mapping[Statistic, float], mass: Mapping[Monomial, float]
) -> Iterator[str]:
    if model.family == "gaussian":
        return
    slack = _ROUNDING * mass[model.constant]
    for s, value in known.items():
        pure = all(f or not e for e, f in zip(s.monomial, model.factors, strict=True))
        if s.role != "y" or not pure:
            continue
        if value < -slack:
            yield f"a sum of responses is negative ({value:g})"
        most = mass.get(s.monomial)
        if model.family == "binomial" and most is not None and value > most + slack:
            yield f"there are {value:g} events in {most:g} trials"


def _product(
    a: Monomial, b: Monomial, model: Model, of: Mapping[Monomial, float]
) -> float | None:
    """Sum of a product; None where it is not known."""
    joint = multiply_monomials(a, b, model.factors)
    return 0.0 if joint is None else of.get(joint)
