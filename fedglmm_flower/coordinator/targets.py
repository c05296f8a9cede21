"""A cluster's released sums, sorted into what pseudo-data must reproduce."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedglmm_flower.errors import WireError
from fedglmm_flower.site.released import ClusterRelease
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.polynomial import Monomial
from fedglmm_flower.study.release import Measure, Statistic, measure_of

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Targets:
    """
    Released sums of one cluster by role.

    Parameters
    ----------
    n_rows : int
        Rows behind the sums.
    total : float
        Mass of the measure: rows, weights, trials or exposure.
    moments : mapping
        Monomial to mean under the measure, the constant among them.
    responses : mapping
        Monomial to sum of response times moment function.
    squares : float
        Sum of the squared response; 0 where it is not released.
    constant : float
        Response-only part of the log-likelihood, offset terms included.
    weight_sum : float
        Sum of prior weights; the number of rows where there are none.
    """

    n_rows: int
    total: float
    moments: Mapping[Monomial, float]
    responses: Mapping[Monomial, float]
    squares: float
    constant: float
    weight_sum: float

    def lower(self, degrees: Mapping[Monomial, int], order: int) -> "Targets":
        """The same sums with moments up to a lower order."""
        kept = {m: v for m, v in self.moments.items() if degrees[m] <= order}
        return Targets(
            self.n_rows,
            self.total,
            kept,
            self.responses,
            self.squares,
            self.constant,
            self.weight_sum,
        )


def targets_of(
    model: Model, statistics: tuple[Statistic, ...], cluster: ClusterRelease, site: str
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
    x: dict[tuple[Measure, Monomial], float] = {}
    responses: dict[Monomial, float] = {}
    single = dict.fromkeys(("yy", "y_offset", "constant"), 0.0)
    for s, value in zip(statistics, cluster.values, strict=True):
        if s.role == "x":
            x[s.measure, s.monomial] = value
        elif s.role == "y":
            responses[s.monomial] = value
        else:
            single[s.role] = value
    weight_sum = float(x.get(("rows", one), cluster.n_rows))
    total = float(x.get((measure, one), weight_sum))
    if not total > 0:
        raise WireError(
            f"release of {site!r}: the mass of its measure is {total:g}; a positive "
            "one is required; ask the site for its trials, offsets and weights"
        )
    moments = {m: v / total for (kind, m), v in x.items() if kind == measure}
    moments[one] = 1.0
    return Targets(
        n_rows=cluster.n_rows,
        total=total,
        moments=moments,
        responses=responses,
        squares=single["yy"],
        constant=single["constant"] + single["y_offset"],
        weight_sum=weight_sum,
    )
