"""Fits from sets with other products of columns: what is met, compared and taken."""

from dataclasses import replace

import numpy as np
import pytest

from fedglmm_flower.coordinator.accuracy import share_of_step
from fedglmm_flower.coordinator.factor_cells import factor_cells
from fedglmm_flower.coordinator.opening import Opened
from fedglmm_flower.coordinator.plausible import require_plausible
from fedglmm_flower.coordinator.pseudodata import generate
from fedglmm_flower.coordinator.starts import Starts
from fedglmm_flower.coordinator.submodel import submodel
from fedglmm_flower.coordinator.targets import targets_of
from fedglmm_flower.errors import WireError
from fedglmm_flower.flower.simulate import simulate
from fedglmm_flower.glmm.evaluate import evaluate_monomials
from fedglmm_flower.study.products import split_set
from fedglmm_flower.study.release import moment_degrees
from tests.coordinator.questions import released_of, rows_of, study_of, table_of

FORMULA = "y ~ a + b + c + f + h + (1 | site)"
SHAPED = ["anchored-pairs", "anchored-tables", "canonical-pairs", "canonical-tables"]


def asked(name, order=3, family="binomial", **options):
    """A study that asks for a set first."""
    return study_of(FORMULA, family, order=order, release_set=name, **options)


def sums_at(study, frame, site="north"):
    """What a site fixes."""
    answer = released_of(study, frame, site)
    statistics = study.statistics(answer.order, answer.release_set)
    return targets_of(study.model, statistics, answer.clusters[0], site)


@pytest.mark.parametrize("name", SHAPED)
def test_the_set_below_is_what_would_have_been_released(name, rng):
    """Of pairs the plain order below, of tables the tables of an order less."""
    study, frame = asked(name), table_of("binomial", rng, n=300)
    base, products = split_set(name)
    other = base if products == "pairs" else name
    found = sums_at(study, frame).lower(moment_degrees(study.model, 3, products), 2)
    direct = sums_at(asked(other, 2), frame)

    assert dict(found.moments) == pytest.approx(dict(direct.moments))
    assert found.responses == direct.responses


@pytest.mark.parametrize("name", SHAPED)
def test_pseudo_data_meet_every_sum(name, rng):
    """Cells to the last digit, products to what the solver promises."""
    study, frame = asked(name), table_of("binomial", rng, n=300)
    targets = sums_at(study, frame)
    rows = generate(study.model, targets, Starts.for_rows(1, 600))
    share = rows.weights / rows.weights.sum()
    monomials = list(targets.moments)
    means = evaluate_monomials(rows.values, monomials, study.model.factors) @ share
    sizes = np.sqrt(
        evaluate_monomials(rows.values, monomials, study.model.factors) ** 2 @ share
    )

    assert rows.residual < 1e-2
    wanted = np.array(list(targets.moments.values()))
    assert (np.abs(means - wanted) / np.maximum(sizes, 1e-12)).max() < 5e-3


def test_the_cells_of_tables_are_all_known(rng):
    """Three factors are crossed at order 1, which plain moments need order 3 for."""
    study = study_of(
        "y ~ a + f + g + h + (1 | site)", "binomial", order=1,
        release_set="canonical-tables", accept=(("canonical-tables", 1),),
    )  # fmt: skip
    frame = table_of("binomial", rng, n=300)
    targets, at = sums_at(study, frame), [1, 2, 3]
    cells = factor_cells(targets.moments, [3, 2, 2], at)
    rows = rows_of(frame, "north")
    codes = [rows["f"].map({"p": 0, "q": 1, "r": 2}), rows["g"] == "y", rows["h"]]
    counted = np.unique(np.array(codes).T.astype(int), axis=0, return_counts=True)

    assert cells.determined
    np.testing.assert_array_equal(cells.codes, counted[0])
    np.testing.assert_allclose(cells.probabilities * 300, counted[1], rtol=1e-9)


