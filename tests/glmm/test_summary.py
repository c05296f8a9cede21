"""The printed summary, and the residuals in it."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from fedglmm_flower.glmm import (
    FittedModel,
    fit_rows,
    summary,
)
from fedglmm_flower.glmm.residuals import scaled_residuals
from tests.laws.designs import model
from tests.reference.rows import load, reference_rows

CBPP = "cbind(incidence, size - incidence) ~ period + (1 | herd)"


@cache
def reference(name: str, formula: str, method: str | None = None) -> FittedModel:
    """A fit of a reference set, made once."""
    family = load(name)[0]["family"]
    return fit_rows(reference_rows(name, formula), family=family, method=method)


def test_scaled_residuals_agree_with_lme4():
    """As quantile(residuals(glmer(...), "pearson", scaled = TRUE))."""
    residuals = scaled_residuals(reference("cbpp", CBPP))

    assert residuals is not None
    expected = [-2.3817928614, -0.7888112396, -0.2024126665, 0.5146014862, 2.8796156121]
    np.testing.assert_allclose(
        np.quantile(residuals, [0, 0.25, 0.5, 0.75, 1]), expected, atol=2e-6
    )


@pytest.mark.parametrize("family", ["poisson", "gamma", "nbinom2", "gaussian"])
def test_scaled_residuals_have_unit_size(family):
    """Over the family's own standard deviation; pseudo-data have none."""
    link = "identity" if family == "gaussian" else "log"
    rows = model(family, link, "intercept", seed=37)
    rows = replace(rows, weights=np.ones(len(rows.response)))

    residuals = scaled_residuals(fit_rows(rows, family=family))

    assert residuals is not None
    assert 0.75 < float(np.std(residuals)) < 1.25
    pseudo = fit_rows(replace(rows, constant=0.0), family=family)
    assert scaled_residuals(pseudo) is None


def test_summary_of_a_linear_model():
    """The summary follows lme4's order and carries sites and degrees of freedom."""
    text = summary(
        reference("sleepstudy", "Reaction ~ Days + (Days | Subject)"),
        "Reaction ~ Days + (Days | Subject)",
    )

    order = [
        "Linear mixed model fit by REML",
        "Formula:",
        "AIC",
        "Scaled residuals:",
        "Random effects:",
        "Number of obs: 180, Subject: 18",
        "Rows per Subject: min 10, median 10, max 10",
        "Fixed effects:",
        "Correlation of fixed effects:",
    ]
    positions = [text.index(part) for part in order]
    assert positions == sorted(positions)
    assert "251.405     6.82456  17.0   36.838" in text


def test_summary_puts_the_verdict_before_the_table():
    """What to doubt comes before the numbers."""
    fit = reference(
        "scotssec",
        "attain ~ verbal + sex + social + (1 | second) + (1 | second:primary)",
        "ml",
    )
    text = summary(fit)

    assert text.index("BOUNDARY") < text.index("Fixed effects:")
