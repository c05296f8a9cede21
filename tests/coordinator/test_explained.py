"""R2 of a result, beside that of the pooled rows."""

import pytest

from fedglmm_flower import simulate
from fedglmm_flower.glmm import fit
from fedglmm_flower.glmm.explained import explained
from tests.command import small_table


@pytest.mark.parametrize(
    ("family", "response", "tolerance"),
    [("gaussian", "y", 1e-6), ("binomial", "e", 1e-3), ("poisson", "c", 1e-3)],
)
def test_it_is_that_of_the_pooled_rows(family, response, tolerance):
    """The spread of the linear predictor is released with the moments."""
    asked = f"{response} ~ x + g + (1 + x || hospital)"
    found = simulate(small_table(), asked, family, disclosure=False).to_dict()
    told = found["diagnostics"]["r2"]
    pooled = explained(fit(asked, small_table(), family=family))

    assert told["marginal"] == pytest.approx(pooled.marginal, abs=tolerance)
    assert told["conditional"] == pytest.approx(pooled.conditional, abs=tolerance)
    assert 0 < pooled.marginal < pooled.conditional


def test_it_is_not_told_where_moments_are_of_exposure():
    """The mass of the rows is not their number then."""
    asked = "c ~ x + offset(log(`expo-sure`)) + (1 | hospital)"
    found = simulate(small_table(), asked, "poisson", disclosure=False).to_dict()

    assert found["diagnostics"]["r2"] is None
