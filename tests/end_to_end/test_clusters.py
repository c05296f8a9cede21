"""Clinics inside hospitals, from formula to result, over one round."""

import json

import numpy as np
import pytest

from fedglmm_flower import simulate
from fedglmm_flower.errors import FitError
from fedglmm_flower.site import Policy
from fedglmm_flower.site.released import REMAINDER
from tests.clinics import HOSPITALS, clinics
from tests.end_to_end.test_reference_cases import columns, federation
from tests.reference.rows import load

EXPLICIT = (
    "(1 | hospital/clinic)",
    "(1 | hospital) + (1 | hospital:clinic)",
    "(1 | hospital) + (1 | ward)",
)
NESTED = (
    *EXPLICIT,
    "(1 | ward)",
    "(1 | hospital:clinic)",
    "(1 | hospital) + (1 + x | hospital:clinic)",
    "(1 + x || hospital/clinic)",
    "(1 | site/clinic)",
)


def run(table, formula, family, **options):
    """A simulation, with the pooled fit beside it."""
    options = {"disclosure": False, **options}
    found = simulate(
        table, formula, family, site_column="hospital", compare_pooled=True, **options
    )
    return found.to_dict()


def distance(result):
    """Largest shift from the pooled fit: coefficients in SE, and sds."""
    pooled = result["pooled"]
    fixed = [
        abs(ours["estimate"] - theirs["estimate"]) / theirs["se"]
        for ours, theirs in zip(result["fixed"], pooled["fixed"], strict=True)
    ]
    sds = [
        abs(ours["sd"] - theirs["sd"])
        for ours, theirs in zip(result["random"], pooled["random"], strict=True)
        if "sd" in theirs
    ]
    return max(fixed), max(sds)


@pytest.mark.parametrize("random", NESTED)
def test_gaussian_clusters_are_the_pooled_rows(random):
    """Sums of each cluster are all that a linear model sees of it."""
    result = run(clinics(), f"y ~ x + b + {random}", "gaussian")

    fixed, sds = distance(result)
    assert result["exactness"] == "exact"
    assert fixed < 1e-8
    assert sds < 1e-8
    assert result["loglik"] == pytest.approx(result["pooled"]["loglik"], abs=1e-8)


@pytest.mark.parametrize(("response", "family"), [("e", "binomial"), ("c", "poisson")])
@pytest.mark.parametrize(
    "random", ["(1 | hospital/clinic)", "(1 | hospital) + (1 + x | hospital:clinic)"]
)
def test_other_families_come_near(response, family, random):
    """Within a hundredth of a standard error, with pseudo-data for each clinic."""
    result = run(clinics(each=40), f"{response} ~ x + b + {random}", family)

    fixed, sds = distance(result)
    assert result["exactness"] == "approximate"
    assert fixed < 0.01
    assert sds < 0.001


@pytest.mark.parametrize(("response", "family"), [("e", "binomial"), ("c", "poisson")])
def test_factors_alone_are_exact(response, family):
    """The cells of every clinic are everything."""
    result = run(clinics(), f"{response} ~ b + (1 | hospital/clinic)", family)

    fixed, sds = distance(result)
    assert result["exactness"] == "exact"
    assert fixed < 1e-6
    assert sds < 1e-6


def test_lme4s_nested_pupils():
    """Primary schools inside secondary ones: every number of lme4's own fit."""
    about, _ = load("scotssec")
    formula = about["formulas"][1]
    fit = next(fit for fit in about["fits"] if fit.get("formula") == formula)

    result = federation("scotssec", formula, "gaussian", site_column="second")

    assert result["exactness"] == "exact"
    np.testing.assert_allclose(
        columns(result, "estimate"), columns(fit, "estimate"), rtol=1e-5
    )
    assert result["loglik"] == pytest.approx(fit["logLik"], rel=1e-8)


def test_lme4s_nested_regions():
    """Regions inside nations, of a few rows each, with an exposure."""
    about, _ = load("mmmec")
    formula = about["formulas"][2]
    fit = next(fit for fit in about["fits"] if fit.get("formula") == formula)

    result = federation("mmmec", formula, "poisson", site_column="nation")

    shift = columns(result, "estimate") - columns(fit, "estimate")
    assert np.abs(shift / columns(fit, "se")).max() < 1e-3
    assert result["loglik"] == pytest.approx(fit["logLik"], abs=0.01)


def test_random_effects_name_group_level_and_site():
    """Two levels, named as the design names them."""
    result = run(clinics(), "y ~ x + (1 | hospital/clinic)", "gaussian")

    levels: dict[str, list[str]] = {
        group: [] for group in ("hospital", "hospital:clinic")
    }
    for row in result["ranef"]:
        levels[row["group"]].append(row["level"])
        if ":" in row["group"]:
            assert row["site"] == row["level"].split(":")[0]
    assert levels["hospital"] == list(HOSPITALS)
    assert levels["hospital:clinic"] == [f"{h}:{c}" for h in HOSPITALS for c in "abcd"]
    assert [row["group"] for row in result["random"]] == list(levels)
    for entry in result["sites"]:
        assert (entry["n_rows"], entry["clusters"]) == (240, 4)
        assert entry["small_clusters"] is None


