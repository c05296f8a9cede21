"""From sealed releases to the contents of ``result.json``."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.coordinator import Options, Refusal, fit_sealed
from fedglmm_flower.errors import AllRefusedError, FitError, QuorumError
from tests.coordinator.questions import (
    RUN,
    SITES,
    consortium,
    pooled_fit,
    released_of,
    study_of,
    table_of,
)

KEYS = [
    *("format", "study", "family", "link", "method", "converged", "exactness"),
    *("n_sites", "n_rows", "fixed", "random", "dispersion", "residual_sd", "loglik"),
    *("aic", "bic", "icc", "ranef", "sites", "diagnostics", "pooled", "privacy"),
    *("timing", "provenance"),
]
FIXED = ["name", "estimate", "se", "approx_error", "z", "p", "ci_low", "ci_high"]
SITE = [
    *("site", "n_rows", "n_missing", "release_set", "order", "statistics"),
    *("bytes_sent", "status"),
]
GATE = Refusal("disclosure-refused", "this site's disclosure policy refused")


def federation(formula, family, rng, *, n=60, **options):
    """A study, its rows and everybody's keys."""
    study = study_of(formula, family, **options)
    frame = table_of(family, rng, n=n, trials=study.trials is not None)
    return consortium(study, frame)


def run(all_of, sealed=None, refusals=None, **options):
    """``result.json`` of what has been sealed."""
    return (
        fit_sealed(
            all_of.study,
            all_of.all_sealed() if sealed is None else sealed,
            refusals or {},
            run_id=RUN,
            identity=all_of.coordinator,
            publics=all_of.publics,
            options=Options(**options),
        )
        .result()
        .to_dict()
    )


