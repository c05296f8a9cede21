"""``fedglmm --verbose``: words in a pipe for those who ask, silence for all others."""

import pytest

from tests.command import BINOMIAL, OPEN, fedglmm, simulate, small_table


def test_stages_are_told_in_order_when_asked(tmp_path):
    """One line each, on standard error, with nothing of the data."""
    assert simulate(tmp_path, small_table(), *BINOMIAL, *OPEN).status == 0
    asked = ("coordinator", "refit", tmp_path / "out", "e ~ x + (1 | hospital)")
    plain = fedglmm(*asked)
    told = fedglmm("--verbose", *asked)
    lines = told.err.splitlines()

    assert (plain.status, told.status, plain.err) == (0, 0, "")
    assert all(line.startswith("fedglmm: ") and line.endswith(" s)") for line in lines)
    assert [line.split(" (")[0] for line in lines] == [
        "fedglmm: 4 sites turned into pseudo-data",
        f"fedglmm: {lines[-1].split()[1]} models fitted",
    ]


@pytest.mark.parametrize("options", [(), ("--verbose",)])
def test_an_error_is_one_line_either_way(options, tmp_path):
    """And has the same status."""
    ended = fedglmm(*options, "report", tmp_path / "none")

    assert ended.status == 2
    assert ended.line[0] == "data-invalid"
