"""What a release tells of its noise, on the wire.

``scale`` is the standard deviation of the noise in steps of ``2**-bits``, the same in
every coordinate of the weighted vector; ``weights`` has one positive number for each
value and, last, one for the noisy count.  With noise neither dropped rows nor small
clusters are told, and under ``add_remove`` no exact count.
"""

from typing import Final

from fedglmm_flower.envelope.fields import (
    fields_of,
    finite_of,
    list_of,
    refuse,
    whole_of,
)
from fedglmm_flower.site.released import Noise, Released, Unit

MAX_BITS: Final = 40
_WHERE: Final = "release, noise"
_KEYS: Final = ("bits", "norm", "rho", "scale", "unit", "weights")


def plain_noise(noise: Noise) -> dict[str, object]:
    """JSON values of the noise."""
    return {
        "bits": noise.bits,
        "norm": noise.norm,
        "rho": noise.rho,
        "scale": noise.scale,
        "unit": noise.unit,
        "weights": list(noise.weights),
    }


def read_noise(value: object) -> Noise:
    """
    The noise of a release.

    Raises
    ------
    WireError
        If a number is not positive, or the unit unknown.
    """
    fields = fields_of(value, _KEYS, _WHERE)
    units: dict[object, Unit] = {"row": "row", "unit": "unit"}
    told = fields["unit"]
    if not isinstance(told, str) or told not in units:
        refuse(_WHERE, "another unit", "'row' or 'unit' is")
    weights = list_of(fields["weights"], f"{_WHERE}, weights")
    return Noise(
        rho=_positive(fields["rho"], "rho"),
        scale=_positive(fields["scale"], "scale"),
        bits=whole_of(fields["bits"], 0, MAX_BITS, f"{_WHERE}, bits"),
        norm=_positive(fields["norm"], "norm"),
        weights=tuple(_positive(weight, "weights") for weight in weights),
        unit=units[told],
    )


def check_noise(released: Released) -> None:
    """
    Require that a release and what it tells of its noise agree.

    Raises
    ------
    WireError
        If noise is told without a mechanism or the other way about, weights are
        missing, or a count is told that the relation hides.
    """
    noise, where = released.noise, "release"
    if (noise is None) != (released.spent.mechanism == "none"):
        refuse(where, "noise without a mechanism, or the reverse", "both or neither is")
    if noise is None:
        return
    if any(len(one.values) + 1 != len(noise.weights) for one in released.clusters):
        refuse(where, "another number of weights", "one a value and one more are")
    if released.n_missing is not None or released.small is not None:
        refuse(where, "an exact count beside noise", "null for 'n_missing' is")
    hidden = released.spent.relation == "add_remove"
    if hidden and any(one.n_rows is not None for one in released.clusters):
        refuse(where, "an exact count under 'add_remove'", "null for 'n_rows' is")


def _positive(value: object, name: str) -> float:
    number = finite_of(value, f"{_WHERE}, {name}")
    if not number > 0:
        refuse(f"{_WHERE}, {name}", "a number that is not positive", "one above 0 is")
    return number
