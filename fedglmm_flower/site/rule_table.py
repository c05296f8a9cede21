"""Every rule in one line: its threshold, and the nearest that the site came to it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from fedglmm_flower.site.finding import Finding
from fedglmm_flower.site.policy import Policy

# Rule, whose threshold it is, what is judged, for people.
RULES: Final = (
    ("minimum-rows", "min_rows", "{units} of a site or cluster"),
    ("rows-per-statistic", "rows_per_statistic", "{units} for each number sent"),
    ("expressions", "allow_expressions", "formulas beyond columns and powers"),
    ("cells", "min_cell", "{units} in the smallest cell of factors"),
    ("response-cells", "min_cell", "{units} or events in the smallest cell"),
    ("group-disclosure", "one_outcome", "cells where all or none have the response"),
    ("nesting", "min_cell", "{units} as a difference of levels or columns"),
    (
        "values",
        "min_cell",
        "{units} apart from a usual value, or at a rare one",
    ),
    ("dominance", "dominance_one", "largest and two largest {units} in a sum"),
    ("effective-rows", "min_effective_rows", "{units} that a weight is spread over"),
    ("leverage", "max_leverage", "largest share of one of the {units} in a square"),
    ("differencing", "compare_answers", "{units} between this and an earlier answer"),
)
# Of these nothing is a count that tells of nobody.
COUNTS: Final = ("cells", "response-cells", "nesting", "values", "differencing")


@dataclass(frozen=True)
class RuleLine:
    """
    One rule over all that it judged; for the officer, does not leave the site.

    Parameters
    ----------
    rule, setting, what : str
        Its name, the line of ``site.toml`` that sets it, and what it judges.
    required : str
        The threshold, in words.
    worst : str
        The value that came nearest to the threshold, or went furthest beyond.
    judged, failed : int
        How many values were judged, and how many of these are refused.
    warned : int
        How many pass with a warning.
    """

    rule: str
    setting: str
    what: str
    required: str
    worst: str
    judged: int
    failed: int
    warned: int = 0

    @property
    def outcome(self) -> str:
        """``passes``, ``passes, warns`` or ``refuses``."""
        if self.failed:
            return "refuses"
        return "passes, warns" if self.warned else "passes"

    @property
    def plain(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**vars(self), "outcome": self.outcome}


def rule_table(findings: Iterable[Finding], policy: Policy) -> list[RuleLine]:
    """
    Findings by rule, in the order of the guide; nothing where the gate is off.

    Parameters
    ----------
    findings : iterable of Finding
        Of one cluster or of all.
    policy : Policy
        The thresholds.
    """
    units = "rows" if policy.unit is None else "units"
    by_rule: dict[str, list[Finding]] = {}
    for finding in findings:
        by_rule.setdefault(finding.rule, []).append(finding)
    lines = []
    for rule, setting, what in RULES:
        found = by_rule.get(rule, [])
        if not found and rule != "group-disclosure":
            continue
        worst = max(found, key=lambda f: f.strain, default=None)
        lines.append(
            RuleLine(
                rule,
                setting,
                what.format(units=units),
                _required(rule, worst, policy),
                _value(rule, worst, len(found)),
                len(found),
                sum(not f.passed for f in found),
                sum("WARNING" in f.detail for f in found),
            )
        )
    return lines


def _required(rule: str, worst: Finding | None, policy: Policy) -> str:
    if rule == "dominance":
        return f"below {policy.dominance_one:.0%} and {policy.dominance_two:.0%}"
    if rule == "leverage":
        return f"at most {policy.max_leverage:.0%}"
    if rule == "group-disclosure":
        return "none" if policy.one_outcome == "refuse" else "none, or a warning"
    if rule == "expressions":
        return "allowed" if policy.allow_expressions else "none"
    needed = None if worst is None else worst.needed
    none = " or none" if rule in COUNTS else ""
    return "" if needed is None else f"at least {needed:g}{none}"


def _value(rule: str, worst: Finding | None, count: int) -> str:
    if rule == "group-disclosure":
        return f"{count} cells" if count else "none"
    if rule == "expressions":
        return "none" if worst is None or "none beyond" in worst.detail else "some"
    if worst is None or worst.found is None:
        return "none"
    if rule == "leverage":
        return f"{worst.found:.1%}"
    if rule == "dominance":
        return f"{worst.found:.0%} of what is allowed"
    return f"{worst.found:.4g}"
