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
    """

    rule: str
    passed: bool
    detail: str
    cell: str = ""