def numbers(value):
    """Every number in plain JSON values."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [x for item in value for x in numbers(item)]
    return [value] if isinstance(value, int | float) else []


def estimates(result):
    """What a result says about the model, without times."""
    kept = ("fixed", "random", "ranef", "loglik", "diagnostics", "sites", "exactness")
    found = {key: result[key] for key in kept}
    found["sites"] = [{**s, "bytes_sent": 0} for s in found["sites"]]
    return found


def test_keys_are_those_of_the_contract(rng):
    """Every key that is promised is there, and no other."""
    result = run(federation("y ~ a + f + (1 | site)", "binomial", rng))

    assert list(result) == KEYS
    for row in result["fixed"]:
        assert list(row) == FIXED
    for row in result["sites"]:
        assert list(row) == SITE
    for row in result["ranef"]:
        assert list(row) == ["group", "level", "term", "estimate", "sd"]
    assert result["random"][0].keys() == {
        "group",
        "term1",
        "term2",
        "sd",
        "approx_error",
    }
    assert list(result["diagnostics"]) == [
        "moment_residual", "order_shift", "start_shift", "seed_spread", "eta_range",
        "r2", "warnings",
    ]  # fmt: skip
    assert list(result["timing"]) == ["summarise_s", "pseudodata_s", "fit_s"]
    names = [row["name"] for row in result["fixed"]]
    assert names == ["Intercept", "a", "f[T.q]", "f[T.r]"]
    assert result["random"][0]["group"] == "site"
    assert [row["level"] for row in result["ranef"]] == list(SITES)


@pytest.mark.parametrize("family", ["gaussian", "binomial", "poisson"])
def test_every_number_is_finite_json(family, rng):
    """The result is JSON without NaN or infinity."""
    result = run(federation("y ~ a + f + (1 | site)", family, rng, order=2))

    json.dumps(result, allow_nan=False)
    assert all(math.isfinite(x) for x in numbers(result))
    assert result["converged"]
    assert result["n_sites"] == 4
    assert result["n_rows"] == 240


def test_gaussian_is_exact_and_pooled(rng):
    """A gaussian federation is the pooled fit, with errors of exactly zero."""
    all_of = federation("y ~ a + f + (1 | site)", "gaussian", rng, order=2)

    result = run(all_of)

    pooled = pooled_fit(all_of.study, all_of.frame)
    found = [row["estimate"] for row in result["fixed"]]
    np.testing.assert_allclose(found, pooled.estimates, rtol=1e-8)
    assert result["exactness"] == "exact"
    assert [row["approx_error"] for row in result["fixed"]] == [0.0] * 4
    assert result["diagnostics"]["order_shift"] == []
    assert result["diagnostics"]["warnings"] == []


def test_all_factor_models_are_exact(rng):
    """The table of counts is everything a factor model sees."""
    all_of = federation("y ~ f + h + (1 | site)", "binomial", rng, order=2)

    result = run(all_of)

    pooled = pooled_fit(all_of.study, all_of.frame)
    assert result["exactness"] == "exact"
    assert [row["approx_error"] for row in result["fixed"]] == [0.0] * 4
    assert result["loglik"] == pytest.approx(pooled.loglik, abs=1e-7)


def test_approximations_say_by_how_much(rng):
    """With continuous columns the result carries an error for every coefficient."""
    all_of = federation("y ~ a + b + (1 | site)", "binomial", rng, n=200, order=4)

    result = run(all_of)

    pooled = pooled_fit(all_of.study, all_of.frame)
    assert result["exactness"] == "approximate"
    assert result["diagnostics"]["moment_residual"] < 1e-8
    for row, truth, se in zip(
        result["fixed"], pooled.estimates, pooled.se, strict=True
    ):
        assert row["approx_error"] > 0
        assert abs(row["estimate"] - truth) < 0.05 * se
        assert row["approx_error"] < 0.5 * se


def test_at_order_one_the_error_is_unknown(rng):
    """First moments cannot judge themselves: the error is null, with a warning."""
    result = run(federation("y ~ a + (1 | site)", "binomial", rng, order=1))

    assert [row["approx_error"] for row in result["fixed"]] == [None, None]
    assert result["diagnostics"]["order_shift"] == []
    assert any("cannot be judged" in text for text in result["diagnostics"]["warnings"])


def test_aghq_is_judged_by_like_with_like(rng):
    """With quadrature the order shift still compares fits of one estimator."""
    all_of = federation("y ~ a + (1 | site)", "binomial", rng, n=150, order=3)

    laplace = run(all_of)
    quadrature = run(all_of, method="aghq:15")

    assert quadrature["method"] == "aghq:15"
    np.testing.assert_allclose(
        laplace["diagnostics"]["order_shift"],
        quadrature["diagnostics"]["order_shift"],
        rtol=1e-6,
        atol=1e-9,
    )
    assert laplace["random"][0]["sd"] > 0
    assert laplace["fixed"][1]["estimate"] != quadrature["fixed"][1]["estimate"]


def test_same_seed_same_numbers(rng):
    """Two runs agree to the last digit; another seed agrees to less."""
    all_of = federation("y ~ a + f + (1 | site)", "binomial", rng)

    first, again = run(all_of), run(all_of)
    other = run(all_of, seed=99)

    assert estimates(first) == estimates(again)
    assert other["provenance"]["seed"] == 99
    assert first["fixed"][1]["estimate"] != other["fixed"][1]["estimate"]
    se = first["fixed"][1]["se"]
    assert first["fixed"][1]["estimate"] == pytest.approx(
        other["fixed"][1]["estimate"], abs=0.1 * se
    )


def test_order_of_arrival_does_not_matter(rng):
    """Sites are taken in sorted order, however their messages came in."""
    all_of = federation("y ~ a + f + (1 | site)", "binomial", rng)
    sealed = all_of.all_sealed()

    forward = run(all_of, sealed)
    backward = run(all_of, dict(reversed(sealed.items())))

    assert estimates(forward) == estimates(backward)


def test_sites_that_are_left_out_are_listed(rng):
    """Used, refused and missing sites all stand in the result, sorted."""
    all_of = federation("y ~ a + (1 | site)", "gaussian", rng, order=2)
    sealed = all_of.all_sealed()
    del sealed["north"], sealed["south"]

    result = run(all_of, sealed, {"south": GATE}, quorum=2)

    assert [s["site"] for s in result["sites"]] == sorted(SITES)
    status = {s["site"]: s["status"] for s in result["sites"]}
    assert status == {
        "east": "used", "north": "missing", "south": "refused", "west": "used",
    }  # fmt: skip
    refused = result["sites"][2]
    assert refused["code"] == "disclosure-refused"
    assert refused["n_rows"] is None
    assert result["n_sites"] == 2
    assert result["n_rows"] == 120


def test_a_tampered_message_is_a_refused_site(rng):
    """An altered release breaks the default quorum; it is never averaged over."""
    all_of = federation("y ~ a + (1 | site)", "gaussian", rng, order=2)
    sealed = all_of.all_sealed()
    sealed["west"] = sealed["west"][:-1] + bytes([sealed["west"][-1] ^ 1])

    with pytest.raises(QuorumError, match=r"'west'.*envelope-invalid"):
        run(all_of, sealed)
    result = run(all_of, sealed, quorum=3)
    assert result["sites"][3]["status"] == "refused"
    assert result["sites"][3]["code"] == "envelope-invalid"


def test_every_refusal_has_its_exit_status(rng):
    """All refused ends with 3, too few with 5."""
    all_of = federation("y ~ a + (1 | site)", "gaussian", rng, order=2)

    with pytest.raises(AllRefusedError):
        run(all_of, {}, dict.fromkeys(SITES, GATE))
    with pytest.raises(QuorumError):
        run(all_of, {})


def test_a_lowered_order_is_a_warning(rng):
    """Sites whose gate lowered the order are counted in a warning."""
    all_of = federation("y ~ a + (1 | site)", "binomial", rng, order=3)
    sealed = all_of.all_sealed()
    lower = released_of(all_of.study, all_of.frame, "west", order=2)
    sealed["west"] = all_of.sealed("west", released=lower)

    result = run(all_of, sealed)

    assert result["sites"][3]["order"] == 2
    text = " ".join(result["diagnostics"]["warnings"])
    assert "1 of 4 sites sent less than the canonical set of order 3" in text


def test_one_site_at_order_one_leaves_the_error_unknown(rng):
    """Where one site cannot be judged, neither can the fit."""
    all_of = federation("y ~ a + (1 | site)", "binomial", rng, order=2)
    sealed = all_of.all_sealed()
    lower = released_of(all_of.study, all_of.frame, "west", order=1)
    sealed["west"] = all_of.sealed("west", released=lower)

    result = run(all_of, sealed)

    assert [row["approx_error"] for row in result["fixed"]] == [None, None]


def test_progress_is_told_to_the_end(rng):
    """Every stage ends with done equal to total."""
    told: dict[str, list[tuple[int, int]]] = {}
    all_of = federation("y ~ a + (1 | site)", "binomial", rng, order=2)

    run(all_of, tick=lambda stage, *at: told.setdefault(stage, []).append(at))

    assert list(told) == ["pseudo-data", "fit"]
    for steps in told.values():
        assert steps == sorted(steps)
        assert steps[-1][0] == steps[-1][1]


def test_the_pooled_fit_sees_the_used_sites_alone(rng):
    """A comparison is made with the rows that entered the federation."""
    all_of = federation("y ~ a + (1 | site)", "gaussian", rng, order=2)
    sealed = all_of.all_sealed()
    del sealed["north"]
    asked: list[tuple[str, ...]] = []

    def pooled(sites):
        asked.append(sites)
        return {"fixed": [], "random": [], "loglik": 0.0}

    result = run(all_of, sealed, {"north": GATE}, pooled=pooled)

    assert asked == [("east", "south", "west")]
    assert result["pooled"]["loglik"] == 0.0


def test_without_random_effects(rng):
    """A model without a random part is fitted too."""
    all_of = federation("y ~ a + f", "binomial", rng, order=3)

    result = run(all_of)

    assert result["random"] == []
    assert result["ranef"] == []
    assert result["converged"]


def test_tiny_sites_are_fitted(rng):
    """Sites of one to three rows are ordinary input: a warning at most."""
    all_of = federation("y ~ a + h + (1 | site)", "binomial", rng, n=40, order=3)
    frame = all_of.frame
    keep = {"east": 1, "north": 2, "south": 40, "west": 40}
    parts = [frame[frame["site"] == s].head(k) for s, k in keep.items()]
    small = replace(all_of, frame=pd.concat(parts))

    result = run(small)

    assert result["n_rows"] == 83
    assert result["converged"]
    json.dumps(result, allow_nan=False)


def test_a_comparison_that_fails_leaves_the_result(rng):
    """Numbers of the federation, no pooled fit, and one warning that says why."""
    all_of = federation("y ~ a + (1 | site)", "gaussian", rng)

    def pooled(sites):
        raise FitError(f"pooled fit: {len(sites)} sites; no; try again")

    kept, plain = run(all_of, pooled=pooled), run(all_of)

    assert kept["pooled"] is None
    assert kept["fixed"] == plain["fixed"]
    assert kept["diagnostics"]["warnings"] == [
        *plain["diagnostics"]["warnings"],
        "no pooled fit of the 4 sites used: pooled fit: 4 sites; no; try again",
    ]


@pytest.mark.parametrize(
    ("code", "told"),
    [("disclosure-refused", True), ("site-empty", True), ("site-missing", False)],
)
def test_sites_that_their_gate_held_back_are_no_random_part(code, told, rng):
    """Who passes may depend on the response; who is absent is told elsewhere."""
    all_of = federation("y ~ a + (1 | site)", "gaussian", rng)
    sealed = all_of.all_sealed()
    del sealed["north"]
    result = run(all_of, sealed, {"north": Refusal(code, "no")}, quorum=3)

    warned = [w for w in result["diagnostics"]["warnings"] if "held back" in w]
    assert len(warned) == told
    if told:
        assert warned[0].startswith("1 of 4 sites were held back")
        assert "may depend on the response" in warned[0]


def test_many_sites_that_refuse_for_one_reason_are_one_sentence(rng):
    """Names are cut after five; another reason has a sentence of its own."""
    sites = tuple(f"s{i:02d}" for i in range(20))
    study = study_of("y ~ a + (1 | site)", "gaussian", sites=sites)
    all_of = consortium(study, table_of("gaussian", rng, sites=sites))
    refusals = dict.fromkeys(sites, GATE) | {"s07": Refusal("data-invalid", "bad")}

    with pytest.raises(AllRefusedError) as caught:
        run(all_of, {}, refusals)

    text = str(caught.value)
    names = "'s00', 's01', 's02', 's03', 's04' and 14 more"
    assert f"sites {names}: disclosure-refused (" in text
    assert "; site 's07': data-invalid (bad)" in text
    assert text.count("disclosure-refused") == 1
    assert "fedglmm site preview" in text
