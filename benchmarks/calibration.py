"""
Claim: nine true distances of ten lie inside the stated error, which is not too wide.

Reads what ``benchmarks.simulation`` and ``benchmarks.references`` have written, states
the error of every approximate fit by the rules of the package, and compares it with the
distance from the pooled fit.

Run: ``python -m benchmarks.calibration simulation.jsonl references.jsonl``.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.records import Record, read
from benchmarks.simulation.designs import SETTINGS
from fedglmm_flower.coordinator.accuracy import Accuracy, share_of_step
from fedglmm_flower.study.offers import parse_offer

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Told:
    """
    One fit: what was stated, and what was true.

    Parameters
    ----------
    source, release_set : str
    stated, true : arrays of shape (p,)
        Of coefficients.
    sd_stated, sd_true : arrays of shape (q,)
        Of standard deviations, where there are any.
    """

    source: str
    release_set: str
    stated: FloatArray
    true: FloatArray
    sd_stated: FloatArray
    sd_true: FloatArray


def _stated(record: Record, release_set: str, levels: int) -> tuple[Any, Any]:
    """Errors by the rules of the package as it is, from what they are made of."""
    sd = np.array(record["sd"], dtype=np.float64).reshape(-1)
    one = Accuracy(
        order_shift=np.array(record["shift"]),
        seed_spread=np.array(record["spread"]),
        se=np.array(record["se"]),
        loglik_shift=None,
        sd_shift=np.array(record["sd_shift"]),
        sd_spread=np.array(record["sd_spread"]),
        sd_se=sd / np.sqrt(2.0 * levels),
        share=share_of_step([parse_offer(release_set)]),
        missed=record.get("missed", 0.0),
        start_shift=_array(record.get("start_shift")),
        sd_start_shift=_array(record.get("sd_start_shift")),
    )
    return one.error, one.sd_error


def _array(values: list[float] | None) -> FloatArray | None:
    return None if values is None else np.array(values)


def simulated(found: Iterable[Record]) -> list[Told]:
    """Fits of simulated replicates."""
    records = list(found)
    pooled = {
        (r["setting"], r["replicate"]): r
        for r in records
        if r["set"] == "pooled" and r.get("converged")
    }
    out = []
    for r in records:
        other = pooled.get((r["setting"], r["replicate"]))
        if other is None or r["set"] == "pooled" or not r.get("converged"):
            continue
        # Anchored fits of runs that did not look at another start tell too little.
        told = r["set"].startswith("canonical") or r.get("start_shift") is not None
        if told and r.get("shift") is not None:
            levels = SETTINGS[r["setting"]].sites
            out.append(
                _told("simulated", r["set"], r, levels, other["estimates"], other["sd"])
            )
    return out


def real(found: Iterable[Record]) -> list[Told]:
    """Fits of reference sets."""
    return [
        _told("real", r["asked"], r, r["sites"], r["pooled"], r["pooled_sd"])
        for r in found
        if not r.get("exact") and r.get("shift") is not None
    ]


def _told(
    source: str, release_set: str, r: Record, levels: int, pooled: Any, sd: Any
) -> Told:
    error, sd_error = _stated(r, release_set, levels)
    sds = np.array(r["sd"], dtype=np.float64).reshape(-1)
    off = np.abs(sds - np.array(sd, dtype=np.float64).reshape(-1))
    varies = sds > 0
    true = np.abs(np.subtract(r["estimates"], pooled))
    return Told(source, release_set, error, true, sd_error[varies], off[varies])


def markdown(told: Iterable[Told]) -> str:
    """One line for each source and set, then all together."""
    groups: dict[tuple[str, str], list[Told]] = defaultdict(list)
    for one in told:
        groups[one.source, one.release_set].append(one)
        groups["all", "all"].append(one)
    heads = "source | set | fits | coefficients inside | stated / true | sds inside"
    lines = [f"| {heads} | stated / true |", "|---|---|---:|---:|---:|---:|---:|"]
    for (source, release_set), ones in sorted(groups.items(), reverse=True):
        first = _calibration([(o.stated, o.true) for o in ones])
        second = _calibration([(o.sd_stated, o.sd_true) for o in ones])
        lines.append(f"| {source} | {release_set} | {len(ones)} | {first} | {second} |")
    return "\n".join([*lines, ""])


def _calibration(pairs: list[tuple[FloatArray, FloatArray]]) -> str:
    stated = np.concatenate([s for s, _ in pairs])
    true = np.concatenate([t for _, t in pairs])
    if not len(true):
        return " | "
    ratio = np.median(stated / np.maximum(true, 1e-300))
    return f"{100 * np.mean(true <= stated):.1f} % | {ratio:.1f}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibration")
    parser.add_argument("results", type=Path, nargs="+")
    told: list[Told] = []
    for path in parser.parse_args().results:
        records = read(path)
        is_simulation = bool(records) and "setting" in records[0]
        told += simulated(records) if is_simulation else real(records)
    sys.stdout.write(markdown(told))


if __name__ == "__main__":
    main()
