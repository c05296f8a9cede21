"""The result of a deployment beside that of ``simulate``, whose keys are plain ones."""

import math
from typing import Any

from tests.command import numbers

ENCAPSULATED = 1088  # bytes of ML-KEM-768, by which a hybrid message is longer
NAMES = 20  # bytes of a header by which the name of the suite may be longer


def same(one: Any, other: Any) -> bool:
    """Equal, and numbers to 1e-12."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-12)
    return bool(one == other)


def check_deployed(found: dict[str, Any], simulated: dict[str, Any]) -> None:
    """All agrees; only what is sealed to the hybrid key of the guide is longer."""
    longer = {a - b for a, b in zip(_sent(found), _sent(simulated), strict=True)}

    assert same(_sized_alike(found), _sized_alike(simulated))
    assert len(longer) == 1
    (more,) = longer
    assert ENCAPSULATED <= more <= ENCAPSULATED + NAMES
    pair = [r["diagnostics"].get("refinement") for r in (found, simulated)]
    if pair[0] is not None:
        answers = (pair[0]["rounds"] - 1) * len(found["sites"]) - pair[0]["spared"]
        sizes = [notes["bytes_answered"] for notes in pair]
        assert sizes[0] - sizes[1] == answers * more


def _sent(result: dict[str, Any]) -> list[int]:
    return [site["bytes_sent"] for site in result["sites"]]


def _sized_alike(result: dict[str, Any]) -> dict[str, Any]:
    """Numbers of a result without the sizes of what the sites have sealed."""
    diagnostics = dict(result["diagnostics"])
    if "refinement" in diagnostics:
        notes = diagnostics["refinement"]
        diagnostics["refinement"] = {**notes, "bytes_answered": None}
    sites = [{**site, "bytes_sent": None} for site in result["sites"]]
    return {**numbers(result), "diagnostics": diagnostics, "sites": sites}
