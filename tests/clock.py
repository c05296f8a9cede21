"""A clock that stands still while work is done, and that sleeping moves at once."""

from dataclasses import dataclass

import pytest

WAITING = ("collect", "strategy", "further_rounds")


@dataclass
class Clock:
    """
    What the poll loop asks for the time.

    Deadlines then depend on how often nothing had happened, not on the machine: a slow
    one has all its answers in time, and nobody waits for a site that stays silent.

    Parameters
    ----------
    now : float
        Seconds.
    """

    now: float = 0.0

    def monotonic(self) -> float:
        """Seconds that were slept; each look takes a microsecond."""
        self.now += 1e-6
        return self.now

    def sleep(self, seconds: float) -> None:
        """Be later by so much."""
        self.now += seconds


def set_clock(patch: pytest.MonkeyPatch) -> Clock:
    """A clock for every wait of the coordinator in this process."""
    clock = Clock()
    for module in WAITING:
        patch.setattr(f"fedglmm_flower.flower.{module}.time", clock)
    return clock
