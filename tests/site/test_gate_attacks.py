"""What a hostile but approved study could ask, and the rule that refuses it."""

from itertools import combinations_with_replacement

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.errors import DisclosureError
from fedglmm_flower.site import NO_DISCLOSURE_CONTROL, Policy
from fedglmm_flower.site.expressions import free_expressions
from fedglmm_flower.site.gate import clear, inspect
from fedglmm_flower.study import Column
from tests.site.conftest import COLUMNS, ask, moments_of

BUMP = "exp(-1000*(age - 83)**2)"


def failed(study, frame, policy=None):
    """Names of the rules that order one breaks."""
    moments = moments_of(study, frame)
    findings = inspect(study.model, moments, study.statistics(1), policy or Policy())
    return {finding.rule for finding in findings if not finding.passed}


@pytest.mark.parametrize(
    "study",
    [
        ask("died ~ cost", "binomial", weights=f"1e-9 + {BUMP}"),
        ask("count ~ cost", "poisson", offset="-1000*(age - 83)**2"),
        ask(f"I({BUMP}) ~ cost"),
        ask("died ~ cost", "binomial", trials=f"1 + 1000000*{BUMP}"),
        ask(f"died ~ I(1 + {BUMP})", "binomial"),
        ask("died ~ cost", "binomial", offset=f"1 + {BUMP}"),
        ask("died ~ I(age / cost)", "binomial"),
        ask("died ~ log(age * cost)", "binomial"),
        ask("died ~ abs(age)", "binomial"),
        ask("died ~ I(age**0.5)", "binomial"),
        ask("died ~ I(age + cost)", "binomial"),
        ask("died ~ age", "binomial", weights="2*weight"),
    ],
)
def test_an_expression_that_may_single_out_a_patient_is_named(study):
    """The officer may allow it; nobody else may."""
    assert list(free_expressions(study.model))


@pytest.mark.parametrize(
    "study",
    [
        ask("died ~ age*cost + I(age**2) + log(cost) + log1p(age)", "binomial"),
        ask("died ~ sqrt(cost + 1) + I((age - 50) / 10) + female", "binomial"),
        ask("log(cost) ~ I(age**2 * exposure)"),
        ask("cbind(count, trials - count) ~ age", "binomial"),
        ask("count ~ age", "poisson", offset="log(exposure) + 2*cost - 1"),
        ask("died ~ age + offset(0.5*cost + log(exposure))", "binomial"),
        ask("died ~ age", "binomial", weights="weight"),
    ],
)
def test_ordinary_transformations_are_accepted(study):
    """Columns, their logarithms and roots, and whole powers and products of these."""
    assert list(free_expressions(study.model)) == []


def test_only_the_officer_allows_expressions(table):
    """The refusal names the expression; the policy or no gate lets it pass."""
    study = ask("died ~ I(age / cost)", "binomial", order=1)
    moments = moments_of(study, table)
    with pytest.raises(DisclosureError, match="age / cost"):
        clear(study.model, moments, Policy(), study.offers)
    assert failed(study, table, Policy(allow_expressions=True)) == set()
    assert clear(study.model, moments, NO_DISCLOSURE_CONTROL, study.offers).order == 1


@pytest.mark.parametrize(
    "study",
    [
        ask("died ~ age", "binomial", weights="cost"),
        ask("count ~ age", "poisson", offset="cost"),
        ask("count ~ age", "poisson", offset="log(cost)"),
        ask("cbind(count, cost - count) ~ age", "binomial"),
    ],
)
def test_a_record_that_outweighs_all_others_is_refused(table, study):
    """Weights, trials, offsets and exposures are judged as columns are."""
    first = 250.0 if study.offset == "cost" else 1e5
    heavy = table.assign(cost=[first] + [8.0] * 399)

    assert "dominance" in failed(study, heavy)


def test_a_measure_is_judged_with_each_level(table):
    """One large weight in a cell makes the cell's sums those of its patient."""
    study = ask("died ~ female", "binomial", weights="weight")
    frame = table.assign(weight=1.0, female=[1] * 20 + [0] * 380)
    frame.loc[0, "weight"] = 100.0

    assert "dominance" in failed(study, frame)


def rare(column, values):
    """A table's column that is zero but for a few rows."""
    return {column: [*values, *[0.0] * (400 - len(values))]}


