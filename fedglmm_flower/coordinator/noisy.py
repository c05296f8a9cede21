"""Sums with noise, and how much of it: what a fit under noise starts from."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedglmm_flower.errors import WireError
from fedglmm_flower.site.released import Released
from fedglmm_flower.site.residual_basis import noise_covariance
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.release import Statistic

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NoisyTargets:
    """
    Noisy sums of one cluster.

    Parameters
    ----------
    cluster : tuple of str
        Its path inside the site.
    statistics : tuple of Statistic
        What each value is.
    values : array of shape (statistics,)
        Sums with noise.
    rows : float
        Count of usable records with noise; may be negative.
    covariance : array of shape (statistics + 1, statistics + 1)
        Covariance of the noise in the values and, last, in the count.
    records : int or None
        Exact number of records, usable or not, where the relation holds it public.
    """

    cluster: tuple[str, ...]
    statistics: tuple[Statistic, ...]
    values: FloatArray
    rows: float
    covariance: FloatArray
    records: int | None


def noisy_targets(
    model: Model, statistics: tuple[Statistic, ...], released: Released, site: str
) -> tuple[NoisyTargets, ...]:
    """
    Sort the clusters of a release with noise.

    Raises
    ------
    WireError
        If the number of values is not that of the study's statistics.
    """
    noise = released.noise
    found = []
    for one in released.clusters:
        if (
            noise is None
            or one.noisy_rows is None
            or len(one.values) != len(statistics)
        ):
            raise WireError(
                f"release of {site!r}: {len(one.values)} values; the study has "
                f"{len(statistics)} statistics at this order; both sides must run the "
                "same version"
            )
        found.append(
            NoisyTargets(
                cluster=one.cluster,
                statistics=statistics,
                values=np.array(one.values),
                rows=one.noisy_rows,
                covariance=noise_covariance(model, statistics, noise),
                records=one.n_rows,
            )
        )
    return tuple(found)
