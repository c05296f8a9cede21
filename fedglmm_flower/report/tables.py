"""The tables of a report: cells as they are printed, in the order of the result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedglmm_flower.glmm.design import as_counted
from fedglmm_flower.glmm.printed import dispersion
from fedglmm_flower.report.numbers import error, p_value, ratio, short
from fedglmm_flower.report.rounds import rounds_rows
from fedglmm_flower.report.scale import scale_of


@dataclass(frozen=True)
class Table:
    """
    A table with its caption.

    Parameters
    ----------
    caption : str
        What it holds.
    heads : tuple of str
        Names of the columns.
    rows : tuple of tuple of str
        Cells; the first one names the row.
    """

    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def fixed_table(result: Mapping[str, Any]) -> Table:
    """Fixed effects, as ratios too where they are read so."""
    scale = scale_of(result["family"], result["link"])
    exact = result["exactness"] == "exact"
    pooled = (result["pooled"] or {}).get("fixed")
    heads = ["Column", "Estimate", "Std. error", "95 % interval"]
    heads += [f"{scale.effect[0].upper()}{scale.effect[1:]}"] if scale.is_ratio else []
    heads += ["z", "p", "Approx. error"] + (["Pooled", "Shift"] if pooled else [])
    rows = []
    for k, row in enumerate(result["fixed"]):
        cells = [
            row["name"],
            short(row["estimate"]),
            short(row["se"]),
            _interval(short, row),
        ]
        if scale.is_ratio:
            is_level = row["name"] == "Intercept"
            value = f"{ratio(row['estimate'])} ({_interval(ratio, row)})"
            cells.append("-" if is_level or row["se"] is None else value)
        cells += [
            "-" if row["z"] is None else f"{row['z']:.2f}",
            p_value(row["p"]),
            "none" if exact else error(row["approx_error"]),
        ]
        if pooled:
            other = pooled[k]["estimate"]
            cells += [short(other), f"{row['estimate'] - other:+.2g}"]
        rows.append(tuple(cells))
    return Table("Estimates", tuple(heads), tuple(rows))


def _interval(write: Any, row: Mapping[str, Any]) -> str:
    if row["ci_low"] is None:
        return "-"
    return f"{write(row['ci_low'])} to {write(row['ci_high'])}"


def random_table(result: Mapping[str, Any]) -> Table:
    """Standard deviations, correlations and what follows from them."""
    exact = result["exactness"] == "exact"
    rows = []
    for row in result["random"]:
        if row["term2"] is None:
            size = "none" if exact else error(row.get("approx_error"))
            variance, sd = short(row["sd"] ** 2), short(row["sd"])
            rows.append((f"{row['group']}, {row['term1']}", variance, sd, size))
        else:
            name = f"{row['group']}, correlation of {row['term1']} and {row['term2']}"
            rows.append((name, "", short(row["corr"]), ""))
    if result["residual_sd"] is not None:
        sd = result["residual_sd"]
        rows.append(("Residual", short(sd**2), short(sd), "none" if exact else ""))
    if result["dispersion"] is not None:
        text = dispersion(result["family"], result["dispersion"])
        rows.append((text.partition(":")[0], "", short(result["dispersion"]), ""))
    if result["icc"] is not None:
        rows.append(
            ("Intraclass correlation (latent scale)", "", short(result["icc"]), "")
        )
    shares = result["diagnostics"].get("r2")
    if shares is not None:
        rows.append(("R² marginal", "", short(shares["marginal"]), ""))
        rows.append(("R² conditional", "", short(shares["conditional"]), ""))
    heads = ("Component", "Variance", "Sd, or value", "Approx. error")
    return Table("Variance components", heads, tuple(rows))


def sites_table(result: Mapping[str, Any]) -> Table:
    """What each site sent, or why it did not."""
    heads = ("Site", "Status", "Rows", "Incomplete", "Set", "Order", "Numbers", "Bytes")
    rows = []
    for entry in sorted(result["sites"], key=lambda one: as_counted(one["site"])):
        status = entry["status"]
        code = entry.get("code")
        cells = [entry["site"], f"{status} ({code})" if code else status]
        for key in ("n_rows", "n_missing", "release_set", "order"):
            value = entry[key]
            shown = f"{value:,}" if isinstance(value, int) else str(value)
            cells.append("-" if value is None else shown)
        cells += [f"{entry['statistics']:,}", f"{entry['bytes_sent']:,}"]
        rows.append(tuple(cells))
    return Table("What each site sent", heads, tuple(rows))


def diagnostics_table(result: Mapping[str, Any]) -> Table:
    """How well the pseudo-data stand for the rows."""
    found = result["diagnostics"]
    se = [row["se"] for row in result["fixed"]]
    rows: list[tuple[str, ...]] = [*rounds_rows(result)]
    # Under noise there are no pseudo-data to judge.
    if result["exactness"] != "exact" and found["moment_residual"] is not None:
        rows.append(
            (
                "Largest missed moment",
                f"{found['moment_residual']:.2g} sd",
                "how well the pseudo-data have the released sums",
            )
        )
        meant = {
            "order_shift": (
                "Shift from the order below",
                "estimates from one order less of the same release",
            ),
            "start_shift": (
                "Shift from a skewed start",
                "what the released sums leave open",
            ),
            "seed_spread": ("Spread over draws", "chance in the pseudo-data"),
        }
        for key, (name, why) in meant.items():
            rows.append((name, _worst(found.get(key), se), why))
    if found["eta_range"]:
        low, high = found["eta_range"]
        text = f"{short(low)} to {short(high)}"
        rows.append(("Fitted linear predictor", text, "lowest to highest"))
    timing = result["timing"]
    for key, name in (
        ("summarise_s", "Round"),
        ("pseudodata_s", "Pseudo-data"),
        ("fit_s", "Fit"),
    ):
        rows.append((name, f"{timing[key]:.2f} s", "wall clock"))
    return Table("Measures", ("Measure", "Value", "Meaning"), tuple(rows))


def _worst(values: Sequence[float] | None, se: Sequence[float | None]) -> str:
    if not values:
        return "not known"
    shares = [abs(v) / s for v, s in zip(values, se, strict=False) if s]
    text = f"{max(map(abs, values)):.2g}"
    return f"{text}, {max(shares):.2g} standard errors" if shares else text


def provenance_table(result: Mapping[str, Any]) -> Table:
    """What made the result."""
    names = {
        "run_id": "Run",
        "study_digest": "Study digest",
        "released_study": "Digest of the study that the sites answered",
        "seed": "Seed of the pseudo-data",
        "software": "fedglmm-flower",
        "python": "Python",
    }
    rows = [
        (names.get(key, key), str(value))
        for key, value in result["provenance"].items()
        if value is not None and not isinstance(value, dict | list)
    ]
    return Table("Names and versions", ("What", "Value"), tuple(rows))
