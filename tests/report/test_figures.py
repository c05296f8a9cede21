"""Figures: places follow the numbers, and no number is too large to draw."""

import pytest

from fedglmm_flower.report.axis import Axis
from fedglmm_flower.report.figures import caterpillars, forest
from tests.report.results import fixed, full_result


@pytest.mark.parametrize("is_ratio", [True, False])
@pytest.mark.parametrize(
    "values",
    [[0.3, 0.9], [-0.01, 0.02], [-4.0, 6.0], [0.0], [1e-9, 1e-8], [-300.0, 800.0]],
)
def test_an_axis_has_round_ticks_in_order(values, is_ratio):
    """At least two, inside, rising, each with another text."""
    axis = Axis.around(values, 8, 392, is_ratio=is_ratio)
    places = [tick.x for tick in axis.ticks]
    texts = [tick.text for tick in axis.ticks]

    assert 2 <= len(places) <= 12
    assert places == sorted(places)
    assert 8 <= places[0] < places[-1] <= 392
    if max(map(abs, values)) > 1e-6:
        assert len(set(texts)) == len(texts)


def test_places_are_linear_in_the_coefficients():
    """The interval of the figure is the interval of the table."""
    figure = forest(full_result())

    assert figure is not None
    x, _ = figure.lines
    assert (x.low + x.high) / 2 == pytest.approx(x.x, abs=0.02)
    assert figure.axis.place(0.5) == x.x
    assert figure.axis.place(0.51) == x.reference
    assert [line.name for line in figure.lines] == ["x", "g[T.b]"]


def test_what_is_outside_ends_in_an_arrow():
    """A ratio of a million leaves the others room."""
    result = full_result()
    result["fixed"].append(fixed("huge", 40.0, 30.0))
    figure = forest(result)

    assert figure is not None
    huge = figure.lines[-1]
    assert huge.from_above
    assert huge.from_below
    assert huge.x == huge.high == figure.axis.right
    assert ">1e+06" in huge.text


def test_effects_stand_in_order_of_size():
    """And the text for those who do not see them names the ends."""
    (figure,) = caterpillars(full_result())

    assert [line.name for line in figure.lines] == ["west", "east"]
    assert "lowest west: -0.3 (" in figure.description
    many = full_result()
    many["ranef"] = [
        {**many["ranef"][0], "level": str(k), "estimate": k / 100} for k in range(500)
    ]
    (figure,) = caterpillars(many)
    assert not figure.labelled
    assert figure.height < 1000
