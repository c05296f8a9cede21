"""Bad input ends in one clear line and an exit status, and changes nothing."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.command import (
    BINOMIAL,
    GAUSSIAN,
    OPEN,
    POISSON,
    SECRET,
    Ended,
    fedglmm,
    listed,
    put,
    question,
    refused,
    simulate,
    small_table,
)

TABLES = {
    "missing column": (small_table().drop(columns="x"), GAUSSIAN, "'x' is missing"),
    "absent column in the formula": (
        small_table(),
        question("y ~ zz + (1 | hospital)", "gaussian"),
        "'zz' is missing",
    ),
    "absent site column": (
        small_table(),
        (*GAUSSIAN, "--site-column", "ward"),
        "'ward' is missing",
    ),
    "text in a numeric column": (put("x", SECRET), GAUSSIAN, "row 8 holds text"),
    "text in the response": (put("y", SECRET), GAUSSIAN, "row 8 holds text"),
    "infinity": (put("x", "inf"), GAUSSIAN, "row 8 holds an infinite"),
    "number that overflows": (put("x", "1e400"), GAUSSIAN, "row 8 holds an infinite"),
    "infinite response": (put("y", "-Infinity"), GAUSSIAN, "an infinite number"),
    "unknown level": (
        put("g", SECRET),
        (*GAUSSIAN, "--levels", "g=u,v,w"),
        "row 8 holds no declared level",
    ),
    "constant column": (
        small_table().assign(x=3.0),
        GAUSSIAN,
        "'x': is constant over all sites",
    ),
    "constant factor": (
        small_table().assign(g="u"),
        GAUSSIAN,
        "'g': is constant over all sites",
    ),
    "constant response": (
        small_table().assign(e=0),
        BINOMIAL,
        "'e': is constant over all sites",
    ),
    "undefined expression": (
        small_table(),
        question("y ~ log(x - 5) + (1 | hospital)", "gaussian"),
        "infinite or undefined",
    ),
    "binomial response that is 2": (
        small_table().assign(e=small_table().e * 2),
        BINOMIAL,
        "a value other than 0 and 1",
    ),
    "binomial response that is a half": (
        put("e", 0.5),
        BINOMIAL,
        "1 row with a value other than 0 and 1",
    ),
    "more events than trials": (
        put("k", 99),
        (*question("k ~ x + (1|hospital)", "binomial"), "--trials", "n of trials"),
        "more events than trials",
    ),
    "part of a trial": (
        put("n of trials", 9.5),
        (*question("k ~ x + (1|hospital)", "binomial"), "--trials", "n of trials"),
        "trials that is no whole number",
    ),
    "negative count": (put("c", -1), POISSON, "a negative count"),
    "part of a count": (put("c", 0.5), POISSON, "no whole number"),
    "negative weight": (
        put("x", -1),
        (*question("c ~ b + (1|hospital)", "poisson"), "--weights", "x"),
        "a negative weight",
    ),
    "no row of a site": (
        small_table().assign(hospital=""),
        GAUSSIAN,
        "'hospital' names no site",
    ),
    "no complete row": (
        small_table()
        .assign(x=np.where(small_table().b == 0, np.nan, 1.0 * np.arange(240)))
        .assign(y=np.where(small_table().b == 1, np.nan, 1.0 * np.arange(240))),
        GAUSSIAN,
        "no row is complete at any site",
    ),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_table_that_does_not_fit_is_told_in_one_line(case, tmp_path):
    """What every site would reject is bad data: status 2, and no folder is made."""
    table, options, words = TABLES[case]

    refused(simulate(tmp_path, table, *options), 2, "data-invalid", words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("response", ["y", "e", "c"])
@pytest.mark.parametrize("gate", [(), OPEN])
def test_dependent_columns_are_named(response, gate, tmp_path):
    """A design that is rank-deficient over all sites names the redundant column."""
    family = {"y": "gaussian", "e": "binomial", "c": "poisson"}[response]
    table = small_table().assign(twice=lambda t: 2 * t.x + 1)
    asked = question(f"{response} ~ x + twice + (1 | hospital)", family)

    ended = simulate(tmp_path, table, *asked, *gate)

    refused(ended, 2, "fit-impossible", "'twice'", "linearly dependent")
    assert not (tmp_path / "out").exists()


def test_a_level_that_nobody_has_is_a_dependent_column(tmp_path):
    """A declared level without a row at any site has no coefficient."""
    ended = simulate(tmp_path, small_table(), *GAUSSIAN, "--levels", "g=u,v,w,q")

    refused(ended, 2, "fit-impossible", "'g[T.q]'", "zero in every row")


FILES = {
    "empty file": (b"", "is empty"),
    "header alone": (b"hospital,x,g,y\n", "has no rows"),
    "row too short": (b"hospital,x,g,y\na,1,u,2\na,1,u\n", "row 2 has 3 cells"),
    "decimal comma": (b"hospital,x,g,y\na,1,u,2,5\nb,1,u,3,5\n", "row 1 has 5 cells"),
    "quote that is not closed": (b'hospital,x,g,y\na,1,"u,2\n', "no valid CSV"),
    "other encoding": ("hospital,x,g,y\né,1,u,2\n".encode("latin-1"), "not in UTF-8"),
    "other separator": (b"hospital;x;g;y\na;1;u;2\n", "column 'hospital' is missing"),
    "column twice": (b"hospital,x,x,g,y\na,1,2,u,3\n", "'x' stands 2 times"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_table_is_told_in_one_line(case, tmp_path):
    """No cell is cut off, filled in or shifted without a word."""
    content, words = FILES[case]

    refused(simulate(tmp_path, content, *GAUSSIAN), 2, "data-invalid", words)
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_there_is_told_in_one_line(tmp_path):
    """The path is what the user has to correct."""
    out = tmp_path / "out"
    for path in (tmp_path / "nowhere.csv", tmp_path):
        ended = fedglmm("simulate", path, *GAUSSIAN, "--out", out)

        refused(ended, 2, "data-invalid", "cannot be read")


@pytest.mark.parametrize("case", ["file", "below a file"])
def test_results_need_a_folder(case, tmp_path):
    """An output path that is a file is refused before anything is computed."""
    (tmp_path / "out").write_text("mine")
    out = tmp_path / "out" / ("" if case == "file" else "deeper")
    small_table().to_csv(tmp_path / "data.csv", index=False)
    ended = fedglmm("simulate", tmp_path / "data.csv", *GAUSSIAN, "--out", out)

    refused(ended, 2, "usage", "folder")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_coordinators_own_key_is_never_replaced(tmp_path):
    """A simulation makes keys of its own; a real coordinator's folder is not for it."""
    key = tmp_path / "out" / "keys" / "coordinator.key"
    key.parent.mkdir(parents=True)
    key.write_text("mine")

    refused(simulate(tmp_path, small_table(), *GAUSSIAN), 2, "usage", "coordinator.key")
    assert key.read_text() == "mine"