@pytest.mark.parametrize("name", SHAPED)
def test_sums_of_rows_are_plausible_and_others_are_not(name, rng):
    """A cell of fewer than no rows is named, whatever products are released."""
    study, frame = asked(name), table_of("binomial", rng)
    statistics = study.statistics(3, name)
    (cluster,) = released_of(study, frame, "north").clusters
    require_plausible(study.model, statistics, cluster, "north")
    # Cells of f and h: more of both than there are of one.
    crossed = (0, 0, 0, 1, 1)
    values = tuple(
        v + 40.0 if (s.role, s.monomial) == ("x", crossed) else v
        for s, v in zip(statistics, cluster.values, strict=True)
    )
    with pytest.raises(WireError, match="north"):
        require_plausible(
            study.model, statistics, replace(cluster, values=values), "north"
        )


@pytest.mark.parametrize("name", ["canonical-pairs", "canonical-tables"])
def test_a_later_model_takes_what_a_release_of_its_own_would_hold(name, rng):
    """Of tables over fewer factors, and of pairs of fewer columns, nothing is lost."""
    study, frame = asked(name), table_of("binomial", rng, n=300)
    smaller = "y ~ a + b + h + (1 | site)"
    part = submodel(study, smaller)
    answer = released_of(study, frame, "north")
    opened = {"north": Opened(answer, (sums_at(study, frame),), 0)}
    ((_, found),) = part.blocks(opened).items()
    own = sums_at(replace(study, formula=smaller), frame)

    assert dict(found.moments) == pytest.approx(dict(own.moments))
    assert dict(found.responses) == pytest.approx(dict(own.responses))


def test_what_pairs_lack_counts_as_the_order_below():
    """The share of the step is that of the products that the set lacks."""
    share = {
        f"{name}:{k}": share_of_step([(name, k)])
        for name in ("canonical", "canonical-pairs", "canonical-tables")
        for k in (2, 3, 4, 5)
    }

    assert share["canonical-pairs:4"] == share["canonical:3"]
    assert share["canonical-pairs:3"] == share["canonical:2"]
    assert share["canonical-tables:4"] == share["canonical:4"]
    assert share_of_step([("anchored-pairs", 3)]) > share_of_step([("anchored", 3)])


@pytest.mark.parametrize("family", ["binomial", "poisson", "gamma"])
@pytest.mark.parametrize("products", ["pairs", "tables"])
def test_a_run_says_what_was_sent_and_how_accurate_it_is(
    family, products, rng, tmp_path
):
    """Site and coordinator agree by name; the pooled estimates are near."""
    frame = table_of(family, rng, n=250)
    name, order = f"anchored-{products}", 3 if products == "pairs" else 2
    result = simulate(
        frame,
        "y ~ a + b + f + h + (1 | site)",
        family,
        release_set=name,
        order=order,
        disclosure=False,
        compare_pooled=True,
        out=tmp_path / "run",
    ).values
    model_count = {s["statistics"] for s in result["sites"]}

    assert {(s["release_set"], s["order"]) for s in result["sites"]} == {(name, order)}
    assert len(model_count) == 1
    assert result["study"]["release"]["accept"][0] == f"{name}:{order}"
    assert not any("cannot be judged" in w for w in result["diagnostics"]["warnings"])
    for row, pooled in zip(result["fixed"], result["pooled"]["fixed"], strict=True):
        assert row["approx_error"] > 0
        assert row["estimate"] == pytest.approx(
            pooled["estimate"], abs=0.1 * pooled["se"]
        )


def test_two_measures_in_every_cell_are_exact_without_a_continuous_column(
    rng, tmp_path
):
    """All cells of rows and of events leave nothing open, at the lowest order."""
    frame = table_of("binomial", rng, n=250)
    result = simulate(
        frame,
        "y ~ f + g + h + (1 | site)",
        "binomial",
        link="probit",
        release_set="canonical-tables",
        order=1,
        disclosure=False,
        compare_pooled=True,
        out=tmp_path / "run",
    ).values

    assert result["exactness"] == "exact"
    for row, pooled in zip(result["fixed"], result["pooled"]["fixed"], strict=True):
        assert row["estimate"] == pytest.approx(pooled["estimate"], abs=1e-5)


def test_moderate_counts_choose_the_order(rng, tmp_path):
    """Without an order a set with other products has as many numbers as is usual."""
    frame = table_of("binomial", rng, n=60)
    result = simulate(
        frame,
        FORMULA,
        "binomial",
        release_set="canonical-pairs",
        disclosure=False,
        out=tmp_path / "run",
    )
    study = result.values["study"]["release"]["accept"][0]

    assert study == "canonical-pairs:5"
