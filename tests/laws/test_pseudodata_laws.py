"""Pseudo-rows reproduce the moments of any table that can be released."""

from dataclasses import replace

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from fedglmm_flower.coordinator.pseudodata import generate
from fedglmm_flower.coordinator.responses import responses_of
from fedglmm_flower.coordinator.starts import Starts
from fedglmm_flower.glmm.evaluate import evaluate_monomials
from fedglmm_flower.study.polynomial import Monomial
from tests.coordinator.questions import study_of, table_of, targets_at

STARTS = Starts.for_rows(1, 256)

CONTINUOUS = ("a", "b", "c")
FACTORS = ("f", "g", "h")
MEASURES: tuple[tuple[str, dict[str, str]], ...] = (
    ("binomial", {}),
    ("binomial", {"weights": "w"}),
    ("binomial", {"trials": "m"}),
    ("poisson", {}),
    ("poisson", {"offset": "log(t)"}),
)


@st.composite
def questions(draw):
    """A study of random columns, order and measure."""
    continuous = draw(st.integers(0, 3))
    factors = draw(st.integers(0 if continuous else 1, 3))
    # Many functions of many columns take long and add nothing to the law.
    most = 6 if continuous + factors <= 3 else 4
    family, options = draw(st.sampled_from(MEASURES))
    terms = " + ".join([*CONTINUOUS[:continuous], *FACTORS[:factors]])
    order = draw(st.integers(2 if "offset" in options else 1, most))
    study = study_of(f"y ~ {terms} + (1 | site)", family, order=order, **options)
    return study, continuous, factors


def normalised_differences(model, targets, rows):
    """Differences of released moments, in units of the columns they are made of."""
    at = [i for i, factor in enumerate(model.factors) if not factor]
    share = rows.weights / rows.weights.sum()
    mean = share @ rows.values
    sd = np.sqrt(share @ (rows.values - mean) ** 2)
    monomials: list[Monomial] = list(targets.moments)
    functions = evaluate_monomials(rows.values, monomials, model.factors)
    wanted = np.array([targets.moments[m] for m in monomials])
    size = np.array(
        [
            np.prod([(1 + abs(mean[i]) + sd[i]) ** m[i] for i in at] or [1.0])
            for m in monomials
        ]
    )
    return np.abs(functions @ share - wanted) / size


@settings(max_examples=60)
@given(question=questions(), seed=st.integers(0, 2**32 - 1), n=st.integers(1, 250))
def test_pseudo_rows_reproduce_released_moments(question, seed, n):
    """Every released moment is met to the residual that is stated, sums included."""
    study, continuous, factors = question
    rng = np.random.default_rng(seed)
    frame = table_of(study.family, rng, n=n, trials=study.trials is not None)
    targets = targets_at(study, frame, "north")

    rows = generate(study.model, targets, Starts.for_rows(seed, 256))
    responses, residual = responses_of(study.model, rows, targets)

    assert np.isfinite(rows.values).all()
    assert (rows.weights > 0).all()
    assert np.isclose(rows.weights.sum(), targets.total, rtol=1e-12)
    # Columns that do not vary leave nothing open either, once their squares are sent.
    if rows.exact:
        assert study.order >= factors
        assert len(rows.weights) <= 12
    if continuous == 0:
        assert rows.exact == (study.order >= factors)
    assert np.isfinite(responses).all()
    # A moment of degree K expands into at most 2^K Hermite moments.
    allowed = 1e-9 + 2**study.order * 6 * rows.residual
    assert normalised_differences(study.model, targets, rows).max() < allowed
    enough = n >= 4 * len(study.statistics(study.order))
    if enough:
        assert rows.residual < 1e-6
        assert residual < 1e-9


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), power=st.integers(-3, 3))
def test_pseudo_rows_do_not_depend_on_declared_constants(seed, power):
    """Another centre and scale of a column give the same rows on its own scale."""
    rng = np.random.default_rng(seed)
    frame: pd.DataFrame = table_of("binomial", rng, n=120)
    study = study_of("y ~ a + f + (1 | site)", "binomial", order=3)
    columns = tuple(
        replace(c, center=1.5, scale=10.0**power) if c.name == "a" else c
        for c in study.columns
    )
    other = replace(study, columns=columns)

    def values(asked):
        rows = generate(asked.model, targets_at(asked, frame, "north"), STARTS)
        atom = asked.model.atoms[0]
        return atom.center + atom.scale * rows.values[:, 0]

    np.testing.assert_allclose(values(study), values(other), atol=1e-5)
