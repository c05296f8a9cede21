"""A result as text: what must be read first stands first."""

import copy

import numpy as np
import pytest

from fedglmm_flower.report.text import WIDTH, summary_text


def unwrapped(result):
    """The summary as one line, however it is broken."""
    return " ".join(summary_text(result).split())


def fixed(name, estimate, se=0.1, error: float | None = 0.001):
    """A row of the fixed effects."""
    z = estimate / se
    return {
        "name": name, "estimate": estimate, "se": se, "approx_error": error, "z": z,
        "p": 0.01, "ci_low": estimate - 2 * se, "ci_high": estimate + 2 * se,
    }  # fmt: skip


def site(name, status="used", n=100):
    """An entry of the sites."""
    used = status == "used"
    return {
        "site": name, "n_rows": n if used else None, "n_missing": 0,
        "release_set": "canonical", "order": 4, "statistics": 90 if used else 0,
        "bytes_sent": 2048 if used else 0, "status": status,
    }  # fmt: skip


@pytest.fixture
def result():
    """An approximate fit of three sites, one of which refused."""
    return {
        "study": {"formula": "y ~ x + (1 | site)"},
        "family": "binomial",
        "link": "logit",
        "method": "laplace",
        "converged": True,
        "exactness": "approximate",
        "fixed": [fixed("Intercept", -1.25), fixed("x", 0.5, error=None)],
        "random": [{"group": "site", "term1": "Intercept", "term2": None, "sd": 0.3}],
        "dispersion": None,
        "residual_sd": None,
        "loglik": -100.0,
        "aic": 206.0,
        "bic": 210.0,
        "sites": [site("east"), site("north", "refused"), site("west", n=50)],
        "diagnostics": {"moment_residual": 2e-12, "warnings": []},
        "pooled": None,
    }


def test_warnings_stand_before_the_tables(result):
    """Whoever reads from the top meets the warnings before any estimate."""
    result["converged"] = False
    result["diagnostics"]["warnings"] = ["the sky is falling"]

    text = summary_text(result)

    first = text.index("Random effects:")
    assert text.index("WARNING: the fit has not converged") < first
    assert text.index("Warning: the sky is falling") < first
    assert text.index("Random effects:") < text.index("Fixed effects:")


def test_a_converged_fit_does_not_warn(result):
    """No warning, no word of it."""
    assert "warning" not in summary_text(result).lower()


def test_approximate_fits_say_so_and_by_how_much(result):
    """The label, the residual and the size of the error in standard errors."""
    text = unwrapped(result)

    assert "approximate: pseudo-data miss no moment by more than 2e-12 sd" in text
    assert "within about 0.01 standard errors" in text
    assert "unknown" in text
    assert "exact:" not in text


def test_exact_fits_say_so(result):
    """An exact fit is labelled, and its coefficients carry no error."""
    result["exactness"] = "exact"
    result["fixed"] = [fixed("Intercept", -1.25, error=0.0)]

    text = summary_text(result)

    assert "exact: the estimates are those of the pooled rows" in text
    assert "none" in text.splitlines()[-1]
    assert "approximate" not in text


def test_refused_and_missing_sites_are_named(result):
    """Who is not in the estimates stands in the head."""
    result["sites"].append(site("south", "missing"))

    text = unwrapped(result)

    assert "2 of 4 used, 150 rows" in text
    assert "Refused: north" in text
    assert "Missing: south" in text


def test_hidden_row_counts_are_not_shown(result):
    """Where a mechanism hides the counts, the summary does without."""
    for entry in result["sites"]:
        entry["n_rows"] = None

    assert "rows" not in summary_text(result).split("Sent:")[0]


def test_many_refused_sites_are_cut_short(result):
    """A long list of names does not drown the rest."""
    result["sites"] += [site(f"s{i}", "refused") for i in range(20)]

    text = unwrapped(result)

    assert "Refused: north, s0, s1, s2, s3, s4, s5, s6, ... (21 in all)" in text
    assert "s7" not in text


def test_sites_are_told_by_what_they_refused_for(result):
    """One line for each reason, and where the rule that failed can be seen."""
    why = {"gate": "disclosure-refused", "none": "site-empty", "old": "wire-invalid"}
    result["sites"] = [site("east"), site("west")]
    result["sites"] += [
        {**site(f"{name}{i}", "refused"), "code": code}
        for i in range(2)
        for name, code in why.items()
    ]

    text = unwrapped(result)

    assert text.count("Refused:") == 3
    pointer = "'fedglmm site preview' there shows why"
    assert f"Refused: gate0, gate1 (disclosure-refused); {pointer}" in text
    assert "Refused: old0, old1 (wire-invalid) Refused" in text
    assert text.count(pointer) == 2