@pytest.mark.parametrize(
    "change",
    [
        rare("cost", [1, 1, 1]),
        rare("cost", [11.5, 13, 12.25]),
        rare("cost", [11.5, 13, 12.25, 12]),
        {"cost": [2.0] + [1.0] * 399},
        {"cost": [4.0] + [3.0] * 2 + [0.0, 1.0, 2.0] * 132 + [0.0]},
    ],
)
def test_few_values_are_levels_whatever_is_declared(table, change):
    """A 0/1 column, a zero-inflated dose and an ordinal grade have small cells."""
    assert "values" in failed(ask("died ~ cost", "binomial"), table.assign(**change))
    assert "values" in failed(ask("cost ~ age"), table.assign(**change))


def test_a_level_by_another_name_protects_its_events(table):
    """Events of a 0/1 column that is declared continuous."""
    frame = table.assign(cost=[1.0] * 20 + [0.0] * 380)
    frame.loc[:19, "died"] = [1] + [0] * 19

    assert failed(ask("died ~ cost", "binomial"), frame) == {"values"}


def test_rare_extremes_of_an_ordinary_column_pass(table):
    """Twenty ages and a few patients beyond them."""
    ages = np.r_[[99.0, 98.0, 91.0], 50 + np.arange(397) % 20]

    assert failed(ask("died ~ age", "binomial"), table.assign(age=ages)) == set()


def test_nested_factors_are_refused_at_every_order(table):
    """Ninety-two of a hundred: the eight are known by subtraction."""
    columns = (*COLUMNS, Column("a", "binary"), Column("b", "binary"))
    study = ask("died ~ a + b", "binomial", columns=columns, order=1)
    frame = table.assign(a=[1] * 92 + [0] * 308, b=[1] * 100 + [0] * 300)
    frame["died"] = np.arange(400) % 2
    frame.loc[92:99, "died"] = [1, 0, 0, 0, 0, 0, 0, 0]

    assert failed(study, frame) == {"nesting"}
    assert failed(study, frame.assign(b=[1] * 120 + [0] * 280)) == set()
    stages = frame.assign(stage=["III"] * 60 + ["II"] * 90 + ["I"] * 250)
    stages["b"] = [1] * 62 + [0] * 338
    study = ask("died ~ stage + b", "binomial", columns=columns, order=1)
    assert failed(study, stages) == {"nesting"}
    moments = moments_of(study, stages)
    findings = inspect(study.model, moments, study.statistics(1), Policy())
    cells = [f.cell for f in findings if not f.passed]
    assert cells == ["stage = III against b = 0"]


def test_rows_with_events_are_counted(table):
    """Seventeen events of one patient are one patient's."""
    trials = table.assign(trials=20, count=3, female=[1] * 40 + [0] * 360)
    trials.loc[:39, "count"] = [17] + [0] * 39
    study = ask("cbind(count, trials - count) ~ female", "binomial")
    assert failed(study, trials) == {"response-cells", "dominance"}

    counts = table.assign(female=[1] * 40 + [0] * 360)
    counts.loc[:39, "count"] = [4] + [0] * 39
    few = {"response-cells", "dominance"}
    assert failed(ask("count ~ female", "poisson"), counts) == few


def test_a_total_that_is_nearly_one_patients_is_his(table):
    """Six of forty have events, and one of them 50 of 55."""
    counts = table.assign(female=[1] * 40 + [0] * 360, count=np.arange(400) % 3)
    counts.loc[:39, "count"] = [50, 1, 1, 1, 1, 1] + [0] * 34
    for study in (
        ask("count ~ female", "poisson"),
        ask("cbind(count, trials - count) ~ female", "binomial"),
    ):
        assert failed(study, counts.assign(trials=60)) == {"dominance"}


def test_a_cell_without_events_is_told_of_counts_too(table):
    """No fall among forty women: whoever knows one knows hers."""
    counts = table.assign(female=[1] * 40 + [0] * 360)
    counts.loc[:39, "count"] = 0
    for study in (
        ask("count ~ female", "poisson"),
        ask("trials ~ female", "nbinom2", release_set="canonical"),
    ):
        none = counts.assign(trials=counts["trials"].where(counts.female == 0, 0))
        refused = failed(study, none, Policy(one_outcome="refuse"))
        assert refused == {"group-disclosure"}
        assert failed(study, none) == set()


