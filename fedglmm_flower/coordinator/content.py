"""The content of ``result.json``, from a fit and what it rests on."""

import platform
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fedglmm_flower.coordinator.advice import large_warnings, missed_warnings
from fedglmm_flower.coordinator.blocks import blocks_of, site_of_levels
from fedglmm_flower.coordinator.explained import shares_of
from fedglmm_flower.coordinator.fitting import Fitted
from fedglmm_flower.coordinator.opening import (
    GATE_CODES,
    MISSING_CODES,
    Opened,
    Refusal,
)
from fedglmm_flower.coordinator.result import FORMAT
from fedglmm_flower.coordinator.small import small_warnings
from fedglmm_flower.study.study import Study

# Log-odds beyond which a probability is 0 or 1 for every practical purpose.
CERTAIN = 15.0


def result_values(
    study: Study,
    opened: Mapping[str, Opened],
    why: Mapping[str, Refusal],
    fitted: Fitted,
    run_id: str,
    summarise_s: float,
    pooled: Mapping[str, Any] | None,
    seed: int,
) -> dict[str, Any]:
    """
    Content of ``result.json``.

    Parameters
    ----------
    study : Study
        What was asked.
    opened : mapping
        Sites that are used.
    why : mapping
        Why the others are not.
    fitted : Fitted
        The fit.
    run_id : str
        Name of the run.
    summarise_s : float
        Seconds that the round took.
    pooled : mapping or None
        Fit of the pooled rows, in a simulation.
    seed : int
        Seed of the pseudo-data.
    """
    plain = fitted.model.to_dict()
    accuracy = fitted.accuracy
    error = None if accuracy is None else accuracy.error
    fixed = []
    for i, row in enumerate(plain["fixed"]):
        size = 0.0 if fitted.exact else None
        if error is not None and row["se"] is not None:
            size = float(error[i])
        fixed.append({**row, "approx_error": size})
    random = _with_errors(plain["random"], fitted)
    shift = None if accuracy is None else accuracy.order_shift
    return {
        "format": FORMAT,
        "study": dict(study.plain),
        "family": study.family,
        "link": study.link,
        "method": plain["method"],
        "converged": plain["converged"],
        "exactness": "exact" if fitted.exact else "approximate",
        "n_sites": len(opened),
        "n_rows": sum(one.n_rows for one in opened.values()),
        "fixed": fixed,
        "random": random,
        "dispersion": plain["dispersion"],
        "residual_sd": plain["residual_sd"],
        "loglik": plain["loglik"],
        "aic": plain["aic"],
        "bic": plain["bic"],
        "icc": plain["icc"],
        "ranef": _ranef(study, opened, plain["ranef"]),
        "sites": site_entries(study, opened, why),
        "diagnostics": {
            "moment_residual": fitted.residual,
            "order_shift": [] if shift is None else [float(v) for v in shift],
            "start_shift": []
            if accuracy is None or accuracy.start_shift is None
            else [float(v) for v in accuracy.start_shift],
            "seed_spread": []
            if accuracy is None
            else [float(v) for v in accuracy.seed_spread],
            "eta_range": plain["eta_range"],
            "r2": shares_of(fitted.model),
            "warnings": _warnings(study, opened, why, plain, fitted),
        },
        "pooled": None if pooled is None else dict(pooled),
        "privacy": None,
        "timing": {
            "summarise_s": summarise_s,
            "pseudodata_s": fitted.pseudodata_s,
            "fit_s": fitted.fit_s,
        },
        "provenance": provenance(study, run_id, seed),
    }


def provenance(study: Study, run_id: str, seed: int) -> dict[str, Any]:
    """What a result was made of, and with which versions."""
    return {
        "run_id": run_id,
        "study_digest": study.digest,
        "seed": seed,
        "software": _version("fedglmm-flower"),
        "python": platform.python_version(),
        **{name: _version(name) for name in ("flwr", "numpy", "scipy", "pandas")},
    }


def _with_errors(rows: list[dict[str, Any]], fitted: Fitted) -> list[dict[str, Any]]:
    """Standard deviations with their approximation errors; correlations have none."""
    accuracy = fitted.accuracy
    error = None if accuracy is None else accuracy.sd_error
    sizes = iter(() if error is None else error.tolist())
    found = []
    for row in rows:
        if "sd" in row:
            size = 0.0 if fitted.exact else next(sizes, None)
            found.append({**row, "approx_error": size})
        else:
            found.append(row)
    return found


