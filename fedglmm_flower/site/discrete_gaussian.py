"""The integer discrete Gaussian, by OpenDP, and its price."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from fedglmm_flower.errors import LedgerError

NAME: Final = "discrete gaussian"
# Far beyond the rounding of the search for a scale.
_SPARE: Final = 1.0 + 1e-9


@lru_cache(maxsize=1)
def _opendp() -> Any:
    """OpenDP, which takes a second to load and is needed where noise is drawn."""
    import opendp.prelude  # noqa: PLC0415 - see the sentence above

    opendp.prelude.enable_features("contrib")
    return opendp.prelude


def _gaussian(size: int, scale: float) -> Any:
    """Discrete Gaussian noise on a vector of integers."""
    dp = _opendp()
    domain = dp.vector_domain(dp.atom_domain(T="i64"), size=size)
    return dp.m.make_gaussian(domain, dp.l2_distance(T=float), scale=scale)


def _priced(gaussian: Any, delta: float) -> Any:
    """The same noise, priced in (epsilon, delta)."""
    dp = _opendp()
    return dp.c.make_fix_delta(dp.c.make_zCDP_to_approxDP(gaussian), delta)


@lru_cache(maxsize=64)
def noise_multiplier(epsilon: float, delta: float) -> float:
    """
    Scale of the noise at sensitivity 1 that costs (epsilon, delta).

    Examples
    --------
    >>> round(noise_multiplier(1.0, 1e-6), 2)
    4.53
    """
    # On the unit scale: with sensitivities of 2**20 the search overflows.
    scale = _opendp().binary_search_param(
        lambda scale: _priced(_gaussian(1, scale), delta),
        d_in=1.0,
        d_out=(epsilon, delta),
    )
    return float(scale)


def zcdp_of(epsilon: float, delta: float) -> float:
    """
    The rho of the noise that costs (epsilon, delta): what a budget adds up in.

    Examples
    --------
    >>> round(zcdp_of(1.0, 1e-6), 4)
    0.0244
    """
    return 0.5 / noise_multiplier(epsilon, delta) ** 2


def epsilon_of(rho: float, delta: float) -> float:
    """
    The epsilon at delta of everything that rho was spent on.

    Examples
    --------
    >>> round(epsilon_of(zcdp_of(2.0, 1e-6), 1e-6), 6)
    2.0
    """
    if rho <= 0:
        return 0.0
    found: tuple[float, float]
    found = _priced(_gaussian(1, (0.5 / rho) ** 0.5), delta).map(1.0)
    return float(found[0])


@dataclass(frozen=True)
class DiscreteGaussian:
    """
    Noise for a vector of integers of a declared sensitivity.

    Parameters
    ----------
    size : int
        Coordinates.
    sensitivity : int
        Largest Euclidean distance between the vectors of neighbouring tables.
    epsilon, delta : float
        What one draw may cost.

    Notes
    -----
    The noise comes from OpenDP's own cryptographically secure generator; there is no
    seed.
    """

    size: int
    sensitivity: int
    epsilon: float
    delta: float

    @property
    def scale(self) -> float:
        """Scale of the noise of each coordinate, in steps."""
        multiplier = noise_multiplier(self.epsilon, self.delta)
        return multiplier * self.sensitivity * _SPARE

    @property
    def rho(self) -> float:
        """Price in zero-concentrated differential privacy, by OpenDP's own map."""
        return float(self._measurement().map(float(self.sensitivity)))

    def draw(self, sums: Sequence[int]) -> list[int]:
        """
        The vector with noise.

        Raises
        ------
        LedgerError
            If OpenDP does not confirm the price: nothing is drawn.
        """
        gaussian = self._measurement()
        price = (self.epsilon, self.delta)
        priced = _priced(gaussian, self.delta)
        if len(sums) != self.size or not priced.check(float(self.sensitivity), price):
            raise LedgerError(
                "privacy: the mechanism does not keep the epsilon and delta of the "
                "policy; a larger scale is required; report this defect"
            )
        return [int(value) for value in gaussian([int(value) for value in sums])]

    def _measurement(self) -> Any:
        return _gaussian(self.size, self.scale)
