"""The reference law: what a study declares, evenly, and whole numbers where asked."""

import numpy as np
import pytest

from fedglmm_flower.site.features import Features
from fedglmm_flower.site.public_scales import reference_rows
from fedglmm_flower.study import Column, Study


def values_of(*columns: Column) -> dict[str, np.ndarray]:
    """Columns of the reference records, standardised as declared."""
    names = [c.name for c in columns]
    study = Study(
        name="law",
        formula=f"y ~ {' + '.join(names)} + (1 | site)",
        family="binomial",
        link="logit",
        method="laplace",
        site_column="site",
        columns=(*columns, Column("y", "binary")),
        sites=("a", "b", "c"),
        release_set="canonical",
        order=2,
    )
    rows, counted = reference_rows(Features(study.model, study.statistics(2)))
    assert counted.all()
    return dict(zip(names, rows.values.T, strict=True))


def test_moments_that_no_release_holds_are_those_of_the_law():
    """Fourth moments of normal columns are 3, their products 1, a share is a half."""
    found = values_of(
        Column("x1", "continuous", (), "", -6.0, 6.0, 0.0, 1.0),
        Column("x2", "continuous", (), "", 0.0, 100.0, 50.0, 10.0),
        Column("b", "binary"),
    )
    z1, z2 = found["x1"], found["x2"]

    for z in (z1, z2):
        moments = [np.mean(z**k) for k in range(1, 5)]
        assert moments == pytest.approx([0.0, 1.0, 0.0, 3.0], abs=0.02)
    assert np.mean(z1**2 * z2**2) == pytest.approx(1.0, abs=0.02)
    assert np.mean(found["b"]) == pytest.approx(0.5, abs=0.001)
    assert np.mean(found["b"] * z1**2) == pytest.approx(0.5, abs=0.01)


def test_whole_numbers_where_only_bounds_are_declared():
    """A declared centre and scale make a column continuous, a count is whole."""
    found = values_of(
        Column("age", "continuous", (), "", 18.0, 90.0, 0.0, 1.0),
        Column("visits", "continuous", (), "count", 0.0, 9.0, 4.0, 2.0),
        Column("z", "continuous", (), "", -4.0, 4.0, 0.0, 1.0),
    )

    assert np.array_equal(found["age"], np.floor(found["age"]))
    visits = 4.0 + 2.0 * found["visits"]
    assert np.array_equal(visits, np.round(visits))
    assert len(np.unique(found["z"])) > 4000
