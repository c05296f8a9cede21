"""The disclosure gate: each rule alone, lower orders first, sums whole or not."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedglmm_flower.errors import DisclosureError
from fedglmm_flower.site import NO_DISCLOSURE_CONTROL, Policy
from fedglmm_flower.site.gate import clear, inspect
from fedglmm_flower.study.shapes import SHAPES
from tests.site.conftest import LENIENT, ask, moments_of, patients


def cleared(study, frame, policy):
    """The gate's answer for a table."""
    return clear(study.model, moments_of(study, frame), policy, study.offers)


def failed(study, frame, policy):
    """Names of the rules that the highest order breaks."""
    moments = moments_of(study, frame)
    findings = inspect(study.model, moments, moments.statistics, policy)
    return {finding.rule for finding in findings if not finding.passed}


DIED = ask("died ~ age + female + (1 | hospital)", "binomial", order=2)
COUNT = ask("count ~ age + female", "poisson", order=2)


def test_what_passes_leaves_unaltered(table):
    """The same numbers in the same order, at the order that was asked for."""
    moments = moments_of(DIED, table)
    found = clear(DIED.model, moments, Policy(), DIED.offers)

    assert (found.order, found.statistics) == (2, DIED.statistics(2))
    np.testing.assert_array_equal(found.values, moments.values)
    assert all(finding.passed for finding in found.findings)


@pytest.mark.parametrize(
    ("rule", "study", "policy", "change"),
    [
        ("minimum-rows", DIED, replace(LENIENT, min_rows=401), {}),
        ("rows-per-statistic", DIED, replace(LENIENT, rows_per_statistic=99.0), {}),
        ("cells", COUNT, LENIENT, {"female": [1] * 2 + [0] * 398}),
        ("cells", COUNT, LENIENT, {"female": [0] * 2 + [1] * 398}),
        ("response-cells", DIED, LENIENT, {"died": [1] * 2 + [0] * 398}),
        ("response-cells", DIED, LENIENT, {"died": [0] * 2 + [1] * 398}),
        (
            "dominance",
            DIED,
            replace(LENIENT, dominance_one=0.5, dominance_two=1.0),
            {"age": [110] + [0.1] * 399},
        ),
        (
            "dominance",
            DIED,
            replace(LENIENT, dominance_two=0.67),
            {"age": [99, 99] + [0.1] * 398},
        ),
    ],
)
def test_each_rule_refuses_alone(table, rule, study, policy, change):
    """With every other rule kept, the message names the one that is not."""
    changed = table.assign(**change)

    also = {
        "cells": {"response-cells", "dominance"},
        "dominance": {"values", "leverage"},
    }
    assert {rule} <= failed(study, changed, policy) <= {rule, *also.get(rule, ())}
    with pytest.raises(DisclosureError, match=r"^disclosure: at the lowest order, "):
        cleared(study, changed, policy)


@pytest.mark.parametrize(("n", "passes"), [(49, False), (50, True)])
def test_the_default_policy_asks_for_fifty_rows(n, passes):
    """The threshold itself is enough."""
    study, frame = ask("died ~ age", "binomial", order=1), patients(n)
    frame["died"] = frame["female"] = np.arange(n) % 2

    assert ("minimum-rows" not in failed(study, frame, Policy())) is passes


@pytest.mark.parametrize(("small", "passes"), [(0, True), (1, False), (4, False)])
def test_an_empty_cell_is_none_but_a_small_one_is(table, small, passes):
    """Every non-zero count is at least the policy's."""
    frame = table.assign(female=[1] * small + [0] * (400 - small))

    assert ("cells" not in failed(DIED, frame, Policy())) is passes


def test_the_order_is_lowered_before_the_cluster_is_refused(table):
    """A crossing that only a higher order determines is given up, nothing else."""
    study = ask("died ~ age + female + stage", "binomial", order=4)
    few = table.assign(stage=np.where(table["age"] > 60, "I", "II"))
    few.loc[few.index[few["female"] == 1], "stage"] = "I"
    few.loc[few.index[few["female"] == 1][:2], "stage"] = "II"
    found = cleared(study, few, Policy())

    assert found.order == 1
    assert found.statistics == study.statistics(1)
    assert len(found.values) == len(found.statistics)


def test_each_lower_order_is_tried_in_turn(table):
    """The highest order that keeps every rule is the one that is sent."""
    study = ask("died ~ age + cost", "binomial", order=4)
    counts = {order: len(study.statistics(order)) for order in range(1, 5)}
    for order, count in counts.items():
        policy = replace(Policy(), rows_per_statistic=400 / count)

        assert cleared(study, table, policy).order == order
    strict = replace(Policy(), rows_per_statistic=401 / counts[1])
    with pytest.raises(DisclosureError, match="rows per statistic: 400 rows"):
        cleared(study, table, strict)


