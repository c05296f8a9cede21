"""The entry point: help, version, and unknown commands."""

import subprocess
import sys

import pytest

from fedglmm_flower import __version__
from tests.command import fedglmm


def test_the_version_is_the_packages():
    """One number, from one place."""
    ended = fedglmm("--version")

    assert (ended.status, ended.out) == (0, f"fedglmm-flower {__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [(), ("simulate",), ("study", "init"), ("keys", "new"), ("site", "preview")],
)
def test_every_command_has_help(arguments):
    """--help is status 0 and says how to call the command."""
    ended = fedglmm(*arguments, "--help")

    assert ended.status == 0
    assert "Usage: fedglmm" in ended.out
    assert "\\[" not in ended.out  # brackets are escaped for rich, which is not used


@pytest.mark.parametrize(
    "arguments",
    [("bogus",), ("keys", "bogus"), ("study", "check"), ("simulate", "data.csv")],
)
def test_a_wrong_command_line_is_one_line(arguments):
    """Status 2, and the help that would have told."""
    ended = fedglmm(*arguments)
    code, detail = ended.line

    assert (ended.status, code) == (2, "usage")
    assert "--help'" in detail


def test_the_package_runs_as_a_module():
    """Where scripts are not on the path, ``python -m`` does."""
    ended = subprocess.run(
        [sys.executable, "-m", "fedglmm_flower", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert ended.stdout == f"fedglmm-flower {__version__}\n"
