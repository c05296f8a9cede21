"""The last type of a summary at a site, and the only one that can be encoded.

``Moments`` become ``Cleared`` at the disclosure gate and ``Released`` at the privacy
mechanism.  :func:`fedglmm_flower.envelope.encode_release` accepts ``Released`` alone,
so the type checker keeps the earlier stages at the site.
"""

from dataclasses import dataclass
from typing import Final, Literal

REMAINDER: Final = "(remainder)"
"""Label of clusters that were pooled; no cluster of a table may be called so."""
NUMBERED: Final = "#"
"""What a number begins with that stands for the name of a cluster."""
MAX_CLUSTERS: Final = 10_000
Treatment = Literal["pooled", "left_out"]
Unit = Literal["row", "unit"]


@dataclass(frozen=True)
class ClusterRelease:
    """
    The statistics of one cluster of one site.

    Leaves the site, inside a :class:`Released`.

    Parameters
    ----------
    cluster : tuple of str
        Path of the cluster inside the site: ``()`` is the site itself, ``("c1",)``
        its cluster ``c1``.
    n_rows : int or None
        Rows behind the statistics; None where the mechanism hides the count.
    values : tuple of float
        The statistics, in the canonical order of the study's release set.
    noisy_rows : float or None
        Count of usable records with noise; None where there is no noise.
    """

    cluster: tuple[str, ...]
    n_rows: int | None
    values: tuple[float, ...]
    noisy_rows: float | None = None


@dataclass(frozen=True)
class SmallClusters:
    """
    What became of the clusters that did not pass the gate on their own.

    Leaves the site, inside a :class:`Released`; their names do not.

    Parameters
    ----------
    treatment : {"pooled", "left_out"}
        Pooled into the cluster ``("(remainder)", ...)``, which passed, or left out.
    clusters : int
        How many they are.
    n_rows : int or None
        Their rows; None where the count is too small to be told.
    """

    treatment: Treatment
    clusters: int
    n_rows: int | None


@dataclass(frozen=True)
class Spent:
    """
    What the mechanism that produced the numbers cost; not who adds it up.

    "No noise" is a mechanism too, of infinite epsilon, so silence is not an option.

    Parameters
    ----------
    mechanism : str
        Name of the mechanism, ``"none"`` for exact sums.
    epsilon : float
        Privacy loss; ``math.inf`` for ``"none"``.
    delta : float
        Probability allowance that goes with ``epsilon``.
    relation : str
        Neighbouring relation: ``"none"``, ``"zero_out"``, ``"add_remove"`` or
        ``"replace_one"``.

    Examples
    --------
    >>> import math
    >>> Spent("none", math.inf, 0.0, "none")
    Spent(mechanism='none', epsilon=inf, delta=0.0, relation='none')
    """

    mechanism: str
    epsilon: float
    delta: float
    relation: str


@dataclass(frozen=True)
class Noise:
    """
    The noise in a release, all of it public.

    The integer vector of a cluster is the sum over its records of ``2**bits`` times
    the weighted statistics, each record's norm clipped, plus discrete Gaussian noise
    of one scale in every coordinate, drawn independently.  With a public anchor
    the coordinates are residuals and expectations, from which the values are computed;
    see :mod:`fedglmm_flower.site.residual_basis`.

    Parameters
    ----------
    rho : float
        Price in zero-concentrated differential privacy.
    scale : float
        Scale of the noise, in steps of ``2**-bits``: its standard deviation.
    bits : int
        Binary digits after the point.
    norm : float
        Clipping norm of one record's (or patient's) weighted vector.
    weights : tuple of float
        Weight of each coordinate, one a value and, last, that of the count.
    unit : {"row", "unit"}
        Whether a record is a row, or all rows of a patient.
    """

    rho: float
    scale: float
    bits: int
    norm: float
    weights: tuple[float, ...]
    unit: Unit = "row"

    @property
    def sds(self) -> tuple[float, ...]:
        """Standard deviation of the noise in each coordinate, the count last."""
        return tuple(self.scale * 2.0**-self.bits / weight for weight in self.weights)


@dataclass(frozen=True)
class Released:
    """
    Everything one site says about its rows in answer to one study.

    Leaves the site: each field does, sealed to the coordinator's key.

    Parameters
    ----------
    site : str
        Name of the site.
    study_digest : str
        SHA-256 of the study's canonical bytes, 64 lower-case hex digits.
    release_set : str
        Name of the release set, such as ``"canonical"``.
    order : int
        Largest number of model columns multiplied in one moment function.
    n_missing : int or None
        Rows dropped for a missing value; None where the mechanism hides it.
    clusters : tuple of ClusterRelease
        One entry a cluster, all with the same number of values.
    spent : Spent
        The mechanism and its privacy loss.
    software : str
        Name and version of the software that made the release.
    small : SmallClusters or None
        Clusters that are not among ``clusters`` by their own name.
    noise : Noise or None
        What was added; None for exact sums.
    """

    site: str
    study_digest: str
    release_set: str
    order: int
    n_missing: int | None
    clusters: tuple[ClusterRelease, ...]
    spent: Spent
    software: str
    small: SmallClusters | None = None
    noise: Noise | None = None