def site_entries(
    study: Study, opened: Mapping[str, Opened], why: Mapping[str, Refusal]
) -> list[dict[str, Any]]:
    """What each site of the study sent, or why it sent nothing."""
    entries: list[dict[str, Any]] = []
    for site in sorted({*study.sites, *opened, *why}):
        one = opened.get(site)
        if one is not None:
            entries.append(
                {
                    "site": site,
                    "n_rows": one.told_rows,
                    "n_missing": one.released.n_missing,
                    "release_set": one.released.release_set,
                    "order": one.released.order,
                    "statistics": sum(
                        len(entry.values) for entry in one.released.clusters
                    ),
                    **_clusters(study, one),
                    "bytes_sent": one.bytes_sent,
                    "status": "used",
                }
            )
            continue
        reason = why[site]
        status = "missing" if reason.code in MISSING_CODES else "refused"
        nothing = dict.fromkeys(("n_rows", "n_missing", "release_set", "order"))
        entries.append(
            {
                "site": site,
                **nothing,
                "statistics": 0,
                "bytes_sent": 0,
                "status": status,
                "code": reason.code,
                "reason": reason.public,
            }
        )
    return entries


def _clusters(study: Study, one: Opened) -> dict[str, Any]:
    """How many clusters a site sent, and what became of the others."""
    if not study.clusters:
        return {}
    small = one.released.small
    pooled = small is not None and small.treatment == "pooled"
    return {
        "clusters": len(one.released.clusters) - pooled,
        "small_clusters": None if small is None else asdict(small),
    }


def _ranef(
    study: Study, opened: Mapping[str, Opened], rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Random effects; those of clusters name their site, which alone receives them."""
    sites = site_of_levels(study, blocks_of(opened))
    out = []
    for row in rows:
        key = (row["group"], row["level"])
        out.append({**row, "site": sites[key]} if key in sites else row)
    return out


def refused_warnings(
    opened: Mapping[str, Opened], why: Mapping[str, Refusal]
) -> list[str]:
    """A gate looks at the response: who passes is not who is alike."""
    refused = [r for r in why.values() if r.code in GATE_CODES]
    if not refused:
        return []
    text = (
        f"{len(refused)} of {len(opened) + len(why)} sites were held back by their "
        "disclosure policy or have no rows; that may depend on the response (a site of "
        "few events is held back, one of none may not be), so that the sites used need "
        "not represent all; errors that are stated here are against the rows of the "
        "sites used"
    )
    return [text]


def _warnings(
    study: Study,
    opened: Mapping[str, Opened],
    why: Mapping[str, Refusal],
    plain: dict[str, Any],
    fitted: Fitted,
) -> list[str]:
    found = [str(text) for text in plain["warnings"]]
    found += small_warnings(opened)
    found += refused_warnings(opened, why)
    if fitted.exact:
        return found
    asked = study.offers[0]
    lowered = [
        s
        for s, o in opened.items()
        if (o.released.release_set, o.released.order) != asked
    ]
    if lowered:
        found.append(
            f"{len(lowered)} of {len(opened)} sites sent less than the {asked[0]} set "
            f"of order {asked[1]}, as their disclosure policy demands; estimates are "
            "less accurate"
        )
    low, high = plain["eta_range"] or (0.0, 0.0)
    if study.family == "binomial" and max(-low, high) > CERTAIN:
        found.append(
            "fitted probabilities reach 0 or 1: moments cannot show separation (a "
            "predictor that tells the responses apart without error), and if there is "
            "one these coefficients have no finite estimate; ask the sites for a "
            "cross-table, or drop the strongest predictor"
        )
    found += missed_warnings(study, fitted)
    error = None if fitted.accuracy is None else fitted.accuracy.error
    if error is None:
        found.append(
            "the accuracy of the approximation cannot be judged from this release: "
            "some sites sent moments of order 1, or the fit of a lower order failed; "
            "do not interpret the estimates without another check"
        )
        return found
    moved = None if fitted.accuracy is None else fitted.accuracy.loglik_shift
    if moved is not None and abs(moved) > 1.0:
        found.append(
            f"logLik, AIC and BIC moved by about {abs(moved):.2g} from the order "
            "below: do not compare models by smaller differences"
        )
    found += large_warnings(study, opened, plain["fixed"], fitted)
    sds = None if fitted.accuracy is None else fitted.accuracy.sd_error
    if sds is not None and (sds > 0.02).any():
        found.append(
            "the approximation may move a standard deviation of the random effects by "
            f"{float(sds.max()):.2g}; see approx_error there"
        )
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
