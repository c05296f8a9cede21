"""What the documentation shows can be run as it stands."""

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.site.config import (
    DisclosureTable,
    KeysTable,
    PolicyTable,
    PrivacyTable,
    SiteFile,
)
from fedglmm_flower.study import read_study
from tests.command import fedglmm

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
# A page, and how many hospitals of the GUSTO-I trial; all of them take their time.
PAGES = (
    ("inference.md", None),
    ("results.md", None),
    ("quickstart.md", 6),
    pytest.param("quickstart.md", None, marks=pytest.mark.lengthy),
    pytest.param("examples.md", None, marks=pytest.mark.lengthy),
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


def examples_begin(folder, hospitals):
    """What a reader has got: the examples, or some hospitals of the trial."""
    if hospitals is None:
        (folder / "examples").symlink_to(ROOT / "examples")
        return
    trial = pd.read_csv(ROOT / "examples" / "gusto" / "gusto.csv")
    (folder / "examples" / "gusto").mkdir(parents=True)
    trial[trial.grpl <= hospitals].to_csv(
        folder / "examples" / "gusto" / "gusto.csv", index=False
    )


@pytest.mark.parametrize(("page", "hospitals"), PAGES)
def test_the_blocks_of_a_page_run_one_after_the_other(
    page, hospitals, capsys, tmp_path
):
    """A reader who pastes them in order meets no error."""
    blocks = BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))
    names: dict[str, object] = {}
    examples_begin(tmp_path, hospitals)

    with contextlib.chdir(tmp_path):
        for kind, block in blocks:
            if kind == "sh":
                run_commands(block)
            else:
                exec(compile(block, page, "exec"), names)

    assert blocks
    assert capsys.readouterr().out


def others_begin(folder):
    """What an officer has got: a table, a study, and two public keys."""
    rng = np.random.default_rng(11)
    who = np.repeat(np.arange(1200), rng.integers(1, 4, 1200))
    age, female = rng.uniform(20, 90, 1200), rng.integers(0, 2, 1200)
    table = pd.DataFrame({
        "patient_id": [f"p{k}" for k in who],
        "site": np.array(["north", "south", "east"])[who % 3],
        "age": age[who].round(), "female": female[who],
    })  # fmt: skip
    table["died"] = (rng.random(len(who)) < 0.2 + 0.004 * (table.age - 20)).astype(int)
    table.to_csv(folder / "all.csv", index=False)
    table[table.site == "north"].drop(columns="site").to_csv(
        folder / "table.csv", index=False
    )
    asked = ("--formula", "died ~ age + female + (1 | site)", "--family", "binomial")
    canonical = ("--release-set", "canonical", "--order", 2)
    run = ("study", "init", folder / "all.csv", *asked, *canonical)
    assert fedglmm(*run, "--out", folder / "study.toml").status == 0
    keys = folder / "keys"
    for name in ("coordinator", "owner", "sites/south", "sites/east"):
        out = (keys / name).parent
        assert fedglmm("keys", "new", Path(name).name, "--out", out).status == 0
    for name in ("coordinator.pub", "owner.pub"):
        shutil.copy(keys / name, folder / name)


def others_sign(folder):
    """The owner's manifest, once the site has sent its key."""
    keys = folder / "keys"
    shutil.copy(folder / "north.pub", keys / "sites" / "north.pub")
    signed = fedglmm(
        "study", "sign", folder / "study.toml", "--keys", keys,
        "--owner", keys / "owner.key", "--expires", "2999-01-01",
        "--out", folder / "manifest.toml",
    )  # fmt: skip
    assert signed.status == 0, signed.err


def test_an_officer_gets_from_the_plan_to_the_ledger_by_the_guide(tmp_path, capsys):
    """Every command of the page, in its order, with what others send in between."""
    page = (DOCS / "privacy-officer.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(toml|sh)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    policy, told = tmp_path / "site.toml", []
    with contextlib.chdir(tmp_path):
        others_begin(tmp_path)
        for kind, block in blocks:
            if kind == "toml":
                whole = policy.read_text() if block.startswith("[privacy]") else ""
                policy.write_text(whole.partition("[privacy]")[0] + block)
                if whole:
                    early = fedglmm("site", "approve", "manifest.toml", "--study",
                                    "study.toml", "--owner", "owner.pub")  # fmt: skip
                    assert early.line[0] == "policy-invalid"
                    assert "not as it was signed (version 1)" in early.err
                continue
            run_commands(block)
            told.append(capsys.readouterr().out)
            if "keys new" in block:
                others_sign(tmp_path)
    shown = "".join(told)

    assert "version 1 of the policy was signed" in shown
    assert "version 2 of the policy was signed" in shown
    assert "policy: version 2, signed" in shown
    assert "units (patient_id), which the rules count" in shown
    assert "leverage" in shown
    assert (tmp_path / "north.sealed").stat().st_size > 1000
    assert "icu-2026: epsilon 1.000 of 3.000 spent" in shown
    # A changed line is not in force.
    policy.write_text(policy.read_text().replace("min_cell = 5", "min_cell = 4"))
    ended = fedglmm("site", "release", "--config", policy, "--study",
                    tmp_path / "study.toml", "--manifest", tmp_path / "manifest.toml",
                    "--out", tmp_path / "again.sealed")  # fmt: skip
    assert ended.line[0] == "policy-invalid"
    assert not (tmp_path / "again.sealed").exists()


def test_every_line_of_site_toml_is_in_the_officers_guide():
    """A line that could be written and is not told would be a rule nobody set."""
    page = (DOCS / "privacy-officer.md").read_text(encoding="utf-8")
    tables = (SiteFile, PolicyTable, DisclosureTable, PrivacyTable, KeysTable)
    for table in tables:
        for name in table.model_fields:
            assert re.search(rf"`(\[\w+\] )?{name}\b|`\[{name}\]", page), name


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
