"""What followed the one round: how often, from where to where, and what it measured."""

from collections.abc import Mapping
from typing import Any


def rounds_of(result: Mapping[str, Any]) -> int:
    """
    Rounds in all: the first one, and each point at which sites were asked.

    Parameters
    ----------
    result : mapping
        Content of ``result.json``.
    """
    return int(_notes(result).get("rounds", 1))


def own_rows(result: Mapping[str, Any]) -> bool:
    """Whether estimates come from the sites' likelihoods, not from pseudo-data."""
    notes = _notes(result)
    shown = notes.get("one_round_shift") is not None or "penalty" in notes
    return rounds_of(result) > 1 and shown


def penalty_of(result: Mapping[str, Any]) -> float:
    """L2 penalty of the estimates; 0 for none."""
    return float(_notes(result).get("penalty", {}).get("value", 0.0))


def rounds_text(result: Mapping[str, Any]) -> list[str]:
    """In a sentence; nothing where one round was all."""
    notes = _notes(result)
    points = rounds_of(result) - 1
    if points < 1:
        return []
    text = f"Rounds: {points} after the first ({notes['state']})"
    if not own_rows(result):
        return [f"{text}; these are the estimates of the one round"]
    text += (
        "; estimates, errors and log-likelihood are of the sites' own rows, effects of "
        "single sites and R2 of the pseudo-data"
    )
    shift = worst_shift(result)
    if shift is not None:
        text += f"; the one-round estimates were {shift:.2g} standard errors off"
        # Measured against the last point: all of the error only where that is the end.
        text += " at most" if result["exactness"] == "exact" else " that point at most"
    return [text]


def worst_shift(result: Mapping[str, Any]) -> float | None:
    """Largest distance of a one-round fixed effect from the refined one, in SE."""
    known = [v for v in _notes(result).get("one_round_shift_se") or () if v is not None]
    return max(known, default=None)


def rounds_rows(result: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Rows of the table of measures."""
    notes = _notes(result)
    if rounds_of(result) < 2:
        return []
    rows = [("Rounds after the first", str(rounds_of(result) - 1), notes["state"])]
    shift = worst_shift(result)
    if shift is not None:
        rows.append(
            (
                "Error of the one round, measured",
                f"{shift:.2g} standard errors",
                "largest distance of its fixed effects from these",
            )
        )
        sds = notes["one_round_sd_shift"]
        if sds:
            size = f"{max(map(abs, sds)):.2g}"
            rows.append(("The same, of an sd", size, "of the random effects"))
    step = notes.get("predicted_change_se")
    if step is not None and own_rows(result):
        rows.append(
            ("Next step", f"{step:.1g} standard errors", "what one more would change")
        )
    return rows


def _notes(result: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = result["diagnostics"].get("refinement", {})
    return found
