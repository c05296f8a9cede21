"""Anchors: a site's own estimate, and the functions around it."""

from typing import NamedTuple

import numpy as np
import pytest

from fedglmm_flower.errors import FitError
from fedglmm_flower.glmm.anchor import AnchorFrame
from fedglmm_flower.glmm.cumulant import cumulant
from fedglmm_flower.glmm.curves import curves_of
from fedglmm_flower.glmm.evaluate import atom_rows, evaluate_monomials
from fedglmm_flower.glmm.expansion import Expansion
from fedglmm_flower.glmm.penalised import penalised_estimate
from fedglmm_flower.glmm.table import typed_table
from tests.site.conftest import ask, patients

QUESTIONS = {
    "logit": ask(
        "died ~ age + I(age**2) + stage + female + (1 | hospital)", "binomial"
    ),
    "logit, slope": ask("died ~ age + (1 + cost | hospital)", "binomial"),
    "logit, offset": ask("died ~ age*female + offset(log(exposure))", "binomial"),
    "logit, no intercept": ask("died ~ 0 + age + female", "binomial"),
    "poisson": ask("count ~ age + stage + (1 | hospital)", "poisson"),
}


def rows_of(study, n=200):
    """Complete rows of a study in terms of its atoms."""
    model = study.model
    used = [model.columns[name] for name in model.used_columns]
    return atom_rows(model, typed_table(patients(n), used))


def sums_of(frame, rows):
    """Columns, and sums of response times column."""
    f = evaluate_monomials(rows.values, frame.monomials, frame.model.factors)
    x = frame.columns @ f
    return f, x, x @ (rows.weights * rows.response)


class Asked(NamedTuple):
    """A frame, the atoms of its rows, functions and columns on them, and the rest."""

    frame: AnchorFrame
    atoms: np.ndarray
    f: np.ndarray
    x: np.ndarray
    linear: np.ndarray
    center: np.ndarray
    anchor: np.ndarray


@pytest.fixture(params=QUESTIONS)
def asked(request):
    """A frame, its rows, and the estimate."""
    frame = AnchorFrame(QUESTIONS[request.param].model)
    rows = rows_of(QUESTIONS[request.param])
    f, x, linear = sums_of(frame, rows)
    center = frame.center(float(rows.response.sum()), float(rows.weights.sum()))
    ones = np.ones(len(rows.response))
    anchor = penalised_estimate(
        frame, curves_of(frame.model), lambda: [(f.T, [ones])], linear, center
    )
    return Asked(frame, rows.values, f, x, linear, center, anchor)


@pytest.mark.parametrize("family", ["binomial", "poisson"])
def test_each_derivative_is_the_slope_of_the_one_before(family):
    """The cumulant function and its derivatives belong together."""
    h, eta, step = cumulant(family), np.linspace(-5, 3, 41), 1e-5

    for k in range(4):
        slope = (h(eta + step, k) - h(eta - step, k)) / (2 * step)
        np.testing.assert_allclose(slope, h(eta, k + 1), rtol=1e-6, atol=1e-8)


def test_the_score_at_the_estimate_follows_from_the_responses(asked):
    """What is not released is what the released numbers say."""
    frame, f, x, linear, center, anchor = (
        asked.frame,
        asked.f,
        asked.x,
        asked.linear,
        asked.center,
        asked.anchor,
    )
    eta = anchor @ x + frame.offset @ f
    score = x @ cumulant(frame.model.family)(eta, 1)

    np.testing.assert_allclose(
        frame.score(anchor, linear, center), score, rtol=1e-8, atol=1e-8
    )


def test_batches_do_not_matter(asked):
    """The estimate is that of all rows, however they are read."""
    frame, f, linear, center, anchor = (
        asked.frame,
        asked.f,
        asked.linear,
        asked.center,
        asked.anchor,
    )
    parts = [(f.T[:7], [np.ones(7)]), (f.T[7:], [np.ones(len(f.T) - 7)])]

    again = penalised_estimate(
        frame, curves_of(frame.model), lambda: parts, linear, center
    )

    np.testing.assert_allclose(again, anchor, rtol=1e-9)


def test_slopes_are_derivatives(asked):
    """Of every function in every continuous atom."""
    frame, f, x, anchor = asked.frame, asked.f, asked.x, asked.anchor
    eta = anchor @ x + frame.offset @ f
    information = f @ cumulant(frame.model.family)(eta, 2)
    expansion = Expansion(
        frame, anchor, frame.spread(information), *curves_of(frame.model)
    )
    atoms = asked.atoms[:20]
    moving = [i for i, factor in enumerate(frame.model.factors) if not factor]

    slopes = expansion.slopes(atoms, moving)

    for j, at in enumerate(moving):
        step = np.zeros(atoms.shape[1])
        step[at] = 1e-5
        there = expansion.values(atoms + step) - expansion.values(atoms - step)
        np.testing.assert_allclose(slopes[:, j], there / 2e-5, rtol=1e-5, atol=1e-7)


def test_the_spread_is_the_inverse_penalised_information(asked):
    """In coordinates of the columns as in those of the penalty."""
    frame, f, x, anchor = asked.frame, asked.f, asked.x, asked.anchor
    w = cumulant(frame.model.family)(anchor @ x + frame.offset @ f, 2)
    T = frame.transform
    inner = (x * w) @ x.T
    penalised = inner + np.linalg.solve(T, np.linalg.solve(T, np.diag(frame.penalty)).T)

    np.testing.assert_allclose(
        frame.spread(f @ w), np.linalg.inv(penalised), rtol=1e-6, atol=1e-12
    )


@pytest.mark.parametrize("events", ["none", "all", "separated"])
def test_the_estimate_exists_at_every_site(events):
    """No events, events alone and separation leave a finite penalised estimate."""
    study = QUESTIONS["logit"]
    frame, rows = AnchorFrame(study.model), rows_of(study, 30)
    f, x, _ = sums_of(frame, rows)
    response = {
        "none": np.zeros(30),
        "all": np.ones(30),
        "separated": (rows.values[:, 0] > 0).astype(float),
    }[events]

    center = frame.center(float(response.sum()), 30.0)
    anchor = penalised_estimate(
        frame,
        curves_of(frame.model),
        lambda: [(f.T, [np.ones(30)])],
        x @ response,
        center,
    )

    assert np.isfinite(anchor).all()
    assert np.abs(anchor @ x).max() < 40


def test_an_information_that_no_rows_can_have_is_refused():
    """A damaged release ends in one sentence."""
    frame = AnchorFrame(QUESTIONS["logit"].model)

    with pytest.raises(FitError, match="positive definite"):
        frame.spread(np.full(len(frame.monomials), -1e6))
