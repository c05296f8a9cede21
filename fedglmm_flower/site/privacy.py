"""What a privacy officer decides about noise, and what is public about a mechanism."""

import math
from dataclasses import dataclass
from typing import Final, Literal

from fedglmm_flower.errors import PolicyError

Relation = Literal["zero_out", "add_remove", "replace_one"]
RELATIONS: Final[tuple[Relation, ...]] = ("zero_out", "add_remove", "replace_one")
# A vector of the largest norm and of the most statistics has a sum of squares below
# 2**61, which 64-bit integers hold exactly.
MAX_NORM: Final = 8.0
MAX_COORDINATES: Final = 2**15


@dataclass(frozen=True)
class Privacy:
    """
    Differential privacy as ``[privacy]`` of ``site.toml`` asks for it.

    Parameters
    ----------
    dataset : str
        Name of the people that the budget protects, over all studies.
    epsilon, delta : float
        Loss of one release, the clusters of a site together.
    budget_epsilon : float
        Loss at the same delta that all releases of the dataset may add up to, as
        zero-concentrated differential privacy composes.
    relation : {"zero_out", "add_remove", "replace_one"}
        Tables that must look alike: one unit emptied, one unit more or less, or one
        unit exchanged for another.
    clipping_norm : float
        Largest norm of one unit's weighted statistics; the root mean square of a
        record of the reference law has norm 1, the longer of both forms where its
        response is 0 or 1.
    unit_column : str or None
        Column that names patients; None where every row is one.
    clusters : tuple of tuple of str
        Public list of the clusters inside the site; rows of others count as empty.
    bounds : tuple of (str, float, float)
        Columns whose bounds the officer has settled; a study that declares others is
        refused.

    Raises
    ------
    PolicyError
        If a number is out of range.
    """

    dataset: str
    epsilon: float
    delta: float
    budget_epsilon: float
    relation: Relation = "zero_out"
    clipping_norm: float = 1.25
    unit_column: str | None = None
    clusters: tuple[tuple[str, ...], ...] = ()
    bounds: tuple[tuple[str, float, float], ...] = ()

    def __post_init__(self) -> None:
        self._require("epsilon", self.epsilon, 1e-3, 50.0)
        self._require("budget_epsilon", self.budget_epsilon, 1e-3, 1000.0)
        self._require("delta", self.delta, 1e-15, 1e-2)
        self._require("clipping_norm", self.clipping_norm, 2.0**-8, MAX_NORM)
        if self.relation not in RELATIONS:
            raise PolicyError(
                f"privacy: relation {self.relation!r}; one of {', '.join(RELATIONS)} "
                "is required; correct it"
            )
        if len(set(self.clusters)) < len(self.clusters):
            raise PolicyError(
                "privacy: a cluster stands twice in 'clusters'; each may stand once; "
                "remove the repetition"
            )

        for name, low, high in self.bounds:
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise PolicyError(
                    f"privacy: bounds of {name!r} are {low!r} and {high!r}; two finite "
                    "numbers, the lower one first, are required; correct them"
                )

    def _require(self, name: str, value: float, low: float, high: float) -> None:
        if not (math.isfinite(value) and low <= value <= high):
            raise PolicyError(
                f"privacy: {name} = {value!r}; a number from {low:g} to {high:g} is "
                "required; correct it"
            )
