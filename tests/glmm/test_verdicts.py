"""Awkward data get a verdict or an error in words, never a silent wrong number."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest

from fedglmm_flower.errors import FitError, UsageError
from fedglmm_flower.glmm import Verdict, fit_rows
from tests.laws.designs import FAMILIES, model

ALL = (("gaussian", "identity"), *FAMILIES)


def alike_sites(family, link):
    """A model whose sites differ by less than chance."""
    rows = model(family, link, "intercept", seed=21)
    bare = fit_rows(replace(rows, random=()), family=family, link=link)
    eta = rows.basis @ bare.estimates + rows.offset
    mean = {"identity": eta, "log": np.exp(eta)}.get(link)
    if mean is None:
        mean = {
            "logit": 1 / (1 + np.exp(-eta)),
            "probit": 0.5 + 0.5 * np.tanh(0.8 * eta),
            "cloglog": 1 - np.exp(-np.exp(eta)),
        }[link]
    wobble = 0.4 * (-1.0) ** np.argsort(np.argsort(rows.random[0].index, kind="stable"))
    scale = 1.0 + (wobble if family != "gaussian" else 0.0)
    response = mean * rows.trials * scale + (wobble if family == "gaussian" else 0.0)
    return replace(rows, response=response, constant=0.0)


@pytest.mark.parametrize(("family", "link"), ALL)
def test_zero_variance_is_exactly_zero(family, link):
    """At the boundary sd is 0.0 and the rest is the model without random effects."""
    rows = alike_sites(family, link)
    method = "ml" if family == "gaussian" else "laplace"

    mixed = fit_rows(rows, family=family, link=link, method=method)
    plain = fit_rows(
        replace(rows, random=()),
        family=family,
        link=link,
        method="ml" if family == "gaussian" else None,
    )

    assert Verdict.BOUNDARY in mixed.verdicts
    assert mixed.converged
    assert mixed.random[0].sd[0] == 0.0
    assert mixed.df == plain.df + 1
    assert mixed.loglik == pytest.approx(plain.loglik, abs=1e-8)
    np.testing.assert_allclose(mixed.estimates, plain.estimates, rtol=1e-7)
    np.testing.assert_allclose(mixed.se, plain.se, rtol=1e-6)


def test_perfect_correlation_is_exactly_one():
    """Effects that move together have correlation 1, and the verdict says boundary."""
    rows = model("gaussian", "identity", "slope", seed=22)
    site, x = rows.random[0].index, rows.basis[:, 1]
    rng = np.random.default_rng(3)
    u = rng.normal(size=12)[site]
    response = u * (1 + 0.5 * x) + 0.5 * rng.normal(size=len(x))

    fit = fit_rows(replace(rows, response=response), family="gaussian")

    (row,) = [r for r in fit.variance_components() if "corr" in r]
    assert Verdict.BOUNDARY in fit.verdicts
    assert row["corr"] == 1.0


@pytest.mark.parametrize("family", ["binomial", "poisson"])
@pytest.mark.parametrize("structure", ["none", "intercept"])
def test_separation_is_suspected(family, structure):
    """A level without any event gives a verdict, not a number to believe."""
    rows = model(family, "logit" if family == "binomial" else "log", structure, seed=23)
    level = (rows.basis[:, 2] > 0.8).astype(float)
    basis = np.column_stack([rows.basis[:, :2], level])
    response = np.where(level == 1, 0.0, rows.response)

    fit = fit_rows(replace(rows, basis=basis, response=response), family=family)

    assert Verdict.SEPARATION in fit.verdicts
    assert not fit.converged


@pytest.mark.parametrize(("family", "link"), ALL)
def test_constant_column(family, link):
    """A column with one value is refused by name."""
    rows = model(family, link, "intercept", seed=24)
    basis = rows.basis.copy()
    basis[:, 2] = 5.0

    with pytest.raises(FitError, match=r"'z': it is constant.*intercept"):
        fit_rows(replace(rows, basis=basis), family=family, link=link)


@pytest.mark.parametrize(("family", "link"), ALL)
def test_dependent_columns(family, link):
    """A column that is a combination of others is refused by name."""
    rows = model(family, link, "intercept", seed=25)
    names = (*rows.names, "both")
    basis = np.column_stack([rows.basis, rows.basis[:, 1] - 2 * rows.basis[:, 2]])

    with pytest.raises(FitError, match=r"'both'.*linearly dependent"):
        fit_rows(
            replace(rows, names=names, basis=basis, coefficients=np.eye(4)),
            family=family,
            link=link,
        )


def test_crossed_clusters_are_refused():
    """Crossed grouping factors name the alternative."""
    rows = model("poisson", "log", "nested", seed=26)
    outer, inner = rows.random
    crossed = replace(
        inner,
        group="item",
        index=np.arange(len(inner.index)) % 5,
        levels=tuple("abcde"),
    )

    with pytest.raises(FitError, match=r"crossed.*lme4"):
        fit_rows(replace(rows, random=(outer, crossed)), family="poisson")


def test_one_cluster_is_refused():
    """A random effect of a single cluster cannot be estimated."""
    rows = model("poisson", "log", "intercept", seed=27)
    one = replace(rows.random[0], index=np.zeros(len(rows.response), dtype=int))

    with pytest.raises(FitError, match="one cluster"):
        fit_rows(replace(rows, random=(one,)), family="poisson")


def test_more_effects_than_rows_is_refused():
    """In a linear model effects need more rows than there are effects."""
    rows = model("gaussian", "identity", "intercept", seed=28)
    n = len(rows.response)
    each = replace(
        rows.random[0], index=np.arange(n), levels=tuple(str(i) for i in range(n))
    )

    with pytest.raises(FitError, match="cannot be told from the residual"):
        fit_rows(replace(rows, random=(each,)), family="gaussian")


def test_one_row_clusters_are_ordinary():
    """A cluster for every row models overdispersion of counts."""
    rows = model("poisson", "log", "intercept", seed=29)
    n = len(rows.response)
    each = replace(
        rows.random[0], index=np.arange(n), levels=tuple(str(i) for i in range(n))
    )

    fit = fit_rows(replace(rows, random=(each,)), family="poisson")

    assert fit.converged
    assert fit.random[0].sd[0] > 0.2


@pytest.mark.parametrize(
    ("family", "method", "structure", "what"),
    [
        ("binomial", "reml", "intercept", "laplace or aghq"),
        ("gaussian", "laplace", "intercept", "reml or ml"),
        ("binomial", "aghq:0", "intercept", "laplace or aghq"),
        ("binomial", "aghq:5", "nested", "one level"),
        ("binomial", "aghq:50", "three", "nodes in all"),
    ],
)
def test_method_that_does_not_fit(family, method, structure, what):
    """A method of another family, or beyond its reach, is refused with the way out."""
    link = "identity" if family == "gaussian" else "logit"
    with pytest.raises(UsageError, match=what):
        fit_rows(model(family, link, structure), family=family, method=method)


def test_unknown_family_and_link():
    """An unknown family or link lists the known ones."""
    rows = model("binomial", "logit", "none")
    with pytest.raises(UsageError, match="known are gaussian"):
        fit_rows(rows, family="tweedie")
    with pytest.raises(UsageError, match="binomial takes logit"):
        fit_rows(rows, family="binomial", link="log")


def test_to_dict_is_plain_json():
    """The dictionary holds what ``result.json`` asks for, in plain types."""
    import json

    fit = fit_rows(model("gamma", "log", "slope"), family="gamma")

    again = json.loads(json.dumps(fit.to_dict(), allow_nan=False))

    assert [f["name"] for f in again["fixed"]] == ["Intercept", "x", "z"]
    assert set(again["fixed"][0]) == {
        "name", "estimate", "se", "approx_error", "z", "p", "ci_low", "ci_high",
    }  # fmt: skip
    assert again["random"][2]["term2"] == "x"
    assert again["dispersion"] > 0
    assert again["residual_sd"] is None
    assert again["converged"] is True


@pytest.mark.parametrize(("family", "link"), ALL)
@pytest.mark.parametrize("structure", ["none", "intercept", "nested"])
def test_no_fixed_effects(family, link, structure):
    """A model may consist of an offset and random effects alone."""
    rows = model(family, link, structure, seed=1)
    bare = replace(rows, names=(), coefficients=np.zeros((0, 3)))

    fit = fit_rows(bare, family=family, link=link)

    assert fit.converged
    assert fit.to_dict()["fixed"] == []


@pytest.mark.parametrize("family", ["binomial", "poisson", "nbinom2"])
def test_no_event_at_all(family):
    """Without any event the intercept runs away, and the verdict says so."""
    link = "logit" if family == "binomial" else "log"
    rows = model(family, link, "intercept", seed=2)

    fit = fit_rows(replace(rows, response=0.0 * rows.response), family=family)

    assert Verdict.SEPARATION in fit.verdicts
    assert not fit.converged


def test_constant_gaussian_response_is_refused():
    """A response without variation leaves no residual variance to estimate."""
    rows = model("gaussian", "identity", "intercept", seed=3)
    with pytest.raises(FitError, match="constant or fitted without error"):
        fit_rows(replace(rows, response=rows.offset + 5.0), family="gaussian")


@pytest.mark.parametrize("part", ["basis", "response", "offset", "trials"])
def test_values_that_are_not_finite_are_refused(part):
    """An infinity in any part of the rows is named."""
    rows = model("poisson", "log", "intercept", seed=4)
    values = getattr(rows, part).copy()
    values[3] = np.inf
    with pytest.raises(FitError, match="not finite"):
        fit_rows(replace(rows, **{part: values}), family="poisson")


def test_a_saturated_model_is_unidentifiable():
    """More effects than rows leave nothing for the dispersion: never a bare crash."""
    rows = model("gamma", "log", "nested-slope", seed=34, sites=5, each=3)

    with contextlib.suppress(FitError):
        assert fit_rows(rows, family="gamma").verdicts
