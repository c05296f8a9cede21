"""Further rounds that go wrong end in a clear state, on real rows from end to end."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.flower.simulate import simulate
from fedglmm_flower.report.text import summary_text

FORMULA = "y ~ x + (1 | site)"
# Sums of order 1 say so little that the one round is a poor start.
POOR: dict[str, Any] = {
    "order": 1, "release_set": "canonical", "disclosure": False, "seed": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Three sites of 40 rows that differ much, with a strong predictor."""
    rng = np.random.default_rng(2)
    site = np.repeat(np.arange(3), 40)
    x = rng.exponential(size=120) * (1 + site)
    eta = -1.5 + 1.5 * x + 2.0 * np.array([1.5, -1.0, 0.0])[site]
    y = (rng.random(120) < 1 / (1 + np.exp(-eta))).astype(int)
    return pd.DataFrame({"site": np.array(list("abc"))[site], "x": x, "y": y})


def test_a_step_that_diverges_leaves_the_one_round_result(table):
    """The first step lowers the sites' likelihood; the estimates stay, and why."""
    one = simulate(table, FORMULA, "binomial", **POOR).to_dict()
    found = simulate(table, FORMULA, "binomial", rounds="refine:1", **POOR).to_dict()
    notes = found["diagnostics"]["refinement"]
    text = " ".join(summary_text(found).split())

    assert notes["state"] == "no-ascent"
    assert notes["one_round_shift"] is None
    for key in ("fixed", "random", "loglik", "exactness"):
        assert found[key] == one[key]
    assert any("diverge" in said for said in found["diagnostics"]["warnings"])
    assert "2 after the first (no-ascent); these are the estimates of the one" in text


def test_an_indefinite_information_on_the_way_is_mended_and_told():
    """Between sites that do not differ the likelihood bends both ways."""
    rng = np.random.default_rng(21)
    site = np.repeat(np.arange(3), 60)
    x = rng.exponential(size=180) * (1 + 0.5 * site)
    eta = -0.8 + 0.9 * x + (0.25 * rng.normal(size=3))[site]
    y = (rng.random(180) < 1 / (1 + np.exp(-eta))).astype(int)
    alike = pd.DataFrame({"site": np.array(list("abc"))[site], "x": x, "y": y})
    found = simulate(
        alike, FORMULA, "binomial", rounds="iterative", compare_pooled=True, **POOR
    ).to_dict()
    notes = found["diagnostics"]["refinement"]
    pairs = zip(found["fixed"], found["pooled"]["fixed"], strict=True)

    assert notes["regularised"] >= 1
    assert (notes["state"], found["exactness"]) == ("arrived", "exact")
    assert max(abs(a["estimate"] - b["estimate"]) / b["se"] for a, b in pairs) < 1e-6
    assert any("not positive definite" in s for s in found["diagnostics"]["warnings"])
