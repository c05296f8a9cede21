"""The study of a table that may be seen as a whole: given, or read off it."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from fedglmm_flower.errors import DataError, FedglmmError, StudyError, UsageError
from fedglmm_flower.site.whole_table import read_table, study_of_table
from fedglmm_flower.study import write_study
from tests.site.conftest import ask, patients

NOTHING: dict[str, Any] = dict.fromkeys(
    [
        "formula",
        "family",
        "link",
        "site_column",
        "trials",
        "offset",
        "weights",
        "study",
        "order",
        "release_set",
        "method",
    ]
)


@pytest.fixture
def two() -> pd.DataFrame:
    """Two hospitals and three rows of none."""
    names: Any = ["south"] * 50 + ["north"] * 60 + ["", None, "NaN"]
    return patients(113).assign(hospital=names)


def study_of(data, formula=None, family=None, **changes):
    """The study of a table, with everything else left out."""
    options = NOTHING | {"levels": {}} | changes
    options |= {"formula": formula, "family": family}
    return study_of_table(read_table(data), **options)


def test_a_study_is_proposed_from_the_table(two):
    """Sites in sorted order, rows without a site left out."""
    found = study_of(two, "died ~ age + stage + (1 | hospital)", "binomial")

    assert found.study.sites == ("north", "south")
    assert (found.study.offers[0], found.site_column) == (("anchored", 5), "hospital")
    assert [len(found.source(site).frame) for site in ("south", "north")] == [50, 60]
    assert found.source("north").name == "site 'north'"


def test_text_and_native_values_make_the_same_study(two, tmp_path):
    """Only the name tells where they came from."""
    two.to_csv(tmp_path / "rows.csv", index=False)
    formula = "died ~ age + female*stage + (1 | hospital)"
    by_file = study_of(tmp_path / "rows.csv", formula, "binomial").study
    by_frame = study_of(two, formula, "binomial").study

    assert by_file.name == "rows"
    assert replace(by_file, name="table") == by_frame


def test_a_given_study_takes_the_sites_of_the_table(two, tmp_path):
    """Where it names none of its own."""
    write_study(ask("died ~ age", "binomial", sites=()), tmp_path / "study.toml")
    found = study_of(two, study=tmp_path / "study.toml")

    assert found.study.sites == ("north", "south")


def test_the_pooled_fit_is_of_the_sites_that_were_used(two):
    """A site that refused is left out of the comparison too."""
    three = two.assign(hospital=[*"abc"] * 37 + ["", ""])
    found = study_of(three, "cost ~ age + (1 | hospital)", "gaussian")
    used = found.pooled_fit({"a", "c"}, "ml").to_dict()
    again = study_of(
        three[three["hospital"].isin(["a", "c"])],
        "cost ~ age + (1 | hospital)",
        "gaussian",
    )

    assert used["method"] == "ml"
    assert used["loglik"] == pytest.approx(again.pooled_fit("ac", "ml").loglik)
    assert found.pooled_fit("abc", None).to_dict()["method"] == "reml"


@pytest.mark.parametrize(
    ("formula", "family", "options", "kind", "says"),
    [
        (None, None, {}, UsageError, "formula or family is missing"),
        ("died ~ age", "binomial", {}, UsageError, "no site column"),
        ("died ~ age + (1 | ward)", "binomial", {}, DataError, "'ward' is missing"),
        ("died ~ q + (1 | hospital)", "binomial", {}, DataError, "'q' is missing"),
        ("died ~ age + (1 | hospital)", "normal", {}, StudyError, "'normal'"),
        ("died ~ age + (1 | hospital)", "gamma", {}, DataError, "not positive"),
        ("died ~ 1 + (1 | hospital/q)", "binomial", {}, DataError, "'q' is missing"),
        ("died ~ age + (1|hospital)", "binomial", {"order": 9}, StudyError, ":9"),
        ("trials ~ age + (1 | hospital)", "binomial", {}, DataError, "0 and 1"),
        ("died ~ age + (1|hospital)", "binomial", {"study": "s"}, UsageError, "either"),
    ],
)
def test_what_every_site_would_reject_is_an_error(
    two, formula, family, options, kind, says
):
    """Before any site is asked."""
    with pytest.raises(kind, match="; ") as caught:
        study_of(two, formula, family, **options)

    assert says in str(caught.value)


def test_a_table_without_sites_rows_or_complete_rows_is_refused(two, tmp_path):
    """Each with its own words."""
    formula, family = "died ~ age + (1 | hospital)", "binomial"
    (tmp_path / "head.csv").write_text("died,age,hospital\n")
    for data, says in (
        (two[:0], "has no rows"),
        (tmp_path / "head.csv", "has no rows"),
        (two.assign(hospital=""), "names no site"),
        (
            two.assign(
                age=[60.0, 61.0] + [None] * 111, died=[None] * 2 + [0, 1, 0] * 37
            ),
            "no row is complete",
        ),
    ):
        with pytest.raises(FedglmmError, match=says):
            study_of(data, formula, family)


def test_sites_that_a_study_does_not_expect_are_refused(two, tmp_path):
    """Their rows are not dropped in silence."""
    write_study(ask("died ~ age", "binomial", sites=("north",)), tmp_path / "s.toml")
    with pytest.raises(StudyError, match="does not expect 1 sites"):
        study_of(two, study=tmp_path / "s.toml")
