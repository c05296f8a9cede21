"""Records as tables in markdown: bias, RMSE, coverage, and distance from pooled."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.records import Record
from benchmarks.simulation.designs import SETTINGS, Setting
from benchmarks.simulation.one import POOLED

FloatArray = npt.NDArray[np.float64]
_WALD = 1.959963984540054
_LEGEND = (
    "Bias / root mean square error / coverage in percent of 95 % intervals: Wald's for "
    "coefficients, and for the sd that of the likelihood-ratio test."
)


def markdown(
    found: Sequence[Record], settings: Sequence[str], sets: Sequence[str]
) -> str:
    """All tables, for replicates that have every set and a pooled fit."""
    lines: list[str] = []
    complete = {name: _complete(found, name, sets) for name in settings}
    lines += _distances(complete, sets)
    if any(by_set[POOLED] for by_set in complete.values()):
        lines += ["## Parameters", "", _LEGEND, ""]
    for name, by_set in complete.items():
        if by_set[POOLED]:
            lines += _parameters(SETTINGS[name], by_set)
    return "\n".join([*lines, ""])


def _complete(
    found: Sequence[Record], setting: str, sets: Sequence[str]
) -> dict[str, list[Record]]:
    """Records of each set, in the order of their replicates."""
    mine = {(r["replicate"], r["set"]): r for r in found if r["setting"] == setting}
    names = [s for s in sets if any(key[1] == s for key in mine)]
    usable = [
        k
        for k in sorted({key[0] for key in mine})
        if all((k, s) in mine and mine[k, s].get("converged") for s in names)
    ]
    out = {s: [mine[k, s] for k in usable] for s in names}
    out.setdefault(POOLED, [])
    return out


def _column(records: Sequence[Record], key: str) -> FloatArray:
    return np.array([record[key] for record in records], dtype=np.float64)


def _distances(
    complete: dict[str, dict[str, list[Record]]], sets: Sequence[str]
) -> list[str]:
    heads = "setting | set | numbers | replicates | largest shift: median | 95 %"
    lines = [
        f"| {heads} | in SE: median | 95 % | sd: 95 % | coverage |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, by_set in complete.items():
        pooled = by_set[POOLED]
        for release_set in sets:
            records = by_set.get(release_set, [])
            if release_set == POOLED or not records:
                continue
            steps = _column(records, "estimates") - _column(pooled, "estimates")
            shift = np.abs(steps).max(axis=1)
            in_se = np.abs(steps / _column(pooled, "se")).max(axis=1)
            sd = np.abs(_column(records, "sd") - _column(pooled, "sd"))
            gap = 100 * np.abs(
                _covered(SETTINGS[name], records) - _covered(SETTINGS[name], pooled)
            )
            lines.append(
                f"| {name} | {release_set} | {records[0]['statistics']} | "
                f"{len(records)} | {np.median(shift):.1e} | "
                f"{np.quantile(shift, 0.95):.1e} | {np.median(in_se):.4f} | "
                f"{np.quantile(in_se, 0.95):.4f} | {np.quantile(sd, 0.95):.1e} | "
                f"{gap.max():.1f} |"
            )
    return [*lines, ""]


def _parameters(setting: Setting, by_set: dict[str, list[Record]]) -> list[str]:
    """Bias / RMSE / coverage in percent of each parameter and set."""
    heads = list(by_set)
    count = len(by_set[POOLED])
    lines = [
        f"### {setting.name}: {count} replicates",
        "",
        f"| parameter | truth | {' | '.join(heads)} |",
        f"|---|---:|{'---|' * len(heads)}",
    ]
    names = by_set[POOLED][0]["names"]
    cells = {head: _cells(setting, records) for head, records in by_set.items()}
    truth = [*setting.truth, setting.sd]
    for i, name in enumerate([*names, "sd of the sites"]):
        row = " | ".join(cells[head][i] for head in heads)
        lines.append(f"| {name} | {truth[i]:.4g} | {row} |")
    return [*lines, ""]


def _covered(setting: Setting, records: Sequence[Record]) -> FloatArray:
    """Share of intervals that hold the truth, of coefficients and of the sd."""
    estimates, se = _column(records, "estimates"), _column(records, "se")
    inside = np.abs(estimates - np.array(setting.truth)) <= _WALD * se
    return np.append(inside.mean(axis=0), _column(records, "sd_inside").mean())


def _cells(setting: Setting, records: Sequence[Record]) -> list[str]:
    off = _column(records, "estimates") - np.array(setting.truth)
    sd_off = _column(records, "sd") - setting.sd
    bias = [*off.mean(axis=0), sd_off.mean()]
    error = [*np.sqrt((off**2).mean(axis=0)), np.sqrt((sd_off**2).mean())]
    covered = _covered(setting, records)
    return [
        f"{b:+.4f} / {e:.4f} / {100 * c:.1f}"
        for b, e, c in zip(bias, error, covered, strict=True)
    ]
