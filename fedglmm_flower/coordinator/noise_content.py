"""The content of ``result.json`` where the releases carry noise."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from fedglmm_flower.coordinator.content import (
    provenance,
    refused_warnings,
    site_entries,
)
from fedglmm_flower.coordinator.noise import NoisyOutcome
from fedglmm_flower.coordinator.opening import Opened, Refusal
from fedglmm_flower.coordinator.result import FORMAT
from fedglmm_flower.study.grouping import is_site
from fedglmm_flower.study.study import Study

FloatArray = npt.NDArray[np.float64]
METHOD: Final = "noise_reml"
# Growth of a standard error: up to it green, up to the next amber, beyond red.
GREEN, AMBER = 1.1, 1.5
# An interval whose centre is off by half its standard error covers 92 %.
MOST_OFF: Final = 0.5


def noisy_values(
    study: Study,
    opened: Mapping[str, Opened],
    why: Mapping[str, Refusal],
    outcome: NoisyOutcome,
    run_id: str,
    summarise_s: float,
    pooled: Mapping[str, Any] | None,
    seed: int,
) -> dict[str, Any]:
    """
    Content of ``result.json``; see :func:`~fedglmm_flower.coordinator.content`.

    There is no log-likelihood of the rows, hence no criterion.  The number of rows is
    told where every site's relation holds it public.
    """
    told = [one.told_rows for one in opened.values()]
    return {
        "format": FORMAT,
        "study": dict(study.plain),
        "family": study.family,
        "link": study.link,
        "method": METHOD,
        "converged": outcome.fit.converged,
        "exactness": "approximate",
        "n_sites": len(opened),
        "n_rows": None if None in told else sum(n for n in told if n is not None),
        "fixed": _fixed(study, outcome),
        "random": _random(study, outcome),
        "dispersion": None,
        "residual_sd": None,
        "loglik": None,
        "aic": None,
        "bic": None,
        "icc": None,
        "ranef": _ranef(study, outcome),
        "sites": site_entries(study, opened, why),
        "diagnostics": {
            "moment_residual": None,
            "order_shift": [],
            "start_shift": [],
            "seed_spread": [],
            "eta_range": None,
            "warnings": _warnings(study, opened, why, outcome),
        },
        "pooled": None if pooled is None else dict(pooled),
        "privacy": _privacy(study, opened, outcome),
        "timing": {
            "summarise_s": summarise_s,
            "pseudodata_s": 0.0,
            "fit_s": outcome.fit_s,
        },
        "provenance": provenance(study, run_id, seed),
    }


def _fixed(study: Study, outcome: NoisyOutcome) -> list[dict[str, Any]]:
    errors = np.sqrt(np.diag(outcome.covariance))
    quantile = float(ndtri(0.975))
    rows = []
    columns = zip(study.model.fixed, outcome.fixed, errors, outcome.shape, strict=True)
    for column, b, s, off in columns:
        rows.append(
            {
                "name": column.name,
                "estimate": float(b),
                "se": float(s),
                "approx_error": float(off),
                "z": float(b / s),
                "p": float(2.0 * ndtr(-abs(b / s))),
                "ci_low": float(b - quantile * s),
                "ci_high": float(b + quantile * s),
            }
        )
    return rows


def _random(study: Study, outcome: NoisyOutcome) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    sds = iter(outcome.sds.tolist())
    for effect, sigma in zip(study.model.random, outcome.fit.mixed.sigmas, strict=True):
        names = [column.name for column in effect.columns]
        for name in names:
            row = {"group": effect.name, "term1": name, "term2": None}
            rows.append({**row, "sd": next(sds)})
        if not effect.correlated:
            continue
        scale = np.sqrt(np.diag(sigma))
        for i, first in enumerate(names):
            for j in range(i + 1, len(names)):
                size = float(scale[i] * scale[j])
                corr = float(sigma[i, j]) / size if size > 0 else None
                pair = {"term1": first, "term2": names[j], "corr": corr}
                rows.append({"group": effect.name, **pair})
    return rows


def _ranef(study: Study, outcome: NoisyOutcome) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    sums, mixed = outcome.sums, outcome.fit.mixed
    names = outcome.sums.owners
    for effect, term, levels in zip(
        study.model.random, sums.terms, mixed.effects, strict=True
    ):
        own = all(is_site(name, study.site_column) for name in effect.group)
        owner = dict(zip(term.labels, names, strict=True))
        for level, (mean, spread) in levels.items():
            for j, column in enumerate(effect.columns):
                row = {
                    "group": effect.name,
                    "level": level,
                    "term": column.name,
                    "estimate": float(mean[j]),
                    "sd": float(np.sqrt(max(spread[j, j], 0.0))),
                }
                # Effects of clusters name their site, which alone receives them.
                rows.append(row if own else {**row, "site": owner[level]})
    return rows


def _warnings(
    study: Study,
    opened: Mapping[str, Opened],
    why: Mapping[str, Refusal],
    outcome: NoisyOutcome,
) -> list[str]:
    found = refused_warnings(opened, why)
    draws = outcome.draws
    if draws is not None and not draws.usable:
        found.append(
            f"{draws.failed} of {draws.failed + len(draws.fixed)} bootstrap fits "
            "failed; the intervals are the analytic ones, and too much noise for "
            "either is likely: see 'fedglmm privacy plan'"
        )
    for name, grown in _inflation(study, outcome).items():
        if grown > AMBER:
            found.append(
                f"noise widens the interval of {name} {grown:.2g} times: as if "
                f"{100 / grown**2:.0f} % of the rows had been there without it"
            )
    errors = np.sqrt(np.diag(outcome.covariance))
    for column, off, s in zip(study.model.fixed, outcome.shape, errors, strict=True):
        if off > MOST_OFF * s:
            found.append(
                f"{column.name}: skewed columns would move the estimate by {off:.2g}, "
                f"{off / s:.2g} of its standard error, which its interval does not "
                "hold; a public anchor or a higher order tells more of the columns"
            )
    if any(
        one.released.noise and one.released.noise.unit == "unit"
        for one in opened.values()
    ):
        found.append(
            "patients have several rows, which are taken as independent given their "
            "site, and clipping of patients is not corrected for"
        )
    return found


def _inflation(study: Study, outcome: NoisyOutcome) -> dict[str, float]:
    noisy = np.sqrt(np.diag(outcome.fit.mixed.covariance))
    plain = np.sqrt(np.diag(outcome.fit.plain))
    names = [column.name for column in study.model.fixed]
    return {name: float(v) for name, v in zip(names, noisy / plain, strict=True)}


def _privacy(
    study: Study, opened: Mapping[str, Opened], outcome: NoisyOutcome
) -> dict[str, Any]:
    per_site = []
    for site, one in opened.items():
        spent, noise = one.released.spent, one.released.noise
        assert noise is not None  # noqa: S101 - all releases carry noise here
        per_site.append(
            {
                "site": site,
                "epsilon": spent.epsilon,
                "delta": spent.delta,
                "relation": spent.relation,
                "rho": noise.rho,
                "unit": noise.unit,
                "clipping_norm": noise.norm,
                "mechanism": spent.mechanism,
            }
        )
    relations = sorted({str(entry["relation"]) for entry in per_site})
    draws = outcome.draws
    return {
        "epsilon": max(one.released.spent.epsilon for one in opened.values()),
        "delta": max(one.released.spent.delta for one in opened.values()),
        "relation": relations[0] if len(relations) == 1 else "mixed",
        "intervals": "bootstrap" if outcome.by_bootstrap else "analytic",
        "intervals_include_noise": True,
        "bootstrap_draws": None if draws is None else len(draws.fixed),
        "bootstrap_failed": None if draws is None else draws.failed,
        "se_inflation": _inflation(study, outcome),
        "per_site": per_site,
    }
