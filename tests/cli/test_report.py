"""``fedglmm report``: from the folder of a run to something to read."""

import json
import shlex
from pathlib import Path

import pytest

from fedglmm_flower import Result
from fedglmm_flower.report.commands import commands_of
from tests.command import (
    BINOMIAL,
    OPEN,
    fedglmm,
    question,
    refused,
    simulate,
    small_table,
)

NOISY = question("e ~ b + (1 | hospital)", "binomial")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A finished run."""
    folder: Path = tmp_path_factory.mktemp("run")
    assert simulate(folder, small_table(), *BINOMIAL, *OPEN).status == 0
    return folder / "out"


def test_a_report_is_written_beside_the_result(run):
    """Its path is all that is printed."""
    for more, name in (((), "report"), (("--format", "pdf-ready"), "report-pdf-ready")):
        ended = fedglmm("report", run, *more)
        path = run / f"{name}.html"

        assert (ended.status, ended.err) == (0, "")
        assert ended.out == f"{path}\n"
        assert path.read_text().startswith("<!DOCTYPE html>")


def test_the_commands_of_a_report_make_its_result_again(run, tmp_path):
    """As they stand, but for the places of run and table: from releases, from rows."""
    result = Result.load(run)
    data = {"RUN": str(run), "TABLE.csv": str(run.parent / "data.csv")}
    places = data | {"RUN/study.toml": str(run / "study.toml")}
    for number, (_, command) in enumerate(commands_of(result.values)):
        out = tmp_path / str(number)
        words = [places.get(word, word) for word in shlex.split(command)][1:]
        words = [*words[: words.index("--out")]] if "--out" in words else words
        words += ["--no-disclosure"] if words[0] == "simulate" else []
        ended = fedglmm(*words, "--out", out)

        assert ended.status == 0, ended.err
        assert Result.load(out).to_frame().equals(result.to_frame())


def test_the_commands_of_a_fit_under_noise_ask_for_its_noise(tmp_path):
    """Its estimator is no word of --method; epsilon, delta and norm go along."""
    noise = ("--epsilon", "20", "--clipping-norm", "2", "--order", "1")
    ended = simulate(tmp_path, small_table(), *NOISY, *noise)
    assert ended.status == 0, ended.err
    values = Result.load(tmp_path / "out").to_dict()
    again, whole = commands_of(values)

    assert "--method" not in again[1] + whole[1]
    assert "--unit" not in whole[1]
    values["privacy"]["per_site"][0]["unit"] = "unit"
    assert "--unit PATIENT" in commands_of(values)[1][1]
    for words in ("--epsilon 20", "--delta 1e-06", "--clipping-norm 2", "zero_out"):
        assert words in whole[1]
    command = shlex.split(again[1].replace("RUN", str(tmp_path / "out")))[1:]
    ended = fedglmm(*command, "--json")
    assert ended.status == 0, ended.err
    before = Result.load(tmp_path / "out").values["fixed"]
    assert json.loads(ended.out)["fixed"] == before


@pytest.mark.parametrize(
    ("form", "start"), [("md", "# data"), ("txt", "Generalized linear"), ("json", "{")]
)
def test_other_forms_go_to_standard_output(run, form, start, tmp_path):
    """Or to a file that is named."""
    ended = fedglmm("report", run, "--format", form)
    named = fedglmm(
        "report", run / "result.json", "--format", form, "--out", tmp_path / "a"
    )

    assert (ended.status, named.status) == (0, 0)
    assert ended.out.startswith(start)
    assert (tmp_path / "a").read_text() == ended.out
    if form == "json":
        assert json.loads(ended.out) == json.loads((run / "result.json").read_text())


def test_what_cannot_be_reported_is_refused(run, tmp_path):
    """In one line; nothing is written."""
    (tmp_path / "result.json").write_text('{"format": 1}')

    refused(fedglmm("report", tmp_path / "none"), 2, "data-invalid", "a finished run")
    refused(fedglmm("report", tmp_path), 2, "data-invalid", "a whole result")
    refused(
        fedglmm("report", run, "--format", "doc"), 2, "usage", "html, md, txt, json"
    )
    refused(fedglmm("report", run, "--out", tmp_path), 2, "usage", "is a folder")
    under_a_file = tmp_path / "result.json" / "x"
    refused(fedglmm("report", run, "--out", under_a_file), 2, "storage-failed")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["result.json"]
