"""A site's own fit check, against the residuals of the same model on pooled rows."""

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.errors import DataError
from fedglmm_flower.glmm import fit
from fedglmm_flower.glmm.residuals import scaled_residuals
from fedglmm_flower.site import FrameSource, Policy
from fedglmm_flower.site.fit_check import fit_check
from fedglmm_flower.site.whole_table import read_table, study_of_table
from tests.command import small_table

MODELS = {
    "gaussian": "y ~ x + g + (1 | hospital)",
    "binomial": "e ~ x + g + (1 + x | hospital)",
    "poisson": "c ~ x + offset(log(`expo-sure`)) + (1 | hospital)",
    "trials": "cbind(k, `n of trials` - k) ~ x + (1 | hospital)",
    "nested": "y ~ x + (1 | hospital/g)",
}


def checked(name: str, site: str = "b", policy: Policy = Policy()):  # noqa: B008 - a frozen value
    """The check of one site, the pooled fit, and its residuals at the site."""
    table, formula = small_table(), MODELS[name]
    family = {"trials": "binomial", "nested": "gaussian"}.get(name, name)
    model = fit(formula, table, family=family)
    study = study_of_table(
        read_table(table), formula, family, link=None, site_column="hospital",
        trials=None, offset=None, weights=None, levels={}, study=None, order=2,
        release_set="canonical", method=None, anchor=None,
    ).study  # fmt: skip
    rows = table[table.hospital == site]
    found = fit_check(study, FrameSource(rows), policy, model.to_dict(), site=site)
    residuals = scaled_residuals(model)
    assert residuals is not None
    return found, residuals[(table.hospital == site).to_numpy()], rows


@pytest.mark.parametrize("name", MODELS)
def test_the_check_is_that_of_the_models_own_residuals(name):
    """With the site's own effects, and those of its clusters."""
    found, residuals, rows = checked(name)

    assert found["n_rows"] == found["rows_with_own_effects"] == len(rows)
    assert found["pearson_dispersion"] == pytest.approx(np.mean(residuals**2), 1e-9)
    assert found["mean_residual"] == pytest.approx(np.mean(residuals), abs=1e-9)
    far = (np.abs(residuals) > 2).sum()
    assert found["far"] == (None if 0 < far < 5 else far / len(rows))


@pytest.mark.parametrize("name", MODELS)
def test_groups_of_calibration_hold_all_rows_and_are_never_small(name):
    """Their means are those of all rows, and predictions rise."""
    found, _, rows = checked(name)
    groups = found["calibration"]
    sizes = [group["rows"] for group in groups]

    assert 1 <= len(groups) <= 10
    assert sum(sizes) == len(rows)
    assert min(sizes) >= 5
    predicted = [group["predicted"] for group in groups]
    assert predicted == sorted(predicted)
    if name != "trials":
        mean = np.average([g["observed"] for g in groups], weights=sizes)
        assert mean == pytest.approx(found["observed"], 1e-12)
    if name == "binomial":
        events = [g["observed"] * g["rows"] for g in groups]
        assert min(events) >= 5
        assert min(np.subtract(sizes, events)) >= 5


def test_a_threshold_that_no_group_meets_leaves_none():
    """Fewer events than the officer's least are in no group."""
    found, _, _ = checked("binomial", policy=Policy(min_cell=100))

    assert found["calibration"] == []


def test_rows_without_an_own_effect_are_counted():
    """A site that was not used is predicted as an average one."""
    table = small_table()
    model = fit(MODELS["gaussian"], table, family="gaussian").to_dict()
    others = {**model, "ranef": [r for r in model["ranef"] if r["level"] != "b"]}
    study = study_of_table(
        read_table(table), MODELS["gaussian"], "gaussian", link=None, site_column=None,
        trials=None, offset=None, weights=None, levels={}, study=None, order=None,
        release_set=None, method=None, anchor=None,
    ).study  # fmt: skip
    rows = FrameSource(table[table.hospital == "b"])
    own = fit_check(study, rows, Policy(), model, site="b")
    average = fit_check(study, rows, Policy(), others, site="b")

    assert average["rows_with_own_effects"] == 0
    effect = next(r["estimate"] for r in model["ranef"] if r["level"] == "b")
    moved = own["predicted"] - average["predicted"]
    assert moved == pytest.approx(effect, 1e-9)
    for broken in ({**model, "fixed": model["fixed"][1:]},):
        with pytest.raises(DataError, match="coefficients"):
            fit_check(study, rows, Policy(), broken, site="b")
    with pytest.raises(DataError, match="no complete row"):
        fit_check(
            study, FrameSource(pd.DataFrame(table.iloc[:0])), Policy(), model, site="b"
        )