def test_each_site_receives_the_effects_of_its_own_clinics(tmp_path):
    """And of no other's, its random effects and counts included."""
    run(clinics(), "y ~ x + (1 | hospital) + (1 | ward)", "gaussian", out=tmp_path)

    for hospital in HOSPITALS:
        text = (tmp_path / "sites" / hospital / "estimates.json").read_text()
        levels = {row["level"] for row in json.loads(text)["ranef"]}
        assert levels == {hospital, *(f"{hospital} {c}" for c in "abcd")}
        others = [f'"{other} a"' for other in HOSPITALS if other != hospital]
        assert [name for name in others if name in text] == []


def test_one_name_at_two_sites_is_told_and_not_guessed():
    """lme4 would make one clinic of it, and the sites may mean two."""
    with pytest.raises(FitError, match=r"write \(\.\.\. \| hospital:clinic\)"):
        run(clinics(), "y ~ x + (1 | hospital) + (1 | clinic)", "gaussian")


def test_numbered_clinics_are_told_apart_by_their_site():
    """A number says nothing across sites."""
    policy = Policy(cluster_names="numbered")
    table = clinics()
    result = run(
        table,
        "y ~ x + (1 | hospital) + (1 | ward)",
        "gaussian",
        disclosure=True,
        policy=policy,
    )

    assert distance(result)[0] < 1e-8
    levels = {row["level"] for row in result["ranef"] if row["group"] == "ward"}
    assert levels == {f"{h}:#{k}" for h in HOSPITALS for k in range(1, 5)}


@pytest.mark.parametrize("small", ["pool", "leave_out"])
def test_small_clinics_are_counted_in_sites_and_warnings(small):
    """Rows pooled are in the fit; rows left out are not; both are said."""
    table = clinics(each=60, count=5)
    cell = table.groupby(["hospital", "clinic"]).cumcount()
    table = table[(table.clinic < "c") | (cell < 30)]
    formula = "y ~ x + b + (1 | hospital/clinic)"
    policy = Policy(small_clusters=small)

    result = run(table, formula, "gaussian", disclosure=True, policy=policy)

    pooled = small == "pool"
    assert result["n_rows"] == (1050 if pooled else 600)
    treatment = "pooled" if pooled else "left_out"
    for entry in result["sites"]:
        told = {"treatment": treatment, "clusters": 3, "n_rows": 90}
        assert (entry["clusters"], entry["small_clusters"]) == (2, told)
    (warning,) = [w for w in result["diagnostics"]["warnings"] if "clusters of" in w]
    assert "15 clusters of 5 sites, 450 rows" in warning
    assert treatment.replace("_", " ") in warning
    remainders = [r for r in result["ranef"] if REMAINDER in r["level"]]
    assert len(remainders) == (5 if pooled else 0)


def test_clusters_that_nobody_sent_are_told_with_the_way_out():
    """Remainders alone say nothing of how clusters differ."""
    with pytest.raises(FitError, match=r"ask for \(1 \| hospital\)"):
        run(
            clinics(each=30),
            "y ~ x + (1 | hospital/clinic)",
            "gaussian",
            disclosure=True,
        )


def test_one_clinic_a_hospital_is_judged_as_in_a_pooled_fit():
    """Both levels are one: the engine says so of rows and of sums alike."""
    table = clinics(count=1)

    result = run(table, "y ~ x + (1 | hospital/clinic)", "gaussian")

    assert result["loglik"] == pytest.approx(result["pooled"]["loglik"], abs=1e-6)
    assert result["diagnostics"]["warnings"]


@pytest.mark.parametrize(("response", "family"), [("y", "gaussian"), ("c", "poisson")])
def test_clinics_of_one_row_are_fitted_without_a_gate(response, family):
    """A single row determines nothing of its own, and still counts."""
    table = clinics(each=20)
    cell = table.groupby(["hospital", "clinic"]).cumcount()
    table = table[(table.clinic != "d") | (cell < 1)]

    result = run(table, f"{response} ~ x + b + (1 | hospital/clinic)", family)

    assert distance(result)[0] < (1e-8 if family == "gaussian" else 0.02)
    assert all(entry["clusters"] == 4 for entry in result["sites"])


def test_the_same_clinics_give_the_same_numbers_whoever_else_takes_part():
    """Starts follow from a site's own clinics: the order of rows is nothing."""
    table = clinics(each=30, count=2)
    formula = "e ~ x + b + (1 | hospital/clinic)"
    one = run(table, formula, "binomial")
    two = run(table.sample(frac=1, random_state=1), formula, "binomial")

    for ours, theirs in zip(one["fixed"], two["fixed"], strict=True):
        assert ours["estimate"] == pytest.approx(theirs["estimate"], abs=1e-7)
