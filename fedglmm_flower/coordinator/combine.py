"""The coordinator's whole work: sealed releases to a result."""

import os
import platform
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from fedglmm_flower.coordinator.accuracy import Accuracy, accuracy_of
from fedglmm_flower.coordinator.opening import (
    MISSING_CODES,
    Opened,
    Refusal,
    open_releases,
    require_quorum,
)
from fedglmm_flower.coordinator.pooling import (
    PseudoSite,
    fit_pseudo,
    fit_sums,
    pseudo_site,
    require_determined,
)
from fedglmm_flower.coordinator.pseudodata import planned_rows
from fedglmm_flower.coordinator.result import FORMAT, Result
from fedglmm_flower.coordinator.starts import Starts
from fedglmm_flower.coordinator.targets import Targets
from fedglmm_flower.envelope import Identity, PublicIdentity
from fedglmm_flower.glmm import FittedModel
from fedglmm_flower.study.families import resolve_method
from fedglmm_flower.study.release import moment_degrees
from fedglmm_flower.study.study import Study

# Draws of each site, fewer where the pseudo-rows would be too many to fit at ease.
MOST_DRAWS = 8
FEWEST_DRAWS = 2
MOST_ROWS = 1_200_000
Tick = Callable[[str, int, int], None]


def _silent(_stage: str, _done: int, _total: int) -> None:
    """No progress."""


@dataclass(frozen=True)
class Options:
    """
    How a coordinator fits.

    Parameters
    ----------
    quorum : int or None
        Fewest sites; see :func:`require_quorum`.
    method : str or None
        Estimator; the study's when None.
    seed : int or None
        Seed of the pseudo-data; from the study's digest when None.
    pooled : callable or None
        Makes the pooled fit to report beside, in a simulation.
    tick : callable
        Called with stage, done and total.
    """

    quorum: int | None = None
    method: str | None = None
    seed: int | None = None
    pooled: Callable[[tuple[str, ...]], Mapping[str, Any]] | None = None
    tick: Tick = _silent


@dataclass(frozen=True)
class Fitted:
    """A fit with its approximation."""

    model: FittedModel
    exact: bool
    residual: float
    accuracy: Accuracy | None
    pseudodata_s: float
    fit_s: float


def combine(
    study: Study,
    sealed: Mapping[str, bytes],
    refusals: Mapping[str, Refusal],
    *,
    run_id: str,
    identity: Identity,
    publics: Mapping[str, PublicIdentity],
    options: Options = Options(),
    summarise_s: float = 0.0,
) -> Result:
    """
    Open releases, build pseudo-data, fit, and report.

    Parameters
    ----------
    study : Study
        What was asked.
    sealed : mapping
        Sealed release of each site that answered.
    refusals : mapping
        Why the others did not.
    run_id : str
        Name of the run.
    identity : Identity
        The coordinator's keys.
    publics : mapping
        Pinned public identity of each site.
    options : Options
        How to fit.
    summarise_s : float
        Seconds that the round took, for the result.

    Raises
    ------
    AllRefusedError, QuorumError
        If too few sites can be used.
    FitError
        If the model is not determined over all sites.
    """
    opened, rejected = open_releases(
        study, sealed, run_id=run_id, identity=identity, publics=publics
    )
    why = {**refusals, **rejected}
    for site in study.sites:
        if site not in opened and site not in why:
            why[site] = Refusal("site-missing", "the site did not answer")
    require_quorum(study, opened, why, options.quorum)
    chosen = resolve_method(study.family, options.method or study.method)
    seed = _seed(study, options.seed)
    # One thread for each product: many small ones, which more threads only slow down.
    with threadpool_limits(1):
        fitted = fit_releases(study, opened, chosen, seed, options.tick)
    pooled = options.pooled(tuple(opened)) if options.pooled else None
    return Result(
        _values(study, opened, why, fitted, run_id, summarise_s, pooled, seed)
    )


