"""The tables of a report on noise: what was spent, and what it did to the intervals."""

from collections.abc import Mapping
from typing import Any

from fedglmm_flower.report.numbers import number
from fedglmm_flower.report.tables import Table

_WORDS = {
    "epsilon": "Epsilon",
    "delta": "Delta",
    "relation": "Neighbouring relation",
    "intervals": "Intervals",
    "intervals_include_noise": "Intervals hold the noise",
    "bootstrap_draws": "Draws of the bootstrap",
    "bootstrap_failed": "Draws that could not be fitted",
    "site": "Site",
    "rho": "Rho",
    "unit": "Unit",
    "clipping_norm": "Clipping norm",
    "mechanism": "Mechanism",
    "left": "Budget left",
}


def privacy_table(result: Mapping[str, Any]) -> Table | None:
    """What was spent of privacy; None without noise."""
    privacy = result["privacy"]
    if privacy is None:
        return None
    rows = [
        (_WORDS.get(key, key), _plain(value))
        for key, value in privacy.items()
        if value is not None and not isinstance(value, dict | list)
    ]
    growth = privacy.get("se_inflation")
    for name, value in (growth if isinstance(growth, dict) else {}).items():
        rows.append((f"Standard error of {name}", f"{value:.2f} times as wide"))
    return Table("Noise", ("What", "Value"), tuple(rows))


def budgets_table(result: Mapping[str, Any]) -> Table | None:
    """What sites tell of their own spending, as far as they do."""
    entries = [
        entry
        for entry in (result["privacy"] or {}).get("per_site", ())
        if isinstance(entry, dict)
    ]
    if not entries:
        return None
    keys = list(dict.fromkeys(key for entry in entries for key in entry))
    keys.sort(key=lambda key: key != "site")
    heads = tuple(_WORDS.get(key, str(key)) for key in keys)
    rows = [tuple(_plain(entry.get(key)) for key in keys) for entry in entries]
    return Table("Privacy of each site", heads, tuple(rows))


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value)
    return "-" if value is None else str(value)