def test_a_gaussian_release_has_no_lower_order(table):
    """It is sent whole or not at all."""
    study = ask("cost ~ age + female + stage", order=4)
    crossed = table.assign(stage="I").astype({"stage": object})
    crossed.loc[:2, "stage"] = "II"
    with pytest.raises(DisclosureError, match="stage"):
        cleared(study, crossed, Policy())
    assert cleared(study, table, Policy()).order == 2


def from_sums(model, moments, subset):
    """Counts of all cells of some factors, from the sums alone."""
    sums = {
        s.monomial: v
        for s, v in zip(moments.statistics, moments.values, strict=True)
        if s.role == "x"
    }
    sums[model.constant] = moments.n_rows

    def count(fixed, left):
        if not left:
            return sums[tuple(fixed)]
        at, *rest = left
        if fixed[at]:
            return count(fixed, rest)
        others = range(1, len(model.atoms[at].levels))
        one_level = [[*fixed[:at], o, *fixed[at + 1 :]] for o in others]
        return count(fixed, rest) - sum(count(f, rest) for f in one_level)

    shape = [len(model.atoms[i].levels) for i in subset]
    for cell in np.ndindex(*shape):
        fixed = [0] * len(model.atoms)
        for i, level in zip(subset, cell, strict=True):
            fixed[i] = level
        yield cell, count(fixed, list(subset))


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 40), seed=st.integers(0, 999), order=st.integers(1, 3))
def test_the_gate_sees_every_count_that_the_sums_determine(n, seed, order):
    """Inclusion and exclusion over the sums gives the marginal counts of the rows."""
    study = ask("died ~ age + female + stage + weight", "binomial", order=order)
    columns = tuple(
        replace(c, kind="categorical", levels=("0.5", "1.0", "2.0"))
        if c.name == "weight"
        else c
        for c in study.columns
    )
    study = replace(study, columns=columns)
    frame = patients(n, seed).astype({"weight": str})
    moments, model = moments_of(study, frame), study.model
    factors = [i for i, factor in enumerate(model.factors) if factor]
    policy = replace(LENIENT, min_cell=5)
    findings = inspect(model, moments, moments.statistics, policy)
    seen = [f for f in findings if f.rule == "cells"]
    subsets = [s for k in range(order + 1) for s in combinations(factors, k)]

    assert len(seen) == len(subsets)
    for finding, subset in zip(seen, subsets, strict=True):
        names = [model.atoms[i].name for i in subset]
        brute = frame.groupby(names).size() if names else pd.Series([n])
        derived = [c for _, c in from_sums(model, moments, subset) if round(c)]

        assert sorted(derived) == pytest.approx(sorted(brute))
        assert finding.passed == (brute.min() >= 5)
        assert f"{brute.min()} rows" in finding.detail


def test_response_cells_are_those_of_the_model_columns(table):
    """Events and the others of a level, and of both complements, are protected."""
    for level, died in ((1, 1), (0, 1), (1, 0), (0, 0)):
        frame = table.copy()
        chosen = frame["female"] == level
        frame.loc[chosen, "died"] = 1 - died
        frame.loc[frame.index[chosen][:4], "died"] = died

        assert failed(DIED, frame, Policy()) == {"response-cells"}


def test_trials_are_no_rows(table):
    """A cell of two patients is small, however many trials they have."""
    study = ask("count ~ age + female", "binomial", trials="trials", order=2)
    frame = table.assign(female=[1] * 2 + [0] * 398, trials=1000, count=500)

    assert failed(study, frame, Policy()) >= {"cells"}


def test_weights_do_not_stand_for_rows(table):
    """A weight of a hundred is still one patient."""
    study = replace(COUNT, weights="weight")
    frame = table.assign(weight=100.0)

    assert failed(study, frame[:49], replace(Policy(), min_cell=3)) >= {"minimum-rows"}
    assert failed(study, frame.assign(female=[1] * 2 + [0] * 398), Policy()) >= {
        "cells"
    }


def test_dominance_is_judged_on_raw_single_columns(table):
    """On the response and on logarithms too, never on shifted values or products."""
    cost = table.assign(cost=[1e6] + [1.0] * 399)

    both = {"dominance", "values", "leverage"}
    assert failed(ask("cost ~ age"), cost, Policy()) == both
    assert failed(ask("died ~ cost", "binomial"), cost, Policy()) == both
    assert failed(ask("died ~ age", "binomial"), cost, Policy()) == set()
    # Centred at 60, one patient of 90 among those of 60 is nearly the whole sum.
    ages = table.assign(age=[90.0] + [60.0 + 0.001 * (i % 20) for i in range(399)])
    asked = ask("died ~ age", "binomial", order=2)
    assert failed(asked, ages, Policy()) == {"leverage"}
    assert failed(asked, ages, Policy(max_leverage=1.0)) == set()


