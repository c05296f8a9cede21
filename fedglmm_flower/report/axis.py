"""A horizontal axis: where values stand, and at which ticks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_MOST_LOG = math.log(1e3)  # a ratio beyond is drawn as an arrow
_MANTISSAS = (
    (1.0,),
    (1.0, 3.0),
    (1.0, 2.0, 5.0),
    (1.0, 1.5, 2.0, 3.0, 5.0, 7.0),
    (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0),
)


@dataclass(frozen=True)
class Tick:
    """One tick: its place in the figure and its text."""

    x: float
    text: str


@dataclass(frozen=True)
class Axis:
    """
    Linear map from coefficients to places.

    Parameters
    ----------
    low, high : float
        Ends, on the scale of the coefficients.
    left, right : float
        Their places in the figure.
    is_ratio : bool
        Whether ticks are named by exponentials.
    """

    low: float
    high: float
    left: float
    right: float
    is_ratio: bool

    @classmethod
    def around(
        cls, values: Sequence[float], left: float, right: float, *, is_ratio: bool
    ) -> "Axis":
        """An axis that holds all values and zero, with some air at its ends."""
        low, high = min(0.0, *values), max(0.0, *values)
        if is_ratio:
            low, high = max(low, -_MOST_LOG), min(high, _MOST_LOG)
        air = 0.06 * (high - low) or 0.5
        return cls(low - air, high + air, left, right, is_ratio)

    def place(self, value: float) -> float:
        """Where a value stands; what is outside stands at the end."""
        share = (value - self.low) / (self.high - self.low)
        share = min(max(share, 0.0), 1.0)
        return round(self.left + share * (self.right - self.left), 2)

    def holds(self, value: float) -> bool:
        """Whether a value is on the axis."""
        return self.low <= value <= self.high

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """Four or more round values."""
        if not self.is_ratio:
            return tuple(self._tick(v, v) for v in _round(self.low, self.high))
        low, high = math.exp(self.low), math.exp(self.high)
        exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for mantissas in _MANTISSAS:
            found = [m * 10.0**e for e in exponents for m in mantissas]
            found = [v for v in found if low <= v <= high]
            if len(found) >= 4:
                break
        else:
            found = [v for v in _round(low, high) if v > 0]
        return tuple(self._tick(math.log(v), v) for v in found)

    def _tick(self, value: float, shown: float) -> Tick:
        return Tick(self.place(value), f"{shown:.6g}")


def _round(low: float, high: float) -> list[float]:
    """
    Four to nine multiples of a round step.

    Examples
    --------
    >>> _round(-0.1, 0.31)
    [-0.1, 0.0, 0.1, 0.2, 0.3]
    """
    raw = (high - low) / 4
    size = 10.0 ** math.floor(math.log10(raw))
    step = max((m for m in (1.0, 2.0, 5.0) if m * size <= raw), default=1.0) * size
    digits = max(0, -math.floor(math.log10(step)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(k * step, digits) + 0.0 for k in range(first, last + 1)]
