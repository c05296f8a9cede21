"""A record is shortened by its columns, never by its response."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.site.features import Features
from fedglmm_flower.site.fixed_point import STEP, guarded
from fedglmm_flower.site.public_scales import clipping_of, public_weights
from fedglmm_flower.site.records import bounded_cells, bounded_rows
from fedglmm_flower.study import Column, Study

NORM = 1.25
ANCHOR = (("Intercept", -3.0), ("x", 0.8))


def study_of(release_set="public", family="binomial"):
    """A rare outcome, or a count."""
    y = Column("y", "binary")
    if family == "poisson":
        y = Column("y", "continuous", (), "count", 0.0, 50.0, 1.0, 1.0)
    return Study(
        name="rare",
        formula="y ~ x + (1 | site)",
        family=family,
        link="log" if family == "poisson" else "logit",
        method="laplace",
        site_column="site",
        columns=(Column("x", "continuous", (), "", -4.0, 8.0, 0.0, 1.0), y),
        sites=("a", "b", "c"),
        release_set=release_set,
        order=2,
        anchor=ANCHOR if release_set == "public" else (),
    )


def parts(study, frame, norm=NORM):
    """Clipping, rows and their terms."""
    anchor = study.anchor_values if study.anchor else None
    features = Features(study.model, study.statistics(2, study.release_set), anchor)
    weights = public_weights(features)
    cells = bounded_cells(study.model, frame)
    rows, counted = bounded_rows(study.model, cells, len(frame))
    return clipping_of(features, weights, norm), rows, counted


def skewed(n, seed=1):
    """A column that is not that of the reference law, and an outcome of 7 %."""
    rng = np.random.default_rng(seed)
    x = (rng.gamma(2.0, 0.7, n) - 1.4).clip(-4, 8)
    chance = 1 / (1 + np.exp(-(-3.0 + 0.8 * x)))
    return pd.DataFrame({"x": x, "y": (rng.random(n) < chance).astype(int)})


@pytest.mark.parametrize("release_set", ["public", "canonical"])
def test_what_a_record_is_scaled_by_does_not_tell_its_response(release_set):
    """Neither part: both are those of the longer of two records."""
    frame = skewed(500)
    clipping, rows, counted = parts(study_of(release_set), frame)
    whole = replace(clipping, reach=None)
    scales = []
    for y in (0.0, 1.0):
        given = replace(rows, response=np.full(500, y))
        with np.errstate(all="ignore"):
            scales.append(clipping.terms(given, counted) / whole.terms(given, counted))
    told = np.isfinite(scales[0]) & np.isfinite(scales[1])

    np.testing.assert_allclose(scales[0][told], scales[1][told], rtol=1e-12)
    assert (scales[1][told] < 0.9).any()
    # Moments of the columns are those of the records whose responses are summed, where
    # nothing else tells of them.
    least, most = (f(scales[1], axis=0) for f in (np.nanmin, np.nanmax))
    assert np.allclose(least, most) == (release_set == "canonical")


def test_a_record_reaches_as_far_as_the_norm_and_no_further():
    """The two parts together; the guard changes nothing but the last digits."""
    clipping, rows, counted = parts(study_of(), skewed(2000))
    terms = clipping.terms(rows, counted)
    whole = guarded(terms.T, NORM).T * STEP

    assert clipping.reach is not None
    assert np.hypot(*clipping.reach) == pytest.approx(NORM)
    assert np.sqrt((terms**2).sum(axis=0)).max() <= NORM * (1 + 1e-12)
    assert np.abs(whole - terms).max() <= 8 * STEP


def test_residuals_at_the_truth_are_zero_on_average():
    """Where events are shortened and the others are not, they are far from it."""
    frame, norm = skewed(200_000), 0.7
    clipping, rows, counted = parts(study_of(), frame, norm)
    at = clipping.response

    def off(terms):
        return terms.mean(axis=1) / terms.std(axis=1) * np.sqrt(len(frame))

    by_columns = off(clipping.terms(rows, counted)[at])
    by_record = off(
        guarded(replace(clipping, reach=None).terms(rows, counted).T, norm).T[at]
    )
    assert np.abs(by_columns).max() < 4
    assert np.abs(by_record).max() > 20


def test_a_count_is_shortened_as_it_is():
    """It has no longest response: what clipping does to it is expected of it."""
    frame = skewed(300).assign(y=np.arange(300) % 20)
    clipping, rows, counted = parts(study_of(family="poisson"), frame)

    assert clipping.reach is None
    weights = clipping.weights[:, None]
    expected = weights * clipping.features.on_rows(rows, counted)
    np.testing.assert_array_equal(clipping.terms(rows, counted), expected)
