"""Patients with several rows: rules count patients, where the officer names them."""

import contextlib
import sqlite3
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.errors import DisclosureError, StudyMismatchError
from fedglmm_flower.site import CsvSource, FrameSource, Policy, release
from fedglmm_flower.site import summarise as module
from fedglmm_flower.site.answer import answer
from fedglmm_flower.site.clusters import clear_site
from fedglmm_flower.site.database import Database
from fedglmm_flower.site.gate import inspect
from fedglmm_flower.site.leverage import leverages
from fedglmm_flower.site.memory import SiteMemory
from fedglmm_flower.site.parquet import ParquetSource
from fedglmm_flower.site.released import REMAINDER
from fedglmm_flower.site.scored import Point
from fedglmm_flower.site.scoring import score
from fedglmm_flower.site.sql import SqlSource
from fedglmm_flower.site.summarise import summarise_clusters
from fedglmm_flower.site.unit_leverage import largest_unit_leverage
from tests.site.conftest import ask, patients

ROWS = Policy()
UNITS = replace(ROWS, unit="patient_id")
STUDY = ask("died ~ age + female + (1 | hospital)", "binomial", order=1)


def visits(n=150, each=3, seed=3):
    """Patients with a few visits each, whose sex is known at every one."""
    frame = patients(n * each, seed)
    who = np.repeat(np.arange(n), each)
    return frame.assign(
        patient_id=[f"p{k}" for k in who], female=(who % 2).astype(float)
    )


def failed(study, frame, policy, name=lambda path: path):
    """Names of the rules that a table breaks, for the set that is asked first."""
    found = summarise_clusters(
        study, FrameSource(frame), site="north", name=name, unit=policy.unit
    )
    (moments,) = found.clusters.values()
    statistics = study.statistics(study.order, study.release_set)
    findings = inspect(study.moment_model, moments, statistics, policy)
    return {finding.rule for finding in findings if not finding.passed}


def only(frame, column, patient, inside, outside):
    """A column with one value on the rows of one patient and another elsewhere."""
    return frame.assign(
        **{column: np.where(frame.patient_id == patient, inside, outside)}
    )


def of_one(n=30):
    """A table in which one patient has n rows, and all others three."""
    more = patients(n, 9).assign(patient_id="p0", female=0.0)
    return pd.concat([visits(), more], ignore_index=True)


def test_ordinary_visits_pass_by_rows_and_by_units():
    """Three visits each are nobody's exposure."""
    assert failed(STUDY, visits(), ROWS) == set()
    assert failed(STUDY, visits(), UNITS) == set()


@pytest.mark.parametrize(
    ("rule", "study", "change"),
    [
        ("cells", STUDY, lambda f: only(f, "female", "p0", 1.0, 0.0)),
        (
            "nesting",
            ask("died ~ female + stage", "binomial", order=1),
            # All men are of stage III, and so is one woman with thirty visits.
            lambda f: f.assign(
                female=(f.index % 3 == 0) | (f.patient_id == "p0"),
                stage=np.where(
                    (f.index % 3 != 0) | (f.patient_id == "p0"), "III", "I"
                ),
            ).astype({"female": float}),
        ),
        ("values", ask("died ~ cost", "binomial"), lambda f: f.assign(
            cost=np.where(f.patient_id == "p0", np.arange(len(f)) / 7, 1.0))),
        ("values", ask("died ~ cost", "binomial"), lambda f: only(
            f, "cost", "p0", 2.0, 1.0)),
        ("response-cells", STUDY, lambda f: only(f, "died", "p0", 1, 0)),
        ("response-cells", STUDY, lambda f: only(f, "died", "p0", 0, 1)),
        (
            "response-cells",
            ask("count ~ age", "poisson", order=1),
            lambda f: only(f, "count", "p0", 2, 0),
        ),
        ("leverage", ask("died ~ age + cost", "binomial", order=2), lambda f: f.assign(
            cost=np.where(f.patient_id == "p0", 40.0, f.cost / 10))),
    ],
)  # fmt: skip
def test_one_patient_with_thirty_rows_passes_by_rows_and_not_by_units(
    rule, study, change
):
    """What thirty people have nobody is known by; what one has thirty times he is."""
    frame = change(of_one())

    assert rule not in failed(study, frame, ROWS)
    assert rule in failed(study, frame, UNITS)