def test_a_column_of_zeros_is_dominated_by_nobody(table):
    """No division by its sum of zero."""
    frame = table.assign(age=0.0)

    assert failed(DIED, frame, Policy()) == set()


@pytest.mark.parametrize(
    "policy",
    [
        Policy(min_rows=float("nan")),  # type: ignore[arg-type]
        Policy(rows_per_statistic=float("nan")),
        Policy(min_cell=float("nan")),  # type: ignore[arg-type]
        Policy(dominance_one=float("nan")),
        Policy(dominance_two=float("nan")),
    ],
)
def test_a_threshold_that_is_no_number_refuses(table, policy):
    """Doubt is a refusal."""
    with pytest.raises(DisclosureError):
        cleared(DIED, table, policy)


def test_without_a_gate_everything_passes_and_says_so(table):
    """For a simulation on data that may be seen."""
    found = cleared(DIED, table[:3], NO_DISCLOSURE_CONTROL)

    assert [f.rule for f in found.findings] == ["gate"]
    assert found.order == 2


def test_the_public_words_of_a_refusal_hold_no_number(table):
    """The counts are a disclosure themselves."""
    with pytest.raises(DisclosureError, match="400 rows") as caught:
        cleared(DIED, table, Policy(min_rows=1000))

    assert not any(c.isdigit() for c in caught.value.public + caught.value.code)


def test_gamma_functions_at_many_shapes_need_as_many_counts(table):
    """As power sums do, they determine that many counts unlike all others."""
    study = ask("count ~ age", "nbinom2", order=1)
    few, enough = table.copy(), table.copy()
    few["count"] = (np.arange(len(few)) < len(SHAPES)).astype(float)
    enough["count"] = (np.arange(len(enough)) < len(SHAPES) + 1).astype(float)

    assert "values" in failed(study, few, LENIENT)
    assert "values" not in failed(study, enough, LENIENT)
    poisson = ask("count ~ age", "poisson", order=1)
    assert "values" not in failed(poisson, few, LENIENT)


def test_counts_of_a_negative_binomial_are_a_table(table):
    """Few distinct counts: how many rows have each is determined, and protected."""
    study = ask("count ~ age", "nbinom2", order=1)
    table["count"] = np.where(np.arange(len(table)) < 200, 1.0, 0.0)
    assert "values" not in failed(study, table, LENIENT)

    table.loc[0, "count"] = 7.0

    assert "values" in failed(study, table, LENIENT)


def warned(study, frame) -> list[str]:
    """What passes with a warning, with the value that it is of."""
    policy = replace(LENIENT, min_cell=5)
    found = inspect(study.model, moments_of(study, frame), study.statistics(1), policy)
    warnings = [f for f in found if "WARNING" in f.detail]
    assert all(f.passed and f.rule == "values" for f in warnings)
    return [f"{f.detail} {f.cell}" for f in warnings]


def test_many_counts_of_a_negative_binomial_are_warned_of(table):
    """Tails of single rows are in every site's counts: the officer decides on them."""
    study = ask("count ~ age", "nbinom2", order=1)
    table["count"] = np.arange(len(table)) % 15.0
    assert warned(study, table) == []

    table.loc[:3, "count"] = 17.0
    (told,) = warned(study, table)

    assert "1 of its values fewer than 5 rows have" in told
    assert told.endswith("largest count = 17: 4 rows")
    assert warned(ask("count ~ age", "poisson", order=1), table) == []


def test_one_amount_that_is_nearly_all_is_dominant(table):
    """The sums of a gamma study are weighted by its response."""
    study = ask("cost ~ age + female", "gamma", order=2)
    table.loc[0, "cost"] = 1e6
    policy = replace(LENIENT, dominance_one=0.5, dominance_two=0.67)

    assert "dominance" in failed(study, table, policy)


def test_products_with_the_response_are_counted_to_their_order(table):
    """Probit sums tell the events in every combination of levels, logit's do not."""

    def crossed(link):
        study = ask("died ~ female + stage", "binomial", order=2, link=link)
        moments = moments_of(study, table)
        found = inspect(study.model, moments, moments.statistics, LENIENT)
        return [f for f in found if f.rule == "response-cells" and " x " in f.detail]

    assert crossed("logit") == []
    assert crossed("probit") != []
