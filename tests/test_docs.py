"""What the documentation shows can be run as it stands."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from fedglmm_flower.study import read_study
from tests.command import fedglmm

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
# Slow: the GUSTO-I trial as a whole.
PAGES = (
    "inference.md",
    "results.md",
    pytest.param("quickstart.md", marks=pytest.mark.slow),
    pytest.param("examples.md", marks=pytest.mark.lengthy),
)
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_commands(block: str) -> None:
    """Commands of a block, ours in this process; an installation is not repeated."""
    for line in block.replace("\\\n", " ").splitlines():
        words = shlex.split(line)
        if words[0] == "pip":
            continue
        if words[:2] == ["python", "-m"]:
            subprocess.run([sys.executable, *words[1:]], check=True)
            continue
        assert words[0] == "fedglmm", line
        ended = fedglmm(*words[1:])
        assert ended.status == 0, ended.err
        sys.stdout.write(ended.out)


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_run_one_after_the_other(page, capsys, tmp_path):
    """A reader who pastes them in order meets no error."""
    blocks = BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))
    names: dict[str, object] = {}
    (tmp_path / "examples").symlink_to(ROOT / "examples")

    with contextlib.chdir(tmp_path):
        for kind, block in blocks:
            if kind == "sh":
                run_commands(block)
            else:
                exec(compile(block, page, "exec"), names)

    assert blocks
    assert capsys.readouterr().out


def test_the_study_file_of_the_reference_is_one(tmp_path):
    """The file that the page shows can be read, and every part of it is told."""
    text = (DOCS / "study-file.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "study.toml").write_text(shown)
    study = read_study(tmp_path / "study.toml")
    keys = {key for key in tomllib.loads(shown) if key not in ("format", "name")}

    assert study.sites == ("east", "north", "west")
    for key in keys - {"release", "columns"}:
        assert f"`{key}`" in text


@pytest.mark.skipif(not find_spec("mkdocs"), reason="needs the extra docs")
def test_the_pages_build_without_a_warning(tmp_path):
    """No dead link, no page outside the contents, no name that is not there."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", tmp_path / "site"],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "not included in the" not in done.stderr
    api = (tmp_path / "site" / "api.html").read_text(encoding="utf-8")
    for name in ("simulate", "refit", "Result", "load", "to_frame", "plot_forest"):
        assert f">{name}<" in api or f".{name}" in api
    # Fonts and scripts of others would tell them who reads.
    home = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="https?://[^"]*\.(?:js|css|woff2?)"', home)
