"""A cluster's released sums, sorted into what pseudo-data must reproduce."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from fedglmm_flower.errors import FitError, WireError
from fedglmm_flower.glmm.anchor import AnchorFrame
from fedglmm_flower.glmm.expansion import Expansion
from fedglmm_flower.site.released import ClusterRelease
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.polynomial import Monomial
from fedglmm_flower.study.release import (
    ANCHORED,
    Statistic,
    linear_sums,
    measure_of,
)

FloatArray = npt.NDArray[np.float64]
_SINGLE = ("yy", "y_offset", "offset", "constant")


@dataclass(frozen=True)
class Anchored:
    """
    Released sums at the anchor, per unit of mass.

    Parameters
    ----------
    expansion : Expansion
        The functions.
    value : float
    score : array of shape (p,)
    information : array of shape (k,)
    bend : array of shape (p,) or None
        None leaves it open.
    public : bool
        Whether the anchor is the study's and not the site's own estimate.
    """

    expansion: Expansion
    value: float
    score: FloatArray
    information: FloatArray
    bend: FloatArray | None
    public: bool = False

    @property
    def means(self) -> FloatArray:
        """Targets of :meth:`Expansion.values`, those that are known."""
        parts = [np.array([self.value]), self.score, self.information]
        return np.concatenate([*parts, self.bend] if self.bend is not None else parts)


@dataclass(frozen=True)
class Targets:
    """
    Released sums of one cluster by role.

    Parameters
    ----------
    n_rows : int
        Rows behind the sums.
    total : float
        Mass of the measure: rows, weights, trials, exposure or amount.
    moments : mapping
        Monomial to mean under the measure, the constant among them.
    responses : mapping
        Monomial to sum of response times moment function; for gamma, whose measure
        holds the response already, to the sum over rows.
    squares : float
        Sum of the squared response; 0 where it is not released.
    constant : float
        Response-only part of the log-likelihood, offset terms included.
    weight_sum : float
        Sum of prior weights; the number of rows where there are none.
    anchored : Anchored or None
        What the cumulant function does at the site's own estimate, where released.
    factorials : mapping
        Minus sum of log y! of atoms that may be counts, in a joint release.
    offset : float
        Mean offset of a gamma study's rows; 0 elsewhere.
    shapes : array or None
        Gamma functions of negative binomial counts at the shapes of a release.
    """

    n_rows: int
    total: float
    moments: Mapping[Monomial, float]
    responses: Mapping[Monomial, float]
    squares: float
    constant: float
    weight_sum: float
    anchored: Anchored | None = None
    factorials: Mapping[int, float] = field(default_factory=dict)
    offset: float = 0.0
    shapes: FloatArray | None = None

    def lower(self, degrees: Mapping[Monomial, int], order: int) -> "Targets":
        """The same sums with moments up to a lower order, of those with a degree."""
        far = max(1, order) + 1
        kept = {m: v for m, v in self.moments.items() if degrees.get(m, far) <= order}
        least = max(1, order)
        left = {m: v for m, v in self.responses.items() if degrees.get(m, far) <= least}
        return replace(self, moments=kept, responses=left)

    def unbent(self) -> "Targets":
        """The same sums without the bend, for judging what it adds."""
        if self.anchored is None:
            return self
        return replace(self, anchored=replace(self.anchored, bend=None))


def targets_of(
    model: Model,
    statistics: tuple[Statistic, ...],
    cluster: ClusterRelease,
    site: str,
    *,
    public: tuple[float, ...] | None = None,
) -> Targets:
    """
    Sort a cluster's values.

    Raises
    ------
    WireError
        If the number of values is not that of the study's statistics.
    """
    if len(cluster.values) != len(statistics) or cluster.n_rows is None:
        raise WireError(
            f"release of {site!r}: {len(cluster.values)} values; the study has "
            f"{len(statistics)} statistics at this order; both sides must run the same "
            "version"
        )
    if cluster.n_rows < 1:
        raise WireError(
            f"release of {site!r}: {cluster.n_rows} rows; at least one is required; "
            "ask the site"
        )
    measure = measure_of(model)
    one = model.constant
    known = dict(zip(statistics, cluster.values, strict=True))
    at_anchor = {s: v for s, v in known.items() if s.role in ANCHORED}
    x = {(s.measure, s.monomial): v for s, v in known.items() if s.role == "x"}
    responses = {s.monomial: v for s, v in known.items() if s.role == "y"}
    single = {s.role: v for s, v in known.items() if s.role in _SINGLE}
    shapes = [v for s, v in known.items() if s.role == "shape"]
    factorials = {s.column: v for s, v in known.items() if s.role == "log_factorial"}
    weight_sum = float(x.get(("rows", one), cluster.n_rows))
    total = float(x.get((measure, one), weight_sum))
    if not total > 0:
        raise WireError(
            f"release of {site!r}: the mass of its measure is {total:g}; a positive "
            "one is required; ask the site for its trials, offsets and weights"
        )
    moments = {m: v / total for (kind, m), v in x.items() if kind == measure}
    moments[one] = 1.0
    if model.family == "gamma":
        rows = {m: v for (kind, m), v in x.items() if kind == "rows"}
        responses = {one: weight_sum, **rows}
    anchored = None
    if at_anchor:
        linear = linear_sums(model, known, cluster.n_rows)
        anchored = _anchored(model, at_anchor, linear, total, site, public)
    return Targets(
        n_rows=cluster.n_rows,
        total=total,
        moments=moments,
        responses=responses,
        squares=single.get("yy", 0.0),
        constant=single.get("constant", 0.0) + single.get("y_offset", 0.0),
        weight_sum=weight_sum,
        anchored=anchored,
        factorials=factorials,
        offset=single.get("offset", 0.0) / weight_sum,
        shapes=np.array(shapes) if shapes else None,
    )


def _anchored(
    model: Model,
    values: Mapping[Statistic, float],
    responses: Mapping[Monomial, float],
    total: float,
    site: str,
    public: tuple[float, ...] | None,
) -> Anchored:
    frame = AnchorFrame(model)
    p, at = len(frame.columns), {m: j for j, m in enumerate(frame.monomials)}
    anchor, bend, score = np.zeros(p), np.zeros(p), np.zeros(p)
    information = np.zeros(len(at))
    value = 0.0
    for s, v in values.items():
        if s.role == "anchor":
            anchor[s.column] = v
        elif s.role == "score":
            score[s.column] = v
        elif s.role == "bend":
            bend[s.column] = v
        elif s.role == "value":
            value = v
        else:
            information[at[s.monomial]] = v
    linear = frame.linear(responses)
    center = frame.center(responses[model.constant], total)
    try:
        spread = frame.spread(information)
    except FitError as error:
        raise WireError(f"release of {site!r}: {error}") from None
    if public is not None:
        bent = any(s.role == "bend" for s in values)
        return Anchored(
            expansion=Expansion(frame, np.array(public), frame.intercept_spread),
            value=value / total,
            score=score / total,
            information=information / total,
            bend=bend / total if bent else None,
            public=True,
        )
    return Anchored(
        expansion=Expansion(frame, anchor, spread),
        value=value / total,
        score=frame.score(anchor, linear, center) / total,
        information=information / total,
        bend=bend / total,
    )
