"""What an officer reads of the sums of each family."""

import pytest

from fedglmm_flower.site.words import describe
from tests.site.conftest import STUDIES, ask


def said(study):
    """All sums of a study in words."""
    statistics = study.statistics(study.order)
    return [describe(study.model, s) for s in statistics]


def test_amounts_are_named_with_what_divides_them():
    """Sums of a gamma study are weighted by its response."""
    plain = said(ask("cost ~ age", "gamma", order=1))
    exposed = said(STUDIES["gamma, exposure"])

    assert "sum of z(age), each row weighted by its cost" in plain
    assert any("its cost / exp(offset) (times the prior" in text for text in exposed)
    assert "sum of offset (times the prior weight)" in exposed


def test_shapes_are_written_out():
    """The formula of every number that leaves."""
    words = said(ask("count ~ age", "nbinom2", order=1))

    assert "sum of log(gamma(count + 0.1) / gamma(0.1))" in words


def test_products_with_the_response_are_named():
    """Probit sends them to its order, logit to the first."""
    formula = "died ~ age + female"
    probit = said(ask(formula, "binomial", link="probit", order=2))
    logit = said(ask(formula, "binomial", order=2))

    assert "sum of died * z(age) * [female = 1]" in probit
    assert "sum of died * z(age) * [female = 1]" not in logit


@pytest.mark.parametrize("name", STUDIES)
def test_every_number_has_words_of_its_own(name):
    """No two sums of a release read alike."""
    words = said(STUDIES[name])

    assert len(set(words)) == len(words)