def test_the_error_of_a_standard_deviation_stands_beside_it(result):
    """Known, unknown, and none of an exact fit; no column where there is no error."""
    (sd,) = result["random"]
    result["random"] = [
        {**sd, "approx_error": 0.0123},
        {**sd, "term1": "x", "approx_error": None},
        {"group": "site", "term1": "Intercept", "term2": "x", "corr": 0.5},
    ]
    result["residual_sd"] = 2.0

    lines = summary_text(result).splitlines()
    head, first, second, residual = lines[lines.index("Random effects:") + 1 :][:4]
    result["exactness"] = "exact"

    assert head.split()[3:] == ["Std.Dev.", "approx.", "error", "Corr"]
    assert first.split()[-2:] == ["0.3", "0.012"]
    assert second.split()[-3:] == ["0.3", "unknown", "0.50"]
    assert residual.split() == ["Residual", "4", "2"]
    assert summary_text(result).split("Fixed effects")[0].count("none") == 2
    result["random"] = [sd]
    assert "approx. error" not in summary_text(result).split("Fixed effects")[0]


@pytest.mark.parametrize(
    ("family", "method", "random", "title"),
    [
        ("gaussian", "reml", True, "Linear mixed model fit by REML"),
        ("gaussian", "ml", False, "Linear model fit by maximum likelihood"),
        ("poisson", "laplace", True, "(Laplace approximation)"),
        ("binomial", "aghq:9", True, "(adaptive Gauss-Hermite quadrature, 9 nodes)"),
    ],
)
def test_the_title_names_model_and_estimator(result, family, method, random, title):
    """What was fitted, and how, is the first line."""
    result.update(family=family, method=method)
    if not random:
        result["random"] = []

    text = unwrapped(result)

    assert title in text.split("Family:")[0]
    assert ("Random effects:" in text) == random


def test_the_pooled_fit_is_compared_coefficient_by_coefficient(result):
    """Shift and shift in standard errors stand beside the pooled estimates."""
    result["pooled"] = {
        "fixed": [fixed("Intercept", -1.0), fixed("x", 0.5)],
        "random": [{"group": "site", "term1": "Intercept", "term2": None, "sd": 0.2}],
    }

    text = summary_text(result).split("Pooled fit")[1]

    row = next(line for line in text.splitlines() if "Intercept" in line).split()
    assert row[1:] == ["-1", "0.1", "-0.25", "-2.5"]
    assert "sd site Intercept" in text
    assert "+0.1" in text


def test_correlations_and_residuals_are_shown(result):
    """Slopes with a correlation, a residual and a dispersion have their places."""
    result["random"] += [
        {"group": "site", "term1": "x", "term2": None, "sd": 0.2},
        {"group": "site", "term1": "z", "term2": None, "sd": 0.0},
        {"group": "site", "term1": "Intercept", "term2": "x", "corr": -0.25},
        {"group": "site", "term1": "x", "term2": "z", "corr": None},
    ]
    result.update(residual_sd=2.5, dispersion=6.25)

    text = summary_text(result)

    lines = text.splitlines()
    (x,) = [i for i, line in enumerate(lines) if line.split()[:2] == ["x", "0.04"]]
    assert lines[x].split()[-1] == "-0.25"
    assert lines[x + 1].split()[-1] == "--"
    assert "Residual" in text
    assert "Dispersion (theta): 6.25" in text


def test_numbers_of_rows_and_clusters_stand_between_the_tables(result):
    """In lme4's place, as the summary of a fit on a table has them."""
    effect = {"group": "site", "term": "Intercept", "estimate": 0.0, "sd": 0.1}
    result.update(
        n_rows=150, ranef=[{**effect, "level": "east"}, {**effect, "level": "west"}]
    )

    text = summary_text(result)

    assert "Number of obs: 150, site: 2" in text
    at = text.index("Number of obs")
    assert text.index("Random effects:") < at < text.index("Fixed effects:")


def test_unknown_standard_errors_are_na(result):
    """A singular fit prints a dash where there is no number, and does not fail."""
    row = fixed("x", 0.5)
    result["fixed"] = [{**row, "se": None, "z": None, "p": None}]

    line = summary_text(result).splitlines()[-1]

    assert " -" in line
    assert "None" not in line


def test_tiny_p_values_are_bounds(result):
    """Below the smallest sensible number a bound is printed."""
    result["fixed"] = [{**fixed("x", 0.5), "p": 1e-300}]

    assert "<2e-16" in summary_text(result)


def test_lines_fit_the_page_and_columns_align(result):
    """Lines hold at most 88 characters, and numbers are flush right."""
    result["diagnostics"]["warnings"] = ["long " * 60]

    lines = summary_text(result).splitlines()

    assert max(map(len, lines)) <= WIDTH
    table = lines[lines.index("Fixed effects:") + 1 :]
    assert len({len(line) for line in table}) == 1


def test_the_result_is_not_changed(result):
    """A report reads; it does not write."""
    before = copy.deepcopy(result)
    summary_text(result)

    assert result == before
    assert np.isfinite(result["loglik"])