def test_a_cell_of_one_outcome_is_a_warning(table):
    """Group disclosure passes, and is shown."""
    frame = table.copy()
    frame.loc[frame["female"] == 1, "died"] = 1
    study = ask("died ~ female", "binomial", order=1)
    cleared = clear(study.model, moments_of(study, frame), Policy(), study.offers)
    seen = [f for f in cleared.findings if f.rule == "group-disclosure"]

    assert [f.cell for f in seen if "events alone" in f.detail] == ["female = 1"]
    refused = failed(study, frame, Policy(one_outcome="refuse"))
    assert refused == {"group-disclosure"}


@pytest.mark.parametrize(("order", "alone"), [(1, 1), (1, 4), (2, 1)])
def test_a_weight_of_a_cell_at_the_anchor_is_of_as_many_as_a_count(order, alone):
    """The one woman of a stage: her weight at the anchor was sent, and is her age."""
    rng = np.random.default_rng(1)
    stage = rng.choice(["I", "II"], 600).astype(object)
    stage[-60:], stage[:alone] = "III", "III"
    frame = pd.DataFrame(
        {
            "age": rng.normal(62, 10, 600),
            "female": np.arange(600) < 250,
            "stage": stage,
            "died": rng.random(600) < 0.3,
        }
    )
    frame = frame.astype({"female": float, "died": float})
    study = ask(
        "died ~ age + female + stage + (1 | hospital)",
        "binomial",
        release_set="anchored",
        order=order,
    )
    model, moments = study.moment_model, moments_of(study, frame)
    lax = clear(model, moments, NO_DISCLOSURE_CONTROL, study.offers)
    told = dict(zip(lax.statistics, lax.values, strict=True))
    at = [s for s in told if s.role == "information" and s.monomial == (0, 1, 2)]
    if alone == 1:
        b = [value for s, value in told.items() if s.role == "anchor"]
        eta = np.array([-2, 2]) * np.arccosh(0.5 / np.sqrt(told[at[0]]))
        ages = (eta - b[0] - b[2] - b[4]) / b[1]
        assert np.abs(ages - frame["age"][0]).min() < 1e-6

    cleared = clear(model, moments, Policy(), study.offers)

    assert cleared.release_set == "canonical"
    assert not any(s.monomial[1] and s.monomial[2] for s in cleared.statistics)


def test_patients_of_a_small_level_are_not_found_from_weights_at_the_anchor():
    """Two sums of weights hold thirty digits, and six ages twelve: none others fit."""
    rng = np.random.default_rng(2)
    few = np.arange(400) < 6
    ages = np.clip(rng.normal(62, 14, 400), 20, 95).round()
    died = (rng.random(400) < 0.3) & ~few
    frame = pd.DataFrame({"age": ages, "female": few, "died": died}).astype(float)
    study = ask(
        "died ~ age + female + (1 | hospital)",
        "binomial",
        release_set="anchored",
        order=1,
    )
    model, moments = study.moment_model, moments_of(study, frame)
    lax = clear(model, moments, NO_DISCLOSURE_CONTROL, study.offers)
    told = dict(zip(lax.statistics, lax.values, strict=True))
    b = [value for s, value in told.items() if s.role == "anchor"]
    sums = {s.monomial: v for s, v in told.items() if s.role == "information"}
    years = np.arange(20, 96)
    z = (years - 60) / 10
    weight = 0.25 / np.cosh((b[0] + b[1] * years + b[2]) / 2) ** 2
    half = np.array(list(combinations_with_replacement(range(76), 3)))
    first, rest = weight[half].sum(axis=1), (weight * z)[half].sum(axis=1)
    order = np.argsort(first)
    wanted = sums[0, 1] - first
    low, high = (
        np.searchsorted(first[order], wanted + apart) for apart in (-1e-12, 1e-12)
    )
    found = {
        tuple(sorted([*half[i], *half[order[j]]]))
        for i in np.flatnonzero(high > low)
        for j in range(low[i], high[i])
        if abs(rest[i] + rest[order[j]] - sums[1, 1]) < 1e-12
    }
    assert found == {tuple(sorted((ages[few] - 20).astype(int).tolist()))}

    assert clear(model, moments, Policy(), study.offers).release_set == "canonical"
