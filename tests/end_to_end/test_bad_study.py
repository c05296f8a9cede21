"""A study that is malformed, or does not fit the table, is refused."""

from pathlib import Path

import pytest

from tests.command import (
    GAUSSIAN,
    fedglmm,
    listed,
    refused,
    simulate,
    small_table,
)


@pytest.fixture
def study_file(tmp_path):
    """A study.toml drafted from the table."""
    small_table().to_csv(tmp_path / "data.csv", index=False)
    path = tmp_path / "study.toml"
    assert fedglmm("study", "init", tmp_path / "data.csv", *GAUSSIAN, "--out", path)
    return path


def change(path: Path, old: str, new: str) -> None:
    """Replace a text that is there."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_value_outside_declared_bounds_is_refused(study_file, tmp_path):
    """Bounds are public promises: one value outside them is an error."""
    table = small_table()
    lowest = f"bounds = [{table.x.min()}"
    change(study_file, lowest, f"bounds = [{table.x.min() + 0.001}")

    ended = simulate(tmp_path, table, "--study", study_file)

    refused(ended, 2, "data-invalid", "'x'", "outside the declared bounds")
    assert not (tmp_path / "out").exists()


def test_an_expected_site_that_is_absent_is_missing(study_file, tmp_path):
    """A site that the study expects and the table lacks does not answer: status 5."""
    change(study_file, '"d"]', '"d", "elsewhere"]')

    ended = simulate(tmp_path, small_table(), "--study", study_file)

    refused(ended, 5, "quorum-not-reached", "'elsewhere': site-missing")
    assert not (tmp_path / "out").exists()

    ended = simulate(tmp_path, small_table(), "--study", study_file, "--quorum", 4)

    assert ended.status == 0
    assert listed(tmp_path)["elsewhere"]["status"] == "missing"
    assert not (tmp_path / "out" / "sites" / "elsewhere").exists()


def test_a_site_that_is_not_expected_is_refused(study_file, tmp_path):
    """Rows of a site that the study does not name are not left out silently."""
    change(study_file, ', "d"]', "]")

    ended = simulate(tmp_path, small_table(), "--study", study_file)

    refused(ended, 2, "study-invalid", "does not expect 1 site")


STUDIES = {
    "no TOML": ("format = 1", "format = ", "no valid TOML"),
    "other format": ("format = 1", "format = 2", "format 1 is required"),
    "unknown key": ("format = 1", "format = 1\nextra = 1", "extra"),
    "order too high": ("order = 4", "order = 7", "release.order"),
    "unknown release set": ('"canonical"', '"newest"', "release.set"),
    "unknown kind": ('"continuous"', '"number"', "kind"),
    "site twice": ('"a", "b"', '"a", "a"', "site is declared twice"),
    "undeclared column": ("y ~ x", "y ~ zz + x", "'zz' is not declared"),
    "scale of zero": ("scale = ", "scale = 0.0 # ", "scale must be positive"),
    "unknown family": ('"gaussian"', '"normal"', "'normal' is not known"),
}


@pytest.mark.parametrize("case", STUDIES)
@pytest.mark.parametrize("command", ["check", "show", "simulate"])
def test_a_study_that_is_malformed_is_refused(case, command, study_file, tmp_path):
    """Every command that reads a study says the same of a malformed one."""
    old, new, words = STUDIES[case]
    change(study_file, old, new)
    if command == "simulate":
        ended = simulate(tmp_path, small_table(), "--study", study_file)
    else:
        ended = fedglmm("study", command, study_file)
    code, detail = ended.line

    assert ended.status == 2
    assert code in {"study-invalid", "formula-invalid"}
    assert words in detail
    assert not (tmp_path / "out").exists()