def test_few_patients_are_few_however_many_rows_they_have():
    """Forty patients with twelve visits each; and one with most of the rows."""
    few = visits(40, 12)
    assert failed(STUDY, few, ROWS) == set()
    assert failed(STUDY, few, UNITS) == {"minimum-rows"}
    strict = replace(UNITS, min_rows=5, rows_per_statistic=9.0)
    assert failed(STUDY, few, strict) == {"rows-per-statistic"}

    assert failed(STUDY, of_one(600), ROWS) == set()
    assert {"dominance", "effective-rows"} <= failed(STUDY, of_one(600), UNITS)


def test_a_row_a_patient_is_as_without_units():
    """Where every row has a patient of its own, findings are the same to the digit."""
    frame = patients(400).assign(patient_id=[f"p{k}" for k in range(400)])
    study = ask("died ~ age + female + stage", "binomial", order=2)

    def findings(policy):
        found = summarise_clusters(
            study, FrameSource(frame), site="north", unit=policy.unit
        ).clusters[()]
        shown = inspect(study.model, found, study.statistics(2), policy)
        return {
            (f.rule, f.detail.split(":")[0], f.passed, f.found and round(f.found, 9))
            for f in shown
        }

    by_row, by_unit = findings(ROWS), findings(UNITS)
    assert by_row <= by_unit
    assert {rule for rule, *_ in by_unit - by_row} <= {
        "response-cells", "dominance", "effective-rows"
    }  # fmt: skip


def test_batches_and_formats_do_not_matter(tmp_path, monkeypatch):
    """Units are counted over batches; the snapshot covers their names."""
    frame = of_one()
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.to_parquet(tmp_path / "rows.parquet")
    with contextlib.closing(sqlite3.connect(tmp_path / "rows.db")) as connection:
        frame.to_sql("t", connection, index=False)
    database = Database("sqlite:///rows.db").inside(tmp_path)
    study = ask("died ~ age + cost + stage", "binomial", order=2)

    def seen(source):
        found = summarise_clusters(study, source, site="north", unit="patient_id")
        findings = inspect(study.model, found.clusters[()], study.statistics(2), UNITS)
        return found, [
            (f.rule, f.passed, f.cell, f.found and round(f.found, 9)) for f in findings
        ]

    whole, expected = seen(FrameSource(frame))
    monkeypatch.setattr(module, "_MAX_BATCH", 17)
    monkeypatch.setattr(module, "_CELLS_PER_BATCH", 17)
    for source in (
        FrameSource(frame.iloc[::-1]),
        CsvSource(tmp_path / "rows.csv"),
        ParquetSource(tmp_path / "rows.parquet"),
        SqlSource(database, "SELECT * FROM t"),
    ):
        found, findings = seen(source)
        assert findings == expected
        assert found.snapshot == whole.snapshot
    other = frame.assign(patient_id=frame.patient_id.replace("p0", "q0"))
    assert seen(FrameSource(other))[0].snapshot != whole.snapshot


def test_a_row_of_nobody_is_a_missing_one():
    """It is dropped, and told only where that tells of enough patients."""
    frame = visits()
    frame.loc[frame.index[:9], "patient_id"] = None
    found = summarise_clusters(
        STUDY, FrameSource(frame), site="north", unit="patient_id"
    )
    (moments,) = found.clusters.values()

    assert (moments.n_rows, moments.units, moments.n_missing) == (441, 147, 9)
    assert release(STUDY, FrameSource(frame), UNITS, site="north").n_missing is None
    frame = visits()
    frame.loc[[0, 3, 6, 9, 12], "age"] = np.nan
    assert release(STUDY, FrameSource(frame), UNITS, site="north").n_missing == 5
    frame = visits(each=6)
    frame.loc[:5, "age"] = np.nan
    assert release(STUDY, FrameSource(frame), ROWS, site="north").n_missing == 6
    assert release(STUDY, FrameSource(frame), UNITS, site="north").n_missing is None


