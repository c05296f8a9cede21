"""``fedglmm report``: from the folder of a run to something to read."""

import json
from pathlib import Path

import pytest

from tests.command import BINOMIAL, OPEN, fedglmm, refused, simulate, small_table


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A finished run."""
    folder: Path = tmp_path_factory.mktemp("run")
    assert simulate(folder, small_table(), *BINOMIAL, *OPEN).status == 0
    return folder / "out"


def test_a_report_is_written_beside_the_result(run):
    """Its path is all that is printed."""
    ended = fedglmm("report", run)

    assert (ended.status, ended.err) == (0, "")
    assert ended.out == f"{run / 'report.html'}\n"
    assert (run / "report.html").read_text().startswith("<!DOCTYPE html>")


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
