"""Data that can be asked and are hard to fit: separation, few sites, gaps."""

import json

import numpy as np
import pandas as pd
import pytest

import fedglmm_flower
from tests.command import (
    BINOMIAL,
    GAUSSIAN,
    OPEN,
    POISSON,
    listed,
    question,
    refused,
    simulate,
    small_table,
)


@pytest.mark.parametrize("gate", [(), OPEN])
def test_perfect_separation_is_fitted_and_not_converged(gate, tmp_path):
    """Status 4: the result is written and says that there is no maximum."""
    table = small_table().assign(e=lambda t: t.b)
    asked = question("e ~ b + (1 | hospital)", "binomial")
    ended = simulate(tmp_path, table, *asked, *gate)
    result = json.loads((tmp_path / "out" / "result.json").read_text())

    assert ended.status == 4
    assert result["converged"] is False
    assert "Separation" in result["diagnostics"]["warnings"][0]


def test_a_factor_level_without_events_is_separation(tmp_path):
    """One coefficient that runs away is enough for status 4."""
    table = small_table().assign(e=lambda t: t.e * (t.g != "v"))
    asked = question("e ~ g + (1 | hospital)", "binomial")

    assert simulate(tmp_path, table, *asked, *OPEN).status == 4


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_separation_by_a_number_is_never_taken_for_certain(seed, tmp_path):
    """Moments cannot show it for sure, so the result is no maximum or has a warning."""
    table = small_table().assign(e=lambda t: (t.x > 5).astype(int))
    asked = question("e ~ x + (1 | hospital)", "binomial")
    ended = simulate(tmp_path, table, *asked, *OPEN, "--seed", seed)
    result = json.loads((tmp_path / "out" / "result.json").read_text())

    assert ended.status == (0 if result["converged"] else 4)
    assert result["diagnostics"]["warnings"]


@pytest.mark.parametrize("seed", range(2))
def test_an_anchor_does_not_hide_separation(seed):
    """Estimates that cannot exist come with a warning and an error of their size."""
    rng = np.random.default_rng(1)
    x = rng.normal(5, 2, 480).round(3)
    table = pd.DataFrame({"site": np.repeat(list("abcd"), 120), "x": x, "e": x > 5})
    result = fedglmm_flower.simulate(
        table.astype({"e": int}),
        "e ~ x + (1 | site)",
        "binomial",
        disclosure=False,
        seed=seed,
    )

    said = result.values["diagnostics"]["warnings"]
    assert not result.converged or any("no finite estimate" in text for text in said)
    assert all(
        row["approx_error"] is None or row["approx_error"] > row["se"]
        for row in result.fixed
    )


@pytest.mark.parametrize("seed", range(4))
def test_a_likelihood_without_curvature_ends_in_separation(seed):
    """Flat to the last digit is told as separation, and is no failure of the fit."""
    # The plain moments; at an anchor there is always some curvature left.
    rng = np.random.default_rng(1)
    site = np.repeat(list("abcd"), 120)
    x = rng.normal(5, 2, 480).round(3)
    table = pd.DataFrame({"site": site, "x": x, "e": (x > 5).astype(int)})
    result = fedglmm_flower.simulate(
        table,
        "e ~ x + (1 | site)",
        "binomial",
        disclosure=False,
        seed=seed,
        order=4,
        release_set="canonical",
    )

    assert not result.converged
    assert all(abs(row["estimate"]) < 1e12 for row in result.fixed)


def test_one_site_is_below_the_quorum(tmp_path):
    """At least two sites by default; one alone has no variance between sites."""
    one = small_table().query("hospital == 'a'")

    ended = simulate(tmp_path, one, *GAUSSIAN)
    refused(ended, 5, "quorum-not-reached", "2 are required")

    ended = simulate(tmp_path, one, *GAUSSIAN, "--quorum", 1)
    refused(ended, 2, "fit-impossible", "at least two")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("asked", [GAUSSIAN, BINOMIAL, POISSON])
def test_what_one_site_lacks_is_ordinary(asked, tmp_path):
    """A site of one row, one without a level, and one with a constant column fit."""
    table = small_table()
    table = table[(table.hospital != "a") | (table.g != "w")]
    table.loc[table.hospital == "b", "x"] = 3.0
    extra = table.iloc[[70]].assign(hospital="single")
    ended = simulate(tmp_path, pd.concat([table, extra]), *asked, *OPEN)

    assert ended.status == 0
    assert {entry["status"] for entry in listed(tmp_path).values()} == {"used"}
    assert listed(tmp_path)["single"]["n_rows"] == 1
