"""What one rule of the gate saw."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """
    What one rule saw; local, for the officer.

    Parameters
    ----------
    rule : str
        Name of the rule.
    passed : bool
        Whether the rule is kept.
    detail : str
        What was found and what is required.
    cell : str
        The level or value at fault; a preview shows it, no error message holds it.
    found, needed : float or None
        The value that was judged and its threshold; None where there is none.
    at_most : bool
        Whether the threshold is an upper one.
    """

    rule: str
    passed: bool
    detail: str
    cell: str = ""
    found: float | None = None
    needed: float | None = None
    at_most: bool = False

    @property
    def strain(self) -> float:
        """How near to its threshold: above 1 beyond it, 0 where nothing was judged."""
        if self.found is None or self.needed is None:
            return 0.0 if self.passed else float("inf")
        if self.at_most:
            return self.found / self.needed if self.needed else float("inf")
        return self.needed / self.found if self.found else float("inf")
