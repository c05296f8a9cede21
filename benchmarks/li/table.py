"""What the records amount to, way by way, as a table in markdown."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.li.one import WAYS
from benchmarks.records import Record
from benchmarks.simulation.designs import SETTINGS

FloatArray = npt.NDArray[np.float64]
POOLED = "pooled GLMM"
_WALD = 1.959963984540054


@dataclass(frozen=True)
class Row:
    """
    A way over the data sets of a setting.

    Parameters
    ----------
    fits, sets : int
        Data sets with an estimate, of those on which the pooled fit has one.
    distances : array of shape (fits,)
        Euclidean, of all coefficients from the truth.
    power : float
        Share of slopes, all of which are not zero, that are significant at 0.05.
    precision, recall : float
        Significant slopes against those of the pooled mixed model; nan where there
        are none.
    rounds : float
        Median of the messages to a site; nan for pooled ways.
    """

    fits: int
    sets: int
    distances: FloatArray
    power: float
    precision: float
    recall: float
    rounds: float


def rows_of_setting(found: Sequence[Record], setting: str) -> dict[str, Row]:
    """Each way with records, in their order."""
    mine = {(r["replicate"], r["way"]): r for r in found if r["setting"] == setting}
    numbers = sorted({key[0] for key in mine})
    sets = [k for k in numbers if _usable(mine.get((k, POOLED)))]
    truth = np.array(SETTINGS[setting].truth)
    out = {}
    for way in WAYS:
        used = [k for k in sets if _usable(mine.get((k, way)))]
        if not used:
            continue
        records = [mine[k, way] for k in used]
        estimates = np.array([r["estimates"] for r in records])
        said = _significant(records)
        meant = _significant([mine[k, POOLED] for k in used])
        both = int((said & meant).sum())
        rounds = [r["rounds"] for r in records if "rounds" in r]
        out[way] = Row(
            len(used),
            sum((k, way) in mine for k in sets),
            np.linalg.norm(estimates - truth, axis=1),
            float(said.mean()),
            both / int(said.sum()) if said.any() else np.nan,
            both / int(meant.sum()) if meant.any() else np.nan,
            float(np.median(rounds)) if rounds else np.nan,
        )
    return out


def markdown(found: Sequence[Record], settings: Sequence[str]) -> str:
    """One line for each setting and way."""
    lines = [
        "| setting | way | fits | distance | power | precision | recall | rounds |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for setting in settings:
        for way, row in rows_of_setting(found, setting).items():
            shares = (row.power, row.precision, row.recall)
            told = ["" if np.isnan(v) else f"{v:.3f}" for v in shares]
            told.append("" if np.isnan(row.rounds) else f"{row.rounds:g}")
            lines.append(
                f"| {setting.removeprefix('li-')} | {way} | {row.fits}/{row.sets} | "
                f"{np.median(row.distances):.4f} | {' | '.join(told)} |"
            )
    return "\n".join([*lines, ""])


def _usable(record: Record | None) -> bool:
    """Whether there is an estimate, with a standard error for each slope."""
    if record is None or not record.get("converged"):
        return False
    return None not in (*record["estimates"], *record["se"])


def _significant(records: Sequence[Record]) -> npt.NDArray[np.bool_]:
    estimates = np.array([r["estimates"] for r in records])[:, 1:]
    errors = np.array([r["se"] for r in records])[:, 1:]
    return np.asarray(np.abs(estimates) > _WALD * errors)