def everything(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, by name."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("status", "table", "options"),
    [
        (2, put("x", "inf"), GAUSSIAN),
        (2, small_table().assign(y=lambda t: 2 * t.x), GAUSSIAN),
        (2, small_table(), question("y ~ ~", "gaussian")),
        (3, small_table().groupby("hospital").head(9), GAUSSIAN),
        (5, small_table(), (*GAUSSIAN, "--quorum", "5")),
    ],
)
def test_an_earlier_result_survives_what_fails(status, table, options, tmp_path):
    """A folder holds one whole run: a failed one changes not a byte of it."""
    assert simulate(tmp_path, small_table(), *GAUSSIAN).status == 0

    before = everything(tmp_path / "out")

    assert simulate(tmp_path, table, *options).status == status
    assert everything(tmp_path / "out") == before


def test_a_new_run_leaves_nothing_of_the_old_one(tmp_path):
    """Releases and estimates of sites that are gone do not stay beside a new result."""
    simulate(tmp_path, small_table(), *GAUSSIAN)
    fewer = small_table().query("hospital != 'd'")
    simulate(tmp_path, fewer, *GAUSSIAN)
    files = set(everything(tmp_path / "out"))

    assert {f"sealed/{site}.sealed" for site in "abc"} < files
    assert not [name for name in files if name.split("/")[-1].startswith("d.")]
    assert "sites/d/estimates.json" not in files


