"""The gate on sets with other products: every cell that they tell is looked at."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fedglmm_flower.errors import DisclosureError
from fedglmm_flower.site import Policy
from fedglmm_flower.site.cell_rules import demanded_cells
from fedglmm_flower.site.demand import demand
from fedglmm_flower.site.gate import clear
from fedglmm_flower.study import release_statistics
from tests.site.conftest import LENIENT, ask, moments_of, patients

FORMULA = "died ~ age + cost + female + stage + (1 | hospital)"
TABLES = ask(
    FORMULA, "binomial", release_set="canonical-tables", order=1,
    accept=(("canonical-tables", 1),),
)  # fmt: skip


def with_cell(rows: int):
    """Patients of whom some are alone in a combination of three factors."""
    frame = patients(400)
    here = (frame.female == 1) & (frame.stage == "III")
    return frame[~here | (here.cumsum() <= rows)]


@pytest.mark.parametrize("rows", [4, 5])
def test_every_combination_of_all_factors_is_a_cell(rows):
    """Tables of order 1 tell cells that first moments do not: they are counted."""
    frame = with_cell(rows)
    policy = replace(LENIENT, min_cell=5)
    plain = ask(FORMULA, "binomial", order=1)

    clear(plain.model, moments_of(plain, frame), policy, plain.offers)
    if rows < 5:
        with pytest.raises(DisclosureError, match="4 rows in a cell of female x stage"):
            clear(TABLES.model, moments_of(TABLES, frame), policy, TABLES.offers)
    else:
        clear(TABLES.model, moments_of(TABLES, frame), policy, TABLES.offers)


def test_a_cell_has_more_values_than_sums():
    """Nine sums of two columns at order 3 fix the values of four rows: five pass."""
    study = ask(FORMULA, "binomial")
    demands = {
        order: demanded_cells(
            study.model,
            release_statistics(study.model, "canonical-tables", order),
            "x",
            LENIENT,
        )
        for order in (1, 2, 3, 4)
    }
    crossed = max(demands[4], key=len)

    assert [demands[k][crossed] for k in (1, 2, 3, 4)] == [3, 5, 8, 12]
    assert len(crossed) == 2


def test_a_site_that_fails_tables_sends_the_next_set(table):
    """Too few rows for all cells, enough for the plain order; the values are alike."""
    study = ask(FORMULA, "binomial", release_set="anchored-tables", order=2)
    moments = moments_of(study, table)
    counts = [len(study.statistics(order, name)) for name, order in study.offers]
    policy = replace(LENIENT, rows_per_statistic=400 / counts[1])
    found = clear(study.model, moments, policy, study.offers)
    at = dict(zip(moments.statistics, moments.values, strict=True))

    assert (found.release_set, found.order) == ("anchored", 2)
    np.testing.assert_array_equal(found.values, [at[s] for s in found.statistics])


@pytest.mark.parametrize("name", ["canonical-pairs", "canonical-tables"])
def test_their_sums_are_those_of_the_plain_set(name, table):
    """A sum is the same whatever set it belongs to."""
    study = ask(FORMULA, "binomial", release_set=name, order=3)
    plain = ask(FORMULA, "binomial", order=4)
    found, known = moments_of(study, table), moments_of(plain, table)
    at = dict(zip(found.statistics, found.values, strict=True))
    both = [s for s in known.statistics if s in at]

    assert len(both) > 20
    values = dict(zip(known.statistics, known.values, strict=True))
    np.testing.assert_allclose(
        [at[s] for s in both], [values[s] for s in both], rtol=1e-12
    )


def test_what_a_set_demands_is_said_before_any_rows():
    """Rows and cells in words, as the gate applies them."""
    model = ask(FORMULA, "binomial").model
    found = demand(model, release_statistics(model, "canonical-tables", 4), Policy())

    assert found.rows == 3 * found.statistics
    assert found.cells == (
        "rows: 12 in a level and in a combination of all factors; events and "
        "non-events: 5 overall and in a level"
    )
    assert json.dumps(vars(found))
