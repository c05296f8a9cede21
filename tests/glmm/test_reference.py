"""Every stored lme4 and glmmTMB fit, to the accuracy that fit has itself."""

from typing import Any

import numpy as np
import pytest

from fedglmm_flower.glmm import FittedModel, fit_rows
from tests.reference.rows import load, method_of, reference_rows

NAMES = (
    "cbpp",
    "chop",
    "contraception",
    "dietox_gamma",
    "dyestuff",
    "epil",
    "exam",
    "hsb82",
    "mmmec",
    "salamanders",
    "scotssec",
    "sleepstudy",
    "toenail",
    "verbagg",
)
FAMILIES = {"Gamma": "gamma"}

# Fits that stop early: their estimates are good to 1e-4 standard errors or so.
# glmmTMB stops when nlminb does; `chop` holds plain lme4 fits without polish.
EARLY = ("chop",)


def cases() -> list[tuple[str, dict[str, Any]]]:
    """Reference fits that estimate what we do."""
    found = []
    for name in NAMES:
        about, _ = load(name)
        for fit in about["fits"]:
            if fit["method"] == "glmer.nb Laplace":
                continue  # Laplace with the expected information: another estimator
            if name == "dietox_gamma" and "TMB" not in fit["method"]:
                continue  # lme4 keeps the dispersion out of the likelihood
            found.append((name, {"formula": about["formula"], **fit}))
    return found


def fitted(name: str, fit: dict[str, Any]) -> FittedModel:
    """Our fit of a reference case."""
    about, _ = load(name)
    family = FAMILIES.get(about["family"], about["family"])
    if "nbinom2" in fit["method"]:
        family = "nbinom2"
    rows = reference_rows(name, fit["formula"])
    return fit_rows(rows, family=family, method=method_of(fit))


def expected_sds(fit: dict[str, Any]) -> list[float]:
    """Standard deviations of a reference fit, without the residual."""
    sds: list[float] = []
    for row in fit["random"]:
        if row["grp"] == "Residual" or row.get("var2"):
            continue
        sd = row["sdcor"] if "sdcor" in row else row["sd"]
        sds.extend(np.ravel(sd))
    return sorted(sds)


@pytest.mark.parametrize(
    ("name", "fit"), cases(), ids=lambda c: c if isinstance(c, str) else c["method"]
)
def test_agrees_with_reference(name, fit):
    """Estimates, standard errors, sds and logLik are those of the reference."""
    ours = fitted(name, fit)

    early = name in EARLY or "TMB" in fit["method"]
    estimates = np.array([f["estimate"] for f in fit["fixed"]])
    se = np.array([f["se"] for f in fit["fixed"]])
    sds = np.sort(np.concatenate([r.sd for r in ours.random]))
    loglik = fit.get("logLik_full_own_k") or fit["logLik"]
    assert ours.converged
    assert np.max(np.abs(ours.estimates - estimates) / se) < (3e-4 if early else 1e-5)
    # lme4's Laplace objective is noisy in its last digits, which differences magnify.
    np.testing.assert_allclose(ours.se, se, rtol=1e-3)
    rtol = 1e-4 if early else 5e-6
    np.testing.assert_allclose(sds, expected_sds(fit), rtol=rtol, atol=1e-9)
    assert ours.loglik == pytest.approx(loglik, abs=1e-5)
    if "AGQ" not in fit["method"]:  # where lme4 drops constants
        assert ours.aic == pytest.approx(fit["AIC"], abs=1e-4)
        assert ours.bic == pytest.approx(fit["BIC"], abs=1e-4)


@pytest.mark.parametrize(
    ("name", "which"),
    [("sleepstudy", 2), ("contraception", 0), ("dyestuff", 1), ("mmmec", 0)],
)
def test_random_effects_agree_with_lme4(name, which):
    """Conditional modes and their conditional standard deviations are lme4's."""
    about, _ = load(name)
    fit = {"formula": about["formula"], **about["fits"][which]}
    ours = {
        (r["level"], r["term"]): (r["estimate"], r["sd"])
        for r in fitted(name, fit).ranef()
    }

    for row in fit["blups_first10"]:
        for term, blup in row["blup"].items():
            key = (row["site"], "Intercept" if "Intercept" in term else term)
            assert ours[key][0] == pytest.approx(blup, rel=1e-5, abs=1e-6)
            assert ours[key][1] == pytest.approx(row["condsd"][term], rel=1e-5)
