"""Medians and distances as a table in markdown."""

from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

_HEAD = (
    "| design | engine | CPU s | lme4 / engine | imports s | peak MB (of it imports, "
    "table and warm-up) | max abs(d beta) / SE | max abs(d sd) | d logLik |\n"
    "|---|---|---:|---:|---:|---:|---:|---:|---:|"
)
_REFERENCE = "fedglmm"  # converges to a gradient of 1e-8 standard errors


def markdown(records: Sequence[dict[str, Any]]) -> str:
    """
    One line for each design and engine, the fastest first.

    Distances are from the tightest fit, which is that of this package: the others
    stop at a relative change of the likelihood.  A positive ``d logLik`` would show
    an engine that reached a higher maximum.
    """
    lines = [_HEAD]
    skipped = []
    for design in dict.fromkeys(r["design"] for r in records):
        mine = [r for r in records if r["design"] == design]
        runs: dict[str, list[dict[str, Any]]] = {}
        for record in mine:
            if "skipped" in record:
                skipped.append(f"{record['engine']}, {design}: {record['skipped']}")
            else:
                runs.setdefault(record["engine"], []).append(record)
        lme4 = _seconds(runs["lme4"]) if "lme4" in runs else None
        best = runs[_REFERENCE][0] if _REFERENCE in runs else None
        for engine, found in sorted(runs.items(), key=lambda run: _seconds(run[1])):
            seconds, imports, base, peak = (
                median(r[name] for r in found)
                for name in ("seconds", "imports", "base", "peak")
            )
            ratio = f"{lme4 / seconds:.1f}" if lme4 else ""
            distance = _distance(found[0], best) if best else " | | "
            lines.append(
                f"| {design} | {engine} | {seconds:.3f} | {ratio} | {imports:.2f} | "
                f"{peak:.0f} ({base:.0f}) | {distance} |"
            )
    return "\n".join([*lines, "", *dict.fromkeys(f"Skipped: {s}" for s in skipped)])


def _seconds(found: list[dict[str, Any]]) -> float:
    return float(median(r["seconds"] for r in found))


def _distance(record: dict[str, Any], best: dict[str, Any]) -> str:
    """Distances of estimates, standard deviations and log-likelihood."""
    if record is best:
        return "0 | 0 | 0"
    shift = np.abs(np.subtract(record["fixed"], best["fixed"])) / best["se"]
    spread = np.abs(np.subtract(record["sd"], best["sd"]))
    gap = record["loglik"] - best["loglik"]
    return f"{shift.max():.0e} | {spread.max():.0e} | {gap:+.0e}"
