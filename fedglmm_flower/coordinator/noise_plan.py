"""What noise will do to a study, from its declared columns alone: no row is read.

Standard errors are those of the fit under noise on the reference law, compared with a
fit of all rows.  The error of a set's approximation is what that fit would be off by
if continuous columns were skewed in a way that nobody declared; both together tell
which set to ask.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fedglmm_flower.coordinator.noise_blocks import coefficient_maps
from fedglmm_flower.coordinator.noise_content import AMBER, GREEN, MOST_OFF
from fedglmm_flower.coordinator.noise_mixed import MixedProblem, Term
from fedglmm_flower.coordinator.noise_population import Records, records_of
from fedglmm_flower.coordinator.noise_shape import shape_missed
from fedglmm_flower.glmm.anchor import AnchorFrame
from fedglmm_flower.site.discrete_gaussian import noise_multiplier
from fedglmm_flower.site.features import Features
from fedglmm_flower.site.privacy import Privacy
from fedglmm_flower.site.private_release import DISTANCE, require_private
from fedglmm_flower.site.public_scales import public_weights
from fedglmm_flower.study.families import TWO_MEASURES
from fedglmm_flower.study.offers import Offer, write_offer
from fedglmm_flower.study.study import Study

FloatArray = npt.NDArray[np.float64]
EPSILONS: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
ROWS: Final = (100, 200, 500, 1000, 2000, 5000, 10_000, 50_000)
ORDERS: Final = (1, 2, 3)
MOST_STATISTICS: Final = 400
# Beyond this a fit is of no use to anybody.
USELESS: Final = 3.0
# Columns differ between sites by this share of their variance.
_APART: Final = 0.05


@dataclass(frozen=True)
class Plan:
    """
    What is asked of the planner.

    Parameters
    ----------
    study : Study
        Columns with bounds, formula, family.
    rows : tuple of int
        Rows of each site, as far as they are public.
    epsilons : tuple of float
        Losses of one release that are considered.
    delta, relation, clipping_norm
        As in :class:`~fedglmm_flower.site.privacy.Privacy`.
    site_sd : float
        Expected standard deviation of the random intercepts.
    expected : tuple of (name, coefficient)
        Expected coefficients, such as a public anchor; the study's when empty, and
        zero without one.
    """

    study: Study
    rows: tuple[int, ...]
    epsilons: tuple[float, ...] = EPSILONS
    delta: float = 1e-6
    relation: str = "zero_out"
    clipping_norm: float = 1.25
    site_sd: float = 0.3
    expected: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class _Candidate:
    """A set with what it tells of one record."""

    offer: Offer
    records: Records
    statistics: int
    count_weight: float
    mean: FloatArray
    slopes: FloatArray
    columns: FloatArray
    response: FloatArray
    fisher: FloatArray
    missed: FloatArray


def plan_of(plan: Plan) -> dict[str, Any]:
    """
    The plan as plain JSON values.

    Raises
    ------
    StudyMismatchError, FitError
        If the study cannot be answered, or not be fitted, under noise.
    """
    privacy = _privacy(plan, plan.epsilons[0])
    candidates = [_candidate(plan, offer) for offer in _offers(plan, privacy)]
    names = [column.name for column in plan.study.model.fixed]
    choices = []
    for epsilon in plan.epsilons:
        found = [_judged(plan, one, plan.rows, epsilon) for one in candidates]
        best = min(range(len(found)), key=lambda k: found[k]["mean_total"])
        choices.append(
            {
                "epsilon": epsilon,
                "odds": certainty(epsilon),
                "noise_in_patients": _multiplier(plan, epsilon),
                "sets": found,
                "best": found[best]["set"],
            }
        )
    grid = []
    for n in ROWS:
        for epsilon in plan.epsilons:
            rows = (n,) * len(plan.rows)
            judged = [_judged(plan, one, rows, epsilon) for one in candidates]
            best_one = min(judged, key=lambda one: float(one["mean_total"]))
            grid.append({"rows": n, "epsilon": epsilon, **_short(best_one)})
    return {
        "format": 1,
        "study": {
            "name": plan.study.name,
            "formula": plan.study.formula,
            "digest": plan.study.digest,
        },
        "rows": list(plan.rows),
        "delta": plan.delta,
        "relation": plan.relation,
        "clipping_norm": plan.clipping_norm,
        "site_sd": plan.site_sd,
        "terms": names,
        "thresholds": {"green": GREEN, "amber": AMBER, "useless": USELESS},
        "choices": choices,
        "grid": grid,
    }


def certainty(epsilon: float) -> float:
    """
    How sure somebody can become who was undecided whether a record is in the table.

    Examples
    --------
    >>> round(certainty(1.0), 2)
    0.73
    """
    return 1.0 / (1.0 + math.exp(-epsilon))


def light_of(inflation: float, off: float = 0.0) -> str:
    """
    Green, amber or red, by growth of a standard error and bias in such errors.

    Examples
    --------
    >>> light_of(1.05), light_of(1.3), light_of(1.05, off=0.8)
    ('green', 'amber', 'red')
    """
    if inflation > AMBER or off > MOST_OFF:
        return "red"
    return "green" if inflation <= GREEN else "amber"


def _short(one: dict[str, Any]) -> dict[str, Any]:
    keys = ("set", "light", "largest_inflation", "useless")
    return {key: one[key] for key in keys}


def _privacy(plan: Plan, epsilon: float) -> Privacy:
    relation: Any = plan.relation
    return Privacy(
        "plan", epsilon, plan.delta, 1000.0, relation, plan.clipping_norm,
        clusters=(("-",) * len(plan.study.clusters),) if plan.study.clusters else (),
    )  # fmt: skip


def _multiplier(plan: Plan, epsilon: float) -> float:
    relation: Any = plan.relation
    return noise_multiplier(epsilon, plan.delta) * DISTANCE[relation]


def _offers(plan: Plan, privacy: Privacy) -> list[Offer]:
    """Sets that suit noise: canonical, and public where coefficients are known."""
    model = plan.study.model
    two = (model.family, model.link) in TWO_MEASURES
    bases = ["canonical"]
    if not two and (plan.expected or plan.study.anchor):
        bases.append("public")
    found = []
    for base in bases:
        for order in ORDERS:
            study = _variant(plan, (base, order))
            if len(study.statistics(order, base)) <= MOST_STATISTICS:
                require_private(study, privacy)
                found.append((base, order))
    return found


def _variant(plan: Plan, offer: Offer) -> Study:
    given = tuple(sorted(plan.expected)) or plan.study.anchor
    return replace(
        plan.study,
        release_set=offer[0],
        order=offer[1],
        accept=(),
        anchor=given if offer[0] == "public" else (),
    )


def _candidate(plan: Plan, offer: Offer) -> _Candidate:
    study = _variant(plan, offer)
    statistics = study.statistics(offer[1], offer[0])
    anchor = study.anchor_values if offer[0] == "public" else None
    weights = public_weights(Features(study.model, statistics, anchor))
    records = records_of(study, *offer, weights, plan.clipping_norm)
    center = _center(plan)
    shares = np.full(len(records.columns), 1.0 / len(records.columns))
    mean, slopes = records.moments(shares, center)
    columns, response = records.spread(shares, center)
    chances, tilts = records.chances(center)
    share = shares * (tilts**2 / np.maximum(chances, 1e-12)).sum(axis=0)
    fisher = (records.columns.T * share) @ records.columns
    missed = shape_missed(records, center)
    return _Candidate(
        offer, records, len(statistics), float(weights[-1]), mean, slopes,
        columns, response, fisher, missed,
    )  # fmt: skip


def _center(plan: Plan) -> FloatArray:
    """Expected coefficients, standardised."""
    design, _ = coefficient_maps(plan.study)
    given = dict(plan.expected or plan.study.anchor)
    names = [column.name for column in plan.study.model.fixed]
    return np.asarray(design @ np.array([given.get(name, 0.0) for name in names]))


def _judged(
    plan: Plan, one: _Candidate, rows: Sequence[int], epsilon: float
) -> dict[str, Any]:
    """Standard errors and approximation error of a set."""
    sd = _multiplier(plan, epsilon) * plan.clipping_norm
    kinds: dict[int, tuple[FloatArray, FloatArray]] = {}
    for n in rows:
        if n not in kinds:
            kinds[n] = _information(one, n, sd**2)
    told = np.array([kinds[n][0] for n in rows])
    pulls = np.array([kinds[n][1] for n in rows])
    noisy, bias = _covariance(plan, told, pulls)
    bare = np.array([n * one.fisher for n in rows])
    plain, _ = _covariance(plan, bare, np.zeros_like(pulls))
    se, least = np.sqrt(np.diag(noisy)), np.sqrt(np.diag(plain))
    grown = se / least
    total = np.sqrt(se**2 + bias**2) / least
    off = np.abs(bias) / se
    names = [column.name for column in plan.study.model.fixed]
    terms = [
        {
            "name": name,
            "se": float(se[k]),
            "se_without_noise": float(least[k]),
            "inflation": float(grown[k]),
            "approximation_in_se": float(off[k]),
            "light": light_of(float(grown[k]), float(off[k])),
        }
        for k, name in enumerate(names)
    ]
    lights = [str(term["light"]) for term in terms]
    worst = next(c for c in ("red", "amber", "green") if c in lights)
    return {
        "set": write_offer(one.offer),
        "statistics": one.statistics,
        "count_blur_in_rows": sd / one.count_weight,
        "terms": terms,
        "mean_total": float(total.mean()),
        "largest_inflation": float(grown.max()),
        "light": worst,
        "useless": bool(grown.max() > USELESS),
    }


def _information(
    one: _Candidate, n: int, variance: float
) -> tuple[FloatArray, FloatArray]:
    """Information of a site under noise, and what a wrong shape adds to its vector."""
    spread = n * (one.columns + one.response) + n**2 * _APART * one.columns
    spread = spread + 10.0 * n**2 * np.outer(one.mean, one.mean)
    spread = spread + variance * np.eye(len(spread))
    solved = np.linalg.solve(spread, n * one.slopes)
    told = n * one.slopes.T @ solved
    told = (told + told.T) / 2 + 1e-9 * np.eye(len(told))
    return np.asarray(told), np.asarray(solved.T @ (n * one.missed))


def _covariance(
    plan: Plan, told: FloatArray, pulls: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Covariance of the fixed effects, and their error by the pulls."""
    design, maps = coefficient_maps(plan.study)
    intercept = AnchorFrame(plan.study.model).intercept
    labels = tuple(map(str, range(len(told))))
    terms, factors = [], []
    for effect, columns in zip(plan.study.model.random, maps, strict=True):
        terms.append(Term(columns, labels, correlated=False))
        level = plan.study.model.fixed[intercept] if intercept is not None else None
        for column in effect.columns:
            same = level is not None and column.polynomial == level.polynomial
            factors.append(plan.site_sd if same else 0.0)
    sites = [(c,) for c in range(len(told))]
    found = MixedProblem(told, pulls, design, terms, sites).at(np.array(factors))
    return found.covariance, found.fixed
