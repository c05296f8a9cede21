"""Every stored lme4 and glmmTMB fit, to the accuracy that fit has itself."""

from typing import Any

import numpy as np
import pytest

from fedglmm_flower import glmm
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
    "gusto",
    "hsb82",
    "mmmec",
    "salamanders",
    "scotssec",
    "sleepstudy",
    "toenail",
    "verbagg",
)
FAMILIES = {"Gamma": "gamma"}

# Largest distance of an estimate in standard errors, of a standard deviation in
# parts, of the log-likelihood, and of a standard error in parts.
POLISHED = (1e-5, 5e-6, 1e-5, 1e-3)  # lme4, Newton steps to its own maximum
STOPPED = (1e-4, 1e-5, 1e-5, 1e-3)  # what an unpolished fit can still hold
LOOSE = (4e-4, 5e-5, 1e-5, 1e-3)
# Fits that stopped short of their own maximum, by set, method and part of the formula:
# ours has the larger likelihood.
KNOWN_LOOSE = {
    ("epil", "glmmTMB Laplace", ""): "nlminb ends in singular convergence, 2e-8 below",
    ("epil", "glmmTMB nbinom2", ""): "nlminb ends in singular convergence, 2e-8 below",
    ("salamanders", "glmmTMB nbinom2", "DOP"): "3e-8 below; less by rel.tol = 1e-14",
    ("dietox_gamma", "glmmTMB Laplace", "Litter/Pig"): "1e-8 below",
    ("gusto", "Laplace", ""): "plain lme4 at tolPwrss 1e-7, noisy by 3e-6",
    ("gusto", "AGQ 11", ""): "plain lme4 without polish, 1e-8 below",
}
UNPOLISHED = ("chop", "gusto")


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
            found.append((name, {"formula": about.get("formula"), **fit}))
    return found


def one_of_each() -> list[tuple[str, dict[str, Any]]]:
    """Of every formula and family the first fit, and one by quadrature."""
    found: dict[tuple[Any, ...], tuple[str, dict[str, Any]]] = {}
    for name, fit in cases():
        kind = family_of(name, fit)
        if fit["method"].startswith("AGQ"):
            kind = "by quadrature"
        found.setdefault((name, fit["formula"], kind), (name, fit))
    return list(found.values())


def family_of(name: str, fit: dict[str, Any]) -> str:
    """Our name of the family of a fit."""
    if "nbinom2" in fit["method"]:
        return "nbinom2"
    about, _ = load(name)
    return FAMILIES.get(about["family"], str(about["family"]))


def fitted(name: str, fit: dict[str, Any]) -> FittedModel:
    """Our fit of a reference case, from rows made with formulaic."""
    rows = reference_rows(name, fit["formula"])
    return fit_rows(rows, family=family_of(name, fit), method=method_of(fit))


def expected_sds(fit: dict[str, Any]) -> list[float]:
    """Standard deviations of a reference fit, without the residual."""
    sds: list[float] = []
    for row in fit["random"]:
        if row["grp"] == "Residual" or row.get("var2"):
            continue
        sd = row["sdcor"] if "sdcor" in row else row["sd"]
        sds.extend(np.ravel(sd))
    return sorted(sds)


def expected_correlations(fit: dict[str, Any]) -> list[float]:
    """Correlations of a reference fit, in lme4's or glmmTMB's form."""
    found = [row["sdcor"] for row in fit["random"] if row.get("var2")]
    found += [r["corr"][1] for r in fit["random"] if len(np.ravel(r.get("corr"))) == 4]
    return sorted(found)


def agree(ours: FittedModel, name: str, fit: dict[str, Any]) -> None:
    """All that a fit says, within the bounds that the reference can bear."""
    stopped = name in UNPOLISHED or "TMB" in fit["method"]
    bounds = STOPPED if stopped else POLISHED
    estimates = np.array([f["estimate"] for f in fit["fixed"]])
    se = np.array([f["se"] for f in fit["fixed"]])
    sds = np.sort(np.concatenate([r.sd for r in ours.random]))
    loglik = fit.get("logLik_full_own_k") or fit["logLik"]
    if any(
        (name, fit["method"]) == (n, m) and part in fit["formula"]
        for n, m, part in KNOWN_LOOSE
    ):
        bounds = LOOSE
        # The noise of lme4's objective may be in its favour.
        noise = 5e-6 if (name, fit["method"]) == ("gusto", "Laplace") else 1e-9
        assert ours.loglik > loglik - noise
    in_se, relative, absolute, of_se = bounds

    assert ours.converged
    assert np.max(np.abs(ours.estimates - estimates) / se) < in_se
    # lme4's Laplace objective is noisy in its last digits, which differences magnify.
    np.testing.assert_allclose(ours.se, se, rtol=of_se)
    np.testing.assert_allclose(sds, expected_sds(fit), rtol=relative, atol=1e-9)
    correlations = [r["corr"] for r in ours.variance_components() if "corr" in r]
    np.testing.assert_allclose(
        sorted(correlations), expected_correlations(fit), atol=10 * relative
    )
    assert ours.loglik == pytest.approx(loglik, abs=absolute)
    residual = [row["sdcor"] for row in fit["random"] if row["grp"] == "Residual"]
    if residual:
        assert ours.residual_sd == pytest.approx(residual[0], rel=relative)
    if ours.dispersion is not None:
        phi = fit["sigma"] ** 2 if ours.family == "gamma" else fit["sigma"]
        assert ours.dispersion == pytest.approx(phi, rel=2 * relative)
    if name != "gusto" and "AGQ" in fit["method"] and name != "chop":
        return  # lme4 drops constants there
    assert ours.aic == pytest.approx(fit["AIC"], abs=1e-4)
    assert ours.bic == pytest.approx(fit["BIC"], abs=1e-4)


def label(value: object) -> str:
    """Short names of the cases."""
    return value if isinstance(value, str) else str(value["method"])  # type: ignore[index]


@pytest.mark.parametrize(("name", "fit"), cases(), ids=label)
def test_agrees_with_reference(name, fit):
    """Every number of every stored fit, from rows that ``study/`` had no part in."""
    agree(fitted(name, fit), name, fit)


@pytest.mark.parametrize(("name", "fit"), one_of_each(), ids=label)
def test_a_formula_on_the_table_agrees_too(name, fit):
    """Trials, offsets, slopes, nesting and powers by lme4's formula on the CSV."""
    _, table = load(name)

    ours = glmm.fit(
        fit["formula"], table, family=family_of(name, fit), method=method_of(fit)
    )

    agree(ours, name, fit)


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
