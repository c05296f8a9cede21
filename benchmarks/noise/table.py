"""Coverage, bias and inflation of standard errors, from the records."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.noise.one import NAMES, TAU, TRUTH

METHODS = ("pooled", "naive", "analytic", "bootstrap")


def markdown(records: Sequence[dict[str, Any]]) -> str:
    """A table in Markdown: one row for each setting and way of making intervals."""
    heads = [*(f"{name}" for name in NAMES), "largest bias", "sd (0.3)", "SE inflation"]
    lines = [
        "| setting | intervals | replicates | " + " | ".join(heads) + " |",
        "|" + "---|" * (3 + len(heads)),
    ]
    for setting in dict.fromkeys(r["setting"] for r in records):
        for method in METHODS:
            found = [r for r in records if r["setting"] == setting and r.get(method)]
            if found:
                lines.append(_row(setting, method, found))
    return "\n".join(lines)


def _row(setting: str, method: str, records: Sequence[dict[str, Any]]) -> str:
    fixed = np.array([r[method]["fixed"] for r in records])
    se = np.array([r[method]["se"] for r in records])
    sd = np.array([r[method]["sd"] for r in records])
    cover = np.mean(np.abs(fixed - TRUTH) <= 1.959964 * se, axis=0)
    bias = np.abs(fixed.mean(axis=0) - TRUTH).max()
    plain = np.mean([r["without"] for r in records], axis=0)
    grown = se.mean(axis=0) / plain
    cells = [
        setting,
        method,
        str(len(records)),
        *(f"{v:.3f}" for v in cover),
        f"{bias:.3f}",
        f"{sd.mean():.3f} ({100 * (sd.mean() / TAU - 1):+.0f} %)",
        " ".join(f"{v:.2f}" for v in grown),
    ]
    return "| " + " | ".join(cells) + " |"
