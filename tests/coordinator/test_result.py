"""``result.json``: written whole, read back, refused when it is none."""

import json

import pytest

from fedglmm_flower.coordinator import Result
from fedglmm_flower.errors import DataError

VALUES = {"format": 1, "converged": True, "fixed": [{"name": "a"}], "random": []}


def test_what_is_written_is_read_back(tmp_path):
    """Folder and file name both load the same values."""
    path = Result(VALUES).write(tmp_path / "new" / "folder")

    assert Result.load(path).to_dict() == VALUES
    assert Result.load(path.parent).to_dict() == VALUES
    assert [p.name for p in path.parent.iterdir()] == ["result.json"]


def test_nothing_half_written_is_left(tmp_path):
    """A value that is no JSON leaves the previous result as it was."""
    Result(VALUES).write(tmp_path)

    with pytest.raises(ValueError, match="JSON compliant"):
        Result({**VALUES, "loglik": float("nan")}).write(tmp_path)

    assert Result.load(tmp_path).to_dict() == VALUES
    assert [p.name for p in tmp_path.iterdir()] == ["result.json"]


def test_names_survive_in_any_script(tmp_path):
    """Names of sites are written as they are, in UTF-8."""
    values = {**VALUES, "sites": [{"site": "Zürich 東"}]}

    path = Result(values).write(tmp_path)

    assert "Zürich 東" in path.read_text(encoding="utf-8")
    assert Result.load(tmp_path).to_dict() == values


def test_copies_are_independent():
    """Changing what was handed out does not change the result."""
    result = Result(json.loads(json.dumps(VALUES)))
    result.to_dict()["fixed"].clear()
    result.fixed[0]["name"] = "changed"

    assert result.fixed == [{"name": "a"}]
    assert result.random == []
    assert result.converged


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', "{", "\x00"])
def test_other_files_are_refused(text, tmp_path):
    """A file that is no result of this format is an error with a way out."""
    (tmp_path / "result.json").write_text(text)

    with pytest.raises(DataError, match="is no result of format 1"):
        Result.load(tmp_path)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    """A binary file is no result."""
    (tmp_path / "result.json").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(DataError, match="is no result"):
        Result.load(tmp_path)


def test_an_absent_result_is_named(tmp_path):
    """A folder without a result says which command makes one."""
    with pytest.raises(DataError, match="cannot be read"):
        Result.load(tmp_path)
