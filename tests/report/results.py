"""Results to show: of three sites, with everything that a report can hold."""

from typing import Any


def fixed(name: str, estimate: float | None, se: float | None = 0.1) -> dict[str, Any]:
    """A row of the fixed effects; without a standard error, one that diverged."""
    if estimate is None or se is None:
        empty = dict.fromkeys(("se", "approx_error", "z", "p", "ci_low", "ci_high"))
        return {"name": name, "estimate": estimate, **empty}
    return {
        "name": name, "estimate": estimate, "se": se, "approx_error": 0.001,
        "z": estimate / se, "p": 0.01,
        "ci_low": estimate - 2 * se, "ci_high": estimate + 2 * se,
    }  # fmt: skip


def site(name: str, status: str = "used") -> dict[str, Any]:
    """An entry of the sites."""
    used = status == "used"
    found: dict[str, Any] = {
        "site": name, "n_rows": 100 if used else None,
        "n_missing": 0 if used else None,
        "release_set": "anchored" if used else None, "order": 4 if used else None,
        "statistics": 90 if used else 0, "bytes_sent": 2048 if used else 0,
        "status": status,
    }  # fmt: skip
    return found if used else {**found, "code": "disclosure-refused", "reason": "no"}


def full_result(name: str = "west") -> dict[str, Any]:
    """
    An approximate logistic fit with a pooled reference, noise and a warning.

    Parameters
    ----------
    name : str
        Of one of the sites, and of a level, a study and a warning.
    """
    effects = {"east": 0.2, name: -0.3}
    return {
        "format": 1,
        "study": {"name": f"study {name}", "formula": "y ~ x + g + (1 | site)"},
        "family": "binomial",
        "link": "logit",
        "method": "laplace",
        "converged": True,
        "exactness": "approximate",
        "n_sites": 2,
        "n_rows": 200,
        "fixed": [
            fixed("Intercept", -1.25),
            fixed("x", 0.5),
            fixed("g[T.b]", -0.7),
            fixed("g[T.c]", 30.0, None),
        ],
        "random": [
            {
                "group": "site", "term1": "Intercept", "term2": None, "sd": 0.3,
                "approx_error": 0.01,
            }
        ],
        "dispersion": None,
        "residual_sd": None,
        "loglik": -100.0,
        "aic": 206.0,
        "bic": 210.0,
        "icc": 0.03,
        "ranef": [
            {"group": "site", "level": k, "term": "Intercept", "estimate": v, "sd": 0.1}
            for k, v in effects.items()
        ],
        "sites": [site("east"), site("north", "refused"), site(name)],
        "diagnostics": {
            "moment_residual": 2e-12,
            "order_shift": [0.01, 0.02, 0.0, 0.0],
            "start_shift": [],
            "seed_spread": [0.001, 0.002, 0.0, 0.0],
            "eta_range": [-3.0, 2.0],
            "r2": {"marginal": 0.2, "conditional": 0.25},
            "warnings": [f"look at {name}"],
        },
        "pooled": {
            "fixed": [
                fixed("Intercept", -1.26),
                fixed("x", 0.51),
                fixed("g[T.b]", -0.69),
                fixed("g[T.c]", 29.0),
            ],
            "random": [
                {"group": "site", "term1": "Intercept", "term2": None, "sd": 0.31}
            ],
            "loglik": -99.0,
        },
        "privacy": {
            "epsilon": 1.0,
            "delta": 1e-6,
            "relation": "zero_out",
            "per_site": [{"site": "east", "epsilon": 1.0, "left": 2.0}],
        },
        "timing": {"summarise_s": 1.0, "pseudodata_s": 2.0, "fit_s": 0.5},
        "provenance": {
            "run_id": "r1", "study_digest": "d1", "seed": 7, "software": "0.1.0",
            "python": "3.11", "flwr": None,
        },
    }  # fmt: skip