def fit_releases(
    study: Study, opened: Mapping[str, Opened], method: str, seed: int, tick: Tick
) -> Fitted:
    """Fit accepted releases: from sums where that is lossless, else pseudo-data."""
    targets = {site: one.targets for site, one in opened.items()}
    groups = _groups(study)
    if study.family == "gaussian":
        started = time.perf_counter()
        tick("fit", 0, 1)
        model = fit_sums(study.model, targets, method, groups)
        tick("fit", 1, 1)
        return Fitted(model, True, 0.0, None, 0.0, time.perf_counter() - started)
    return _fit_approximate(study, opened, targets, method, seed, tick)


def _fit_approximate(
    study: Study,
    opened: Mapping[str, Opened],
    targets: dict[str, Targets],
    method: str,
    seed: int,
    tick: Tick,
) -> Fitted:
    started = time.perf_counter()
    model, groups = study.model, _groups(study)
    require_determined(model, targets)
    draws, lower = _draw(study, opened, targets, seed, tick)
    generated = time.perf_counter()
    exact = all(one.rows.exact for many in draws.values() for one in many)
    fits = 1 if exact else 4
    tick("fit", 0, fits)
    fitted = fit_pseudo(model, targets, draws, method, groups)
    accuracy = None
    if not exact:
        fast = "laplace"
        halves = []
        for k in range(2):
            tick("fit", 1 + k, fits)
            chosen = {s: many[k::2] or many for s, many in draws.items()}
            halves.append(fit_pseudo(model, targets, chosen, fast, groups))
        tick("fit", 3, fits)
        below_fit = None
        if len(lower) == len(draws):
            below_fit = fit_pseudo(model, targets, lower, fast, groups)
            # Like with like: the lower order is compared by the same estimator.
            if method != fast:
                main = fit_pseudo(model, targets, draws, fast, groups)
                accuracy = accuracy_of(main, below_fit, (halves[0], halves[1]))
        if accuracy is None:
            accuracy = accuracy_of(fitted, below_fit, (halves[0], halves[1]))
    tick("fit", fits, fits)
    residual = max(one.residual for many in draws.values() for one in many)
    return Fitted(
        fitted,
        exact,
        residual,
        accuracy,
        generated - started,
        time.perf_counter() - generated,
    )


