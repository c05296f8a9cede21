"""The algebra of moment functions: values multiply as polynomials do."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedglmm_flower.glmm.evaluate import evaluate_monomials
from fedglmm_flower.study.polynomial import (
    divisors,
    indicator,
    multiply,
    products_by_degree,
    shifted_power,
)

FACTORS = (False, True, False)
MONOMIALS = st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 3))
POLYNOMIALS = st.dictionaries(MONOMIALS, st.floats(-2, 2), max_size=4)
ROWS = np.array([[-1.5, 0, 0.5], [0.25, 1, 2.0], [2.0, 2, -1.0], [1.0, 1, 0.0]])


def values(polynomial):
    """A polynomial on the rows."""
    functions = evaluate_monomials(ROWS, list(polynomial), FACTORS)
    return np.array(list(polynomial.values())) @ functions


@given(a=POLYNOMIALS, b=POLYNOMIALS)
def test_a_product_has_the_product_of_the_values(a, b):
    """Also where powers of an indicator collapse and two levels exclude each other."""
    found = values(multiply(a, b, FACTORS))

    np.testing.assert_allclose(found, values(a) * values(b), rtol=0, atol=1e-9)


@given(power=st.integers(0, 6), center=st.floats(-3, 3), scale=st.floats(0.1, 3))
def test_a_shifted_power_is_the_power_of_the_raw_value(power, center, scale):
    """Shift and scale are constants of the study, not a change of the model."""
    found = values(shifted_power(0, power, center, scale, 3))
    expected = (center + scale * ROWS[:, 0]) ** power

    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


def test_indicators_of_all_levels_are_one_together():
    """The reference is one minus all others."""
    total = sum(values(indicator(1, level, 3, 3)) for level in range(3))

    np.testing.assert_allclose(total, 1, rtol=0, atol=0)


@given(columns=st.lists(POLYNOMIALS, max_size=3), order=st.integers(1, 3))
def test_the_moment_functions_are_closed_under_division(columns, order):
    """So the set does not depend on centre and scale."""
    found = products_by_degree(columns, order, FACTORS)

    assert all(divisors(m, FACTORS) <= set(found) for m in found)
    assert max(found.values()) <= order


def test_a_limit_stops_the_listing():
    """Whoever asks for too much gets little more than the limit."""
    columns = [{tuple(int(i == j) for i in range(30)): 1.0} for j in range(30)]
    found = products_by_degree(columns, 6, (False,) * 30, limit=100)

    assert 100 < len(found) < 500
