"""Sets with other products of columns: which sums, and how a study asks."""

from dataclasses import replace
from itertools import product

import pytest

from fedglmm_flower.errors import StudyError
from fedglmm_flower.study import parse_study, read_study, write_study
from fedglmm_flower.study.offers import ladder
from fedglmm_flower.study.polynomial import divisors
from fedglmm_flower.study.products import SETS, join_set, split_set
from fedglmm_flower.study.release import (
    moment_degrees,
    release_statistics,
)
from tests.study.conftest import GUSTO, small

QUESTIONS = [
    small("z ~ x*f + I(e**2) + (1 | hospital)", "binomial"),
    small("z ~ x + f + e + offset(log(e)) + (1 + x | hospital)", "binomial"),
    small("z ~ x*f + offset(log(e)) + (1 | hospital)", "poisson"),
    replace(
        small("z ~ x + e + f + (1 | hospital)", "poisson"), family="nbinom2", link="log"
    ),
]


def moments_of(model, order, products="all"):
    """Moment functions without their degrees."""
    return set(moment_degrees(model, order, products))


@pytest.mark.parametrize("study", QUESTIONS, ids=lambda s: s.formula)
@pytest.mark.parametrize("order", [2, 3, 4])
def test_pairs_lie_between_two_orders(study, order):
    """All of one order lower, and of this order what one or two atoms make."""
    model = study.model
    pairs = moments_of(model, order, "pairs")
    whole = moments_of(model, order)

    assert pairs == moments_of(model, order - 1) | {
        m for m in whole if sum(map(bool, m)) <= 2
    }


@pytest.mark.parametrize("study", QUESTIONS, ids=lambda s: s.formula)
def test_tables_hold_every_cell_with_the_same_moments(study):
    """Any combination of levels, times any product of continuous columns alone."""
    model = study.model
    tables = moments_of(model, 3, "tables")
    levels = [range(max(1, len(atom.levels))) for atom in model.atoms]
    inside = {m for m in tables if not any(
        e for e, f in zip(m, model.factors, strict=True) if f)}  # fmt: skip

    assert tables == {
        tuple(c or e for c, e in zip(cell, m, strict=True))
        for cell in product(*levels)
        for m in inside
    }
    assert moments_of(model, 3) <= tables
    assert moments_of(model, 2, "tables") == {
        m for m, d in moment_degrees(model, 3, "tables").items() if d <= 2
    }


@pytest.mark.parametrize("products", ["pairs", "tables"])
@pytest.mark.parametrize("study", QUESTIONS, ids=lambda s: s.formula)
def test_they_are_closed_under_division(study, products):
    """Else they would depend on the constants by which columns are shifted."""
    model = study.model
    found = moments_of(model, 3, products)

    assert all(divisors(m, model.factors) <= found for m in found)


@pytest.mark.parametrize(
    ("name", "order", "count"),
    [
        ("anchored-pairs", 3, 71),
        ("anchored-tables", 2, 77),
        ("canonical-tables", 3, 85),
        ("canonical-pairs", 4, 67),
    ],
)
def test_gusto_needs_as_many_numbers_as_were_measured(gusto, name, order, count):
    """The counts of docs/release-sets.md."""
    assert len(release_statistics(gusto.model, name, order)) == count


def test_both_measures_of_a_family_have_the_same_products():
    """Negative binomial fits integrate two functions."""
    found = QUESTIONS[3].statistics(3, "canonical-tables")
    rows = {s.monomial for s in found if s.role == "x"}
    counts = {s.monomial for s in found if s.role == "y"}

    assert rows == {m for m in counts if any(m)}


@pytest.mark.parametrize("name", ["anchored-pairs", "canonical-tables"])
def test_a_study_asks_for_them_by_name(name, tmp_path):
    """File, bytes and the usual list agree; the short form is the same study."""
    asked = replace(GUSTO, release_set=name, order=3)
    write_study(asked, tmp_path / "study.toml")
    text = (tmp_path / "study.toml").read_text()
    start = text.index("accept")
    short = f'set = "{name}"\norder = 3' + text[text.index("\n", start) :]
    (tmp_path / "short.toml").write_text(text[:start] + short)

    assert read_study(tmp_path / "study.toml") == asked
    assert read_study(tmp_path / "short.toml").digest == asked.digest
    assert parse_study(asked.canonical_bytes) == asked
    assert asked.offers == ladder(name, 3)
    assert f"{name}:3" in text


def test_what_stands_in_for_them_is_the_plain_set():
    """One order lower of pairs, the same order of tables."""
    assert ladder("anchored-pairs", 3) == (
        ("anchored-pairs", 3),
        *ladder("anchored", 2),
    )
    assert ladder("public-tables", 2) == (("public-tables", 2), *ladder("public", 2))


def test_names_are_made_and_read_alike():
    """Every set, and none besides the joint one without its forms."""
    assert all(join_set(*split_set(name)) == name for name in SETS)
    assert [name for name in SETS if name.startswith("joint")] == ["joint"]


@pytest.mark.parametrize(
    "change",
    [
        {"release_set": "anchored-pairs", "order": 1},
        {"release_set": "joint-tables"},
        {"release_set": "anchored-triples"},
        {"family": "gaussian", "method": "reml", "link": "identity"}
        | {"release_set": "canonical-tables"},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(change):
    """One sentence for pairs of one column, joint tables and lossless families."""
    with pytest.raises(StudyError, match=r"release|gaussian"):
        replace(GUSTO, **change)


def test_too_many_cells_are_refused():
    """Tables of many factors are named before they fill the memory."""
    levels = ", ".join(f"f{k}" for k in range(16))
    columns = tuple(
        replace(GUSTO.columns[0], name=f"f{k}", kind="binary") for k in range(16)
    )
    study = replace(
        GUSTO,
        formula=f"day30 ~ {levels.replace(', ', ' + ')} + (1 | hospital)",
        columns=(*GUSTO.columns, *columns),
        site_column="hospital",
        release_set="canonical-tables",
        order=2,
    )
    with pytest.raises(StudyError, match="moment functions"):
        study.statistics(2)
