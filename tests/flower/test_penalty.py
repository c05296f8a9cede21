"""An iterative fit with an L2 penalty, against the pooled rows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from fedglmm_flower.errors import StudyError, UsageError
from fedglmm_flower.flower.rounds import parse_rounds
from fedglmm_flower.flower.simulate import simulate
from fedglmm_flower.glmm import fit
from fedglmm_flower.glmm.frame import Frame
from fedglmm_flower.site import FrameSource, Policy
from fedglmm_flower.site.held_out import RowsOf
from fedglmm_flower.site.site_rows import site_rows
from fedglmm_flower.site.whole_table import Table, study_of_table
from fedglmm_flower.study import read_study

FORMULA = "y ~ x + z + (1 | site)"
LOW: dict[str, Any] = {"order": 1, "release_set": "canonical"}
# Some 45 rows of a site are held out.
# A path asks for as many numbers as so small sites have values.
POLICY = Policy(min_rows=30, rows_per_statistic=1.5, values_per_number=1.0, min_cell=3)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """Four sites of 150 rows, one of whose columns says nothing."""
    rng = np.random.default_rng(9)
    site = np.repeat(list("abcd"), 150)
    x, z = rng.normal(3.0, 2.0, 600), rng.integers(0, 2, 600)
    effects = np.repeat([0.6, -0.5, 0.3, -0.2], 150)
    chance = 1 / (1 + np.exp(-(0.3 * (x - 3.0) + effects)))
    y = (rng.random(600) < chance).astype(int)
    return pd.DataFrame({"site": site, "x": x, "z": z, "y": y})


def pooled(study, rows: pd.DataFrame, strength: float, nodes: int = 1) -> np.ndarray:
    """Penalised fit of all rows by another optimiser, in coefficients of its own."""
    frame = Frame.of(study.model)
    everywhere = replace(study, site_column="none")
    whole, _ = site_rows(everywhere, FrameSource(rows), "one")
    (term,) = whole.random
    index = np.unique(rows["site"], return_inverse=True)[1]
    whole = replace(whole, random=(replace(term, index=index, levels=tuple("abcd")),))
    objective, _ = frame.likelihood(whole, nodes)
    scale = np.array([0.0, study.model.columns["x"].scale, 1.0])

    def loss(values):
        beta = values[:3] / np.where(scale > 0, scale, 1.0)
        value, gradient = objective(np.append(frame.R @ beta, values[3:]))
        slope = np.append(
            (frame.R.T @ gradient[:3]) / np.where(scale > 0, scale, 1.0), gradient[3:]
        )
        kept = values * np.append(scale > 0, 0.0)
        return 0.5 * strength * kept @ kept - value, strength * kept - slope

    found = minimize(
        loss, np.array([0.0, 0.0, 0.0, 0.5]), jac=True, method="BFGS",
        options={"gtol": 1e-9},
    )  # fmt: skip
    return np.asarray(found.x[:3] / np.where(scale > 0, scale, 1.0))


@pytest.mark.parametrize(
    ("strength", "method", "nodes"), [(7.5, "laplace", 1), (2.0, "aghq:5", 5)]
)
def test_a_penalised_fit_is_that_of_the_pooled_rows(table, strength, method, nodes):
    """To 1e-6, and with errors smaller than those without the penalty."""
    options = {**LOW, "method": method, "disclosure": False}
    found = simulate(
        table, FORMULA, "binomial", rounds=f"iterative:l2:{strength}", **options
    ).to_dict()
    free = fit(FORMULA, table, family="binomial", method=method)
    study = study_of_table(
        Table(table, "rows"), FORMULA, "binomial", link=None, site_column=None,
        trials=None, offset=None, weights=None, levels={}, study=None, order=1,
        release_set="canonical", method=method,
    ).study  # fmt: skip
    estimates = [row["estimate"] for row in found["fixed"]]

    assert found["diagnostics"]["refinement"]["state"] == "arrived"
    assert estimates == pytest.approx(pooled(study, table, strength, nodes), abs=1e-6)
    assert abs(estimates[1] - free.estimates[1]) > 1e-3  # it does draw
    assert found["fixed"][1]["se"] < free.se[1]
    assert found["loglik"] < free.loglik
    # Drawn coefficients are less than parameters: AIC and BIC count them so.
    k = found["diagnostics"]["refinement"]["penalty"]["parameters"]
    assert 2.0 < k < 4.0
    assert found["aic"] == pytest.approx(-2 * found["loglik"] + 2 * k)
    assert found["bic"] == pytest.approx(-2 * found["loglik"] + np.log(600) * k)
    assert "L2 penalty" in " ".join(found["diagnostics"]["warnings"])


def test_no_penalty_is_no_penalty(table):
    """A penalty of nought gives the estimates of the iterative fit without."""
    options = {**LOW, "disclosure": False}
    none = simulate(table, FORMULA, "binomial", rounds="iterative", **options)
    nought = simulate(table, FORMULA, "binomial", rounds="iterative:l2:0", **options)

    assert nought.fixed == none.fixed


def test_the_path_is_judged_on_held_out_rows(table, tmp_path):
    """The least criterion is taken, and the final fit is that of all rows with it."""
    found = simulate(
        table, FORMULA, "binomial", rounds="iterative:bic:0,5,40", out=tmp_path,
        policy=POLICY, **LOW,
    ).to_dict()  # fmt: skip
    notes = found["diagnostics"]["refinement"]
    path = notes["penalty"]["path"]
    study = read_study(tmp_path / "study.toml")
    alone = simulate(
        table, FORMULA, "binomial", disclosure=False, **LOW,
        rounds=f"iterative:l2:{notes['penalty']['value']:g}",
    )  # fmt: skip
    kept = table[~_held(study, table)]
    held = table[_held(study, table)]

    assert (study.held_out, notes["state"]) == (0.3, "arrived")
    assert [entry["penalty"] for entry in path] == [0.0, 5.0, 40.0]
    best = min(path, key=lambda entry: entry["bic"])
    assert notes["penalty"]["value"] == best["penalty"]
    assert path[0]["parameters"] == pytest.approx(4.0)
    assert path[2]["parameters"] < path[1]["parameters"] < 4.0
    for entry in path:
        deviance = -2 * entry["held_out_loglik"]
        price = np.log(len(held)) * entry["parameters"]
        assert entry["bic"] == pytest.approx(deviance + price)
    assert [r["estimate"] for r in found["fixed"]] == pytest.approx(
        [r["estimate"] for r in alone.fixed], abs=1e-6
    )
    # The weakest: the engine's own fit of the kept rows, judged on the others.
    free = fit(FORMULA, kept, family="binomial")
    frame = Frame.of(study.model)
    told = 0.0
    for site, rows in held.groupby("site"):
        own, _ = site_rows(study, FrameSource(rows), str(site))
        objective, _ = frame.likelihood(own)
        told += objective(frame.point(free))[0]
    assert path[0]["held_out_loglik"] == pytest.approx(told, abs=1e-2)


def _held(study, table: pd.DataFrame) -> np.ndarray:
    """Which rows the sites hold out."""
    found = np.zeros(len(table), dtype=bool)
    for _, rows in table.groupby("site"):
        numbered = rows.assign(number=rows.index)
        source = RowsOf(FrameSource(numbered), study, "held-out")
        for batch in source.batches(["number"], 64):
            found[batch["number"].to_numpy()] = True
    return found


def test_a_site_whose_held_out_rows_are_few_tells_nothing(table):
    """All rows less those kept are those held out: these must pass by themselves."""
    few = table[(table["site"] != "a") | (np.arange(600) < 60)]
    options = {**LOW, "policy": POLICY}
    whole = simulate(few, FORMULA, "binomial", rounds="iterative", **options)
    found = simulate(few, FORMULA, "binomial", rounds="iterative:aic:0,5", **options)
    notes = found.to_dict()["diagnostics"]["refinement"]

    assert whole.to_dict()["diagnostics"]["refinement"]["state"] == "arrived"
    assert (notes["state"], notes["lost"]) == ("site-lost", ["a"])
    assert notes["refusals"]["a"]["code"] == "disclosure-refused"


def test_a_choice_needs_rows_that_the_study_holds_out(table, tmp_path):
    """What sites approve says whether parts of their rows may be asked."""
    simulate(table, FORMULA, "binomial", rounds="iterative", out=tmp_path, **LOW)
    text = (tmp_path / "study.toml").read_text()
    (tmp_path / "more.toml").write_text(text.replace("rounds = 41", "rounds = 500"))

    with pytest.raises(StudyError, match=r"held_out = 0\.3"):
        simulate(table, study=tmp_path / "more.toml", rounds="iterative:aic")


@pytest.mark.parametrize(
    "text", ["iterative:l2", "iterative:aic:", "iterative:bic:2,1", "iterative:l2:1,2"]
)
def test_a_path_that_is_none_is_refused(text):
    """One penalty for l2; a rising list for a choice."""
    with pytest.raises(UsageError, match="required"):
        parse_rounds(text)


def test_sites_that_have_settled_are_not_asked(table):
    """The last points are told from the sites' parabolas, at no cost in accuracy."""
    found = simulate(
        table, FORMULA, "binomial", rounds="iterative", disclosure=False,
        compare_pooled=True, **LOW,
    ).to_dict()  # fmt: skip
    shifts = [
        abs(a["estimate"] - b["estimate"]) / b["se"]
        for a, b in zip(found["fixed"], found["pooled"]["fixed"], strict=True)
    ]

    assert found["diagnostics"]["refinement"]["spared"] >= 4
    assert max(shifts) < 1e-8