def test_every_site_refused_is_status_three(tmp_path):
    """When the gate refuses everywhere, nothing is fitted and nothing is written."""
    few = small_table().groupby("hospital").head(9)

    ended = simulate(tmp_path, few, *GAUSSIAN)

    refused(ended, 3, "all-refused", "all 4 sites refused", "disclosure-refused")
    assert not (tmp_path / "out").exists()


def test_a_site_that_the_gate_refuses_is_listed(tmp_path):
    """The others are fitted; the refused site stands in the result with a code."""
    table = small_table().drop(index=range(10, 60))

    assert simulate(tmp_path, table, *GAUSSIAN).status == 0

    entry = listed(tmp_path)["a"]

    assert (entry["status"], entry["code"]) == ("refused", "disclosure-refused")
    assert entry["n_rows"] is None
    assert not (tmp_path / "out" / "sealed" / "a.sealed").exists()


def test_a_site_without_complete_rows_is_listed(tmp_path):
    """An empty site refuses; its rows are nobody else's business."""
    table = small_table()
    table.loc[table.hospital == "a", "x"] = np.nan

    assert simulate(tmp_path, table, *GAUSSIAN).status == 0
    assert listed(tmp_path)["a"]["code"] == "site-empty"


OPEN = ("--no-disclosure",)


def test_missing_cells_are_dropped_and_counted(tmp_path):
    """Empty cells and NaN in used columns drop their rows; others do not."""
    table = small_table().astype(object)
    table.loc[[1, 2], "x"] = ["", "NaN"]
    table.loc[70, "y"] = np.nan
    table.loc[130, "e"] = np.nan

    table.loc[180:185, "x"] = ""

    # The gate tells no count from 1 to 4.
    for options, counts in (((), [None, None, 0, 6]), (OPEN, [2, 1, 0, 6])):
        assert simulate(tmp_path, table, *GAUSSIAN, *options).status == 0
        sites = listed(tmp_path).values()
        assert [entry["n_missing"] for entry in sites] == counts
        assert [entry["n_rows"] for entry in sites] == [58, 59, 60, 54]


def test_a_command_that_fails_shows_no_traceback(tmp_path):
    """The installed entry point: one line on stderr, and the status, also outside."""
    small_table().assign(x=3.0).to_csv(tmp_path / "data.csv", index=False)
    program = "from fedglmm_flower.cli.main import main; main()"
    for options, status in ((("--bogus",), 2), (GAUSSIAN, 2)):
        arguments = ["simulate", str(tmp_path / "data.csv"), *options]
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments, "--out", str(tmp_path / "o")],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

        assert done.returncode == status
        assert Ended(status, done.stdout, done.stderr).line
        assert not (tmp_path / "o").exists()


def test_a_defect_shows_no_traceback_either(tmp_path, monkeypatch):
    """A traceback could show rows: only who asks for it sees it."""

    def broken(*_, **__):
        raise ZeroDivisionError(SECRET)

    monkeypatch.delenv("FEDGLMM_DEBUG", raising=False)
    monkeypatch.setattr("fedglmm_flower.cli.simulate.run_simulation", broken)

    refused(simulate(tmp_path, small_table(), *GAUSSIAN), 1, "internal", "ZeroDivision")
