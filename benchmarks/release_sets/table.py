"""Records as tables in markdown: sets by case, principles, later models."""

from collections.abc import Iterable, Sequence
from typing import Any

Record = dict[str, Any]


def markdown(found: Sequence[Record]) -> str:
    """Three tables."""
    cases = list(dict.fromkeys(r["case"] for r in found))
    parts = [
        set_table([r for r in found if r["kind"] == "set"], cases),
        _principles([r for r in found if r["kind"] == "principle"], cases),
        _later([r for r in found if r["kind"] == "later model"]),
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _head(first: str, heads: Iterable[str]) -> list[str]:
    names = list(heads)
    return [f"| {first} | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]


def set_table(found: Sequence[Record], cases: Sequence[str]) -> list[str]:
    """Numbers sent, and the largest shift in standard errors."""
    at = {(r["case"], r["label"]): r for r in found}
    lines = _head("set: numbers, shift in SE", cases)
    for label in dict.fromkeys(r["label"] for r in found):
        cells = [_set(at.get((case, label))) for case in cases]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return lines


def _set(record: Record | None) -> str:
    if record is None:
        return ""
    if "failed" in record:
        return f"{record['statistics']}: no fit" if "statistics" in record else "no fit"
    return f"{record['statistics']}: {_short(record['se'])}"


def _principles(found: Sequence[Record], cases: Sequence[str]) -> list[str]:
    at = {(r["case"], r["label"]): r for r in found}
    lines = _head("from sums to rows, anchored K=3: shift in SE", cases)
    for label in dict.fromkeys(r["label"] for r in found):
        cells = []
        for case in cases:
            record = at.get((case, label))
            if record is None or "failed" in record:
                cells.append("" if record is None else "no fit")
                continue
            missed = f", {record['missed']} missed" if record["missed"] else ""
            cells.append(f"{_short(record['se'])}{missed}")
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return lines


def _later(found: Sequence[Record]) -> list[str]:
    heads = ("release at hand: SE", "sd", "release made for it: SE", "sd")
    lines = _head("later model", heads)
    for r in found:
        if "failed" in r:
            lines.append(f"| {r['case']}: {r['label']} | {r['failed']} |")
            continue
        one, two = r["at_hand"], r["made_for_it"]
        lines.append(
            f"| {r['case']}: {r['label']} | {_short(one['se'])} | {one['sd']:.0e} | "
            f"{_short(two['se'])} | {two['sd']:.0e} |"
        )
    return lines


def _short(value: float) -> str:
    """Two digits, and no more zeros than can be read."""
    return f"{value:.2g}" if value >= 1e-3 else f"{value:.0e}"