def _draw(
    study: Study,
    opened: Mapping[str, Opened],
    targets: Mapping[str, Targets],
    seed: int,
    tick: Tick,
) -> tuple[dict[str, list[PseudoSite]], dict[str, list[PseudoSite]]]:
    """Several draws of pseudo-data for each site, and some of one order lower."""
    model = study.model
    degrees = moment_degrees(model, max(o.released.order for o in opened.values()))
    rows = [planned_rows(t) for t in targets.values()]
    starts = Starts.for_rows(seed, max(rows))
    count = int(np.clip(MOST_ROWS // sum(rows), FEWEST_DRAWS, MOST_DRAWS))

    def site(name: str) -> tuple[list[PseudoSite], list[PseudoSite]]:
        # The block follows from the study, not from who takes part.
        block = study.sites.index(name) * MOST_DRAWS
        first = pseudo_site(model, targets[name], starts, block)
        if first.rows.exact:
            return [first], [first]
        many = [
            pseudo_site(model, targets[name], starts, block + k)
            for k in range(1, count)
        ]
        order = opened[name].released.order
        below = targets[name].lower(degrees, order - 1)
        few = [
            pseudo_site(model, below, starts, block + k)
            for k in range(FEWEST_DRAWS if order > 1 else 0)
        ]
        return [first, *many], few

    draws: dict[str, list[PseudoSite]] = {}
    lower: dict[str, list[PseudoSite]] = {}
    workers = max(1, min(4, os.cpu_count() or 1))
    tick("pseudo-data", 0, len(opened))
    with ThreadPoolExecutor(workers) as pool:
        for name, (many, few) in zip(opened, pool.map(site, opened), strict=True):
            draws[name] = many
            if few:
                lower[name] = few
            tick("pseudo-data", len(draws), len(opened))
    return draws, lower


def _groups(study: Study) -> dict[str, str]:
    """Grouping columns of the formula, all of which mean the site here."""
    return {part.group[0]: study.site_column for part in study.model.formula.random}


def _seed(study: Study, seed: int | None) -> int:
    return int(study.digest[:12], 16) if seed is None else seed


def _values(
    study: Study,
    opened: Mapping[str, Opened],
    why: Mapping[str, Refusal],
    fitted: Fitted,
    run_id: str,
    summarise_s: float,
    pooled: Mapping[str, Any] | None,
    seed: int,
) -> dict[str, Any]:
    plain = fitted.model.to_dict()
    accuracy = fitted.accuracy
    error = None if accuracy is None else accuracy.error
    fixed = []
    for i, row in enumerate(plain["fixed"]):
        size = 0.0 if fitted.exact else None if error is None else float(error[i])
        fixed.append({**row, "approx_error": size})
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
        "n_rows": sum(one.targets.n_rows for one in opened.values()),
        "fixed": fixed,
        "random": plain["random"],
        "dispersion": plain["dispersion"],
        "residual_sd": plain["residual_sd"],
        "loglik": plain["loglik"],
        "aic": plain["aic"],
        "bic": plain["bic"],
        "icc": plain["icc"],
        "ranef": plain["ranef"],
        "sites": _sites(study, opened, why),
        "diagnostics": {
            "moment_residual": fitted.residual,
            "order_shift": [] if shift is None else [float(v) for v in shift],
            "seed_spread": []
            if accuracy is None
            else [float(v) for v in accuracy.seed_spread],
            "eta_range": plain["eta_range"],
            "warnings": _warnings(study, opened, plain, fitted),
        },
        "pooled": None if pooled is None else dict(pooled),
        "privacy": None,
        "timing": {
            "summarise_s": summarise_s,
            "pseudodata_s": fitted.pseudodata_s,
            "fit_s": fitted.fit_s,
        },
        "provenance": {
            "run_id": run_id,
            "study_digest": study.digest,
            "seed": seed,
            "software": _version("fedglmm-flower"),
            "python": platform.python_version(),
            **{name: _version(name) for name in ("flwr", "numpy", "scipy", "pandas")},
        },
    }


def _sites(
    study: Study, opened: Mapping[str, Opened], why: Mapping[str, Refusal]
) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for site in sorted({*study.sites, *opened, *why}):
        one = opened.get(site)
        if one is not None:
            entries.append(
                {
                    "site": site,
                    "n_rows": one.released.clusters[0].n_rows,
                    "n_missing": one.released.n_missing,
                    "release_set": one.released.release_set,
                    "order": one.released.order,
                    "statistics": len(one.released.clusters[0].values),
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


def _warnings(
    study: Study, opened: Mapping[str, Opened], plain: dict[str, Any], fitted: Fitted
) -> list[str]:
    found = [str(text) for text in plain["warnings"]]
    if fitted.exact:
        return found
    lowered = [s for s, o in opened.items() if o.released.order < study.order]
    if lowered:
        found.append(
            f"{len(lowered)} of {len(opened)} sites sent moments of a lower order than "
            f"{study.order}, as their disclosure policy demands; estimates are less "
            "accurate"
        )
    if fitted.residual > 1e-3:
        found.append(
            f"the pseudo-data of at least one site miss a released moment by "
            f"{fitted.residual:.2g} standard deviations; usual where a site has fewer "
            "rows than numbers to match"
        )
    error = None if fitted.accuracy is None else fitted.accuracy.error
    if error is None:
        found.append(
            "at order 1 the accuracy of the approximation cannot be judged from the "
            "release; use a higher order"
        )
        return found
    se = [row["se"] for row in plain["fixed"]]
    large = [
        row["name"]
        for row, size, s in zip(plain["fixed"], error, se, strict=True)
        if s and size > 0.2 * s
    ]
    if large:
        found.append(
            "the approximation may move these estimates by more than 0.2 standard "
            f"errors: {', '.join(large)}; see approx_error, and use a higher order if "
            "the sites allow it"
        )
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