@pytest.mark.parametrize(
    "study",
    [
        ask("died ~ age + (1 | hospital/patient_id)", "binomial",
            clusters=("patient_id",)),
        replace(STUDY, formula="died ~ patient_id", columns=(
            *STUDY.columns, replace(STUDY.columns[0], name="patient_id"))),
    ],
)  # fmt: skip
def test_the_column_of_units_is_no_column_of_a_study(study):
    """Neither as an effect of each patient nor as a number."""
    with pytest.raises(StudyMismatchError, match=r"'patient_id'.* protected"):
        release(study, FrameSource(visits()), UNITS, site="north")


def test_clusters_that_name_patients_by_another_column_are_judged_by_units():
    """A record number is a patient; only the site as a whole is left of them."""
    study = ask("died ~ age + (1 | hospital/record)", "binomial",
                clusters=("record",), order=1)  # fmt: skip
    frame = visits(4, 100).assign(record=lambda f: "r" + f.patient_id)

    def cleared(policy, table):
        found = summarise_clusters(
            study, FrameSource(table), site="north", unit=policy.unit
        )

        def pool(small):
            name = dict.fromkeys(small, (REMAINDER,)).get
            return summarise_clusters(
                study, FrameSource(table), site="north", name=name, unit=policy.unit
            ).clusters[(REMAINDER,)]

        return clear_site(study, found, policy, pool)

    assert len(cleared(ROWS, frame).clusters) == 4
    with pytest.raises(DisclosureError, match="1 to 1 units passes"):
        cleared(UNITS, frame)
    many = visits(120, 60).assign(record=lambda f: "r" + f.patient_id)
    assert len(cleared(ROWS, many).clusters) == 120
    assert list(cleared(UNITS, many).clusters) == [(REMAINDER,)]


def test_many_rows_of_one_patient_are_one_by_subtraction(tmp_path):
    """A second study lacks a column on all visits of one patient."""
    frame = visits(each=6)
    frame.loc[:5, "cost"] = np.nan
    frame.loc[:5, "died"] = 1
    other = replace(STUDY, formula="died ~ age + cost + (1 | hospital)")
    for policy, refused in ((ROWS, False), (UNITS, True)):
        memory = SiteMemory(tmp_path / str(refused))
        source = FrameSource(frame)
        answer(STUDY, source, policy, site="north", memory=memory)
        if not refused:
            answer(other, source, policy, site="north", memory=memory)
            continue
        with pytest.raises(DisclosureError, match="differencing"):
            answer(other, source, policy, site="north", memory=memory)


def test_a_likelihood_is_judged_by_units(tmp_path):
    """Rows of the engine's order are summed by whose they are."""
    study = replace(STUDY, rounds=1)
    point = Point(1, 1, (0.0, 0.0, 0.0, 0.1))

    def asked(frame, policy):
        return score(
            study, FrameSource(frame), policy, point,
            site="north", asked=SiteMemory(tmp_path),
        )  # fmt: skip

    assert asked(visits(), UNITS).value == asked(visits(), ROWS).value
    assert asked(of_one(600), ROWS).n_rows == 1050
    with pytest.raises(DisclosureError, match="dominance"):
        asked(of_one(600), UNITS)


def test_the_share_of_a_unit_is_that_of_its_block(rng):
    """The largest eigenvalue of its part, found without looking at every unit."""
    functions = rng.normal(size=(4, 900))
    units = np.repeat(np.arange(300), 3)
    functions[:, units == 7] *= 9.0
    parts = [(functions[:, :500], units[:500]), (functions[:, 500:], units[500:])]
    basis = np.linalg.qr(functions.T)[0]
    expected = max(
        np.linalg.svd(basis[units == k], compute_uv=False)[0] ** 2 for k in range(300)
    )

    assert largest_unit_leverage(lambda: parts) == pytest.approx(expected, rel=1e-9)
    single = [(part, np.arange(part.shape[1]) + 1000 * i)
              for i, (part, _) in enumerate(parts)]  # fmt: skip
    rows = max(h.max() for h in leverages(lambda: [p for p, _ in parts]))
    assert largest_unit_leverage(lambda: single) == pytest.approx(rows, rel=1e-9)
