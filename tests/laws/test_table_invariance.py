"""The laws of a fit, asked by formula of a table."""

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower import glmm
from tests.laws.designs import FAMILIES, draw_response
from tests.laws.test_invariance import same

ALL = (("gaussian", "identity"), *FAMILIES)
METHODS = [(f, k, None) for f, k in ALL] + [(f, k, "aghq:5") for f, k in FAMILIES]
FORMULA = "y ~ x + g + (1 | site)"


def table(family, link, seed=31):
    """Ten sites with a predictor, a factor, trials and whole weights."""
    rng = np.random.default_rng(seed)
    n = 200
    site = np.repeat(np.arange(10), n // 10)
    x, g = rng.normal(size=n), rng.integers(0, 3, n)
    u = 0.7 * rng.normal(size=10)
    eta = 0.2 + 0.4 * x + np.array([0.0, 0.5, -0.3])[g] + u[site]
    trials = rng.integers(1, 5, n) if family == "binomial" else np.ones(n)
    y = draw_response(family, link, eta, trials=trials, rng=rng)
    return pd.DataFrame(
        {
            "y": y,
            "x": x,
            "g": pd.Categorical(np.array(["a", "b", "c"])[g]),
            "site": [f"s{i}" for i in site],
            "m": trials,
            "w": rng.integers(0, 4, n),
        }
    )


def asked(frame, family, link, method=None, **options):
    """The fit of the law's formula."""
    trials = "m" if family == "binomial" else None
    return glmm.fit(
        FORMULA,
        frame,
        family=family,
        link=link,
        method=method,
        trials=trials,
        **options,
    )


@pytest.mark.parametrize(("family", "link", "method"), METHODS)
def test_weights_count_rows(family, link, method):
    """Weights 0, 1, 2 and 3 are a row that is absent, there, or there repeatedly."""
    frame = table(family, link)
    repeated = frame.loc[frame.index.repeat(frame.w)]

    one = asked(frame, family, link, method, weights="w")
    two = asked(repeated, family, link, method)

    # Rows of weight 0 do not set the constants of a column either.
    same(one, two, rtol=1e-6)


@pytest.mark.parametrize(("family", "link", "method"), METHODS)
def test_weight_zero_is_an_absent_row(family, link, method):
    """BIC does not count it, and its cells may hold what no other row may."""
    frame = table(family, link)
    frame["w"] = (frame.w > 0).astype(float)
    frame.loc[frame.w == 0, "y"] = -7.5

    one = asked(frame, family, link, method, weights="w")
    two = asked(frame[frame.w > 0], family, link, method)

    same(one, two, rtol=1e-6)
    assert one.n_rows == two.n_rows
    assert one.bic == pytest.approx(two.bic, rel=1e-9)


@pytest.mark.parametrize(("family", "link", "method"), METHODS)
def test_another_reference_level(family, link, method):
    """Recoding a factor tells the same differences from another level."""
    frame = table(family, link)
    recoded = frame.assign(g=frame.g.cat.reorder_categories(["c", "a", "b"]))

    one = asked(frame, family, link, method)
    two = asked(recoded, family, link, method)

    # Columns (1, x, b, c) of the first, from (1, x, a, b) of the second.
    back = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, -1, 1], [0, 0, -1, 0.0]])
    assert one.loglik == pytest.approx(two.loglik, abs=1e-7)
    np.testing.assert_allclose(one.estimates, back @ two.estimates, atol=2e-7)
    np.testing.assert_allclose(
        one.covariance, back @ two.covariance @ back.T, rtol=1e-4, atol=1e-7
    )
    np.testing.assert_allclose(one.random[0].sd, two.random[0].sd, rtol=1e-5)


@pytest.mark.parametrize(("family", "link", "method"), METHODS)
def test_order_of_a_table(family, link, method, rng):
    """Rows may be shuffled and sites renamed."""
    frame = table(family, link)
    names = dict(zip(sorted(set(frame.site)), rng.permutation(10), strict=True))
    mixed = frame.assign(site=frame.site.map(names)).sample(frac=1, random_state=3)

    same(asked(frame, family, link, method), asked(mixed, family, link, method))


@pytest.mark.parametrize(("family", "link"), ALL)
@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_units_in_a_table(family, link, scale):
    """A predictor in other units has its coefficient in other units."""
    frame = table(family, link)
    method = "ml" if family == "gaussian" else None

    one = asked(frame, family, link, method)
    two = asked(frame.assign(x=frame.x * scale), family, link, method)

    unit = np.array([1, scale, 1, 1])
    assert one.loglik == pytest.approx(two.loglik, abs=1e-7)
    np.testing.assert_allclose(one.estimates, two.estimates * unit, rtol=1e-6)
    np.testing.assert_allclose(one.se, two.se * unit, rtol=1e-5)
