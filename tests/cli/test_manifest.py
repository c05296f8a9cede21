"""``keys rotate``, ``study sign``, ``study manifest`` and ``site approve``."""

import json
from pathlib import Path

import pytest

from fedglmm_flower.flower.approvals import read_approvals
from fedglmm_flower.study import Column, Study, write_study
from tests.command import fedglmm


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    """A study of one site and two others, and the keys of all parties."""
    for name in ("FEDGLMM_PASSPHRASE", "FEDGLMM_PASSPHRASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    study = Study(
        name="three",
        formula="y ~ x + (1 | site)",
        family="gaussian",
        link="identity",
        method="reml",
        site_column="site",
        columns=(Column("x", "continuous"), Column("y", "continuous")),
        sites=("a", "b", "c"),
        order=2,
    )
    write_study(study, tmp_path / "study.toml")
    for name in study.sites:
        fedglmm("keys", "new", name, "--out", tmp_path / "keys" / "sites")
    for name in ("coordinator", "owner"):
        fedglmm("keys", "new", name, "--out", tmp_path / "keys")
    (tmp_path / "data.csv").write_text("x,y\n1,2\n")
    (tmp_path / "policy.toml").write_text("[disclosure]\nmin_cell = 5\n")
    (tmp_path / "site.toml").write_text(
        '# kept\nformat = 1\nsite = "a"\n[data]\npath = "data.csv"\n[keys]\n'
        'identity = "keys/sites/a.key"\ncoordinator = "keys/coordinator.pub"\n'
    )
    return tmp_path


def sign(folder: Path, **changes):
    """``fedglmm study sign``, with some options changed."""
    options = {
        "keys": folder / "keys",
        "owner": folder / "keys" / "owner.key",
        "expires": "2099-06-30",
        "policy": folder / "policy.toml",
        "out": folder / "manifest.toml",
        **changes,
    }
    flags = [part for key, value in options.items() for part in (f"--{key}", value)]
    return fedglmm("study", "sign", folder / "study.toml", *flags)


def approve(folder: Path, **changes):
    """``fedglmm site approve``, with some options changed."""
    options = {
        "study": folder / "study.toml",
        "owner": folder / "keys" / "owner.pub",
        "config": folder / "site.toml",
        **changes,
    }
    flags = [part for key, value in options.items() for part in (f"--{key}", value)]
    return fedglmm("site", "approve", folder / "manifest.toml", *flags)


def test_a_manifest_is_signed_shown_and_approved(folder):
    """The digest is the same everywhere, and ``site.toml`` is left alone."""
    config = (folder / "site.toml").read_bytes()
    made = sign(folder)
    shown = fedglmm("study", "manifest", folder / "manifest.toml")
    approved = approve(folder)
    (approval,) = read_approvals(folder / "approvals.toml")

    assert (made.status, shown.status, approved.status) == (0, 0, 0)
    assert made.out.split()[-1] == approval.manifest
    assert f"manifest    {approval.manifest}" in shown.out
    assert f"manifest    {approval.manifest}" in approved.out
    assert "demands     min_cell 5" in approved.out
    assert "expires     2099-06-30T00:00:00Z" in approved.out
    assert (folder / "site.toml").read_bytes() == config
    again = approve(folder)
    assert again.status == 0
    assert "approved before" in again.out


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"expires": "tomorrow"}, "usage"),
        ({"expires": "2020-01-01"}, "manifest-refused"),
        ({"owner": "none.key"}, "key-invalid"),
        ({"keys": "nowhere"}, "key-invalid"),
        ({"policy": "nowhere"}, "policy-invalid"),
    ],
    ids=str,
)
def test_a_manifest_that_cannot_be_signed_leaves_no_file(folder, changes, code):
    """One line, and nothing half-written."""
    ended = sign(folder, **changes)

    assert (ended.status, ended.line[0]) == (2, code)
    assert not (folder / "manifest.toml").exists()


def test_a_demand_that_no_study_can_make_is_named(folder):
    """Only what makes a policy stricter can be demanded of all sites."""
    (folder / "policy.toml").write_text('[disclosure]\nsmall_clusters = "pool"\n')
    ended = sign(folder)

    assert ended.line[0] == "policy-invalid"
    assert "'small_clusters'" in ended.line[1]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("owner", "manifest-refused"),
        ("study", "study-mismatch"),
        ("site", "manifest-refused"),
        ("coordinator", "manifest-refused"),
        ("policy", "policy-invalid"),
        ("altered", "manifest-refused"),
        ("missing", "manifest-refused"),
    ],
)
def test_what_an_officer_must_not_approve_is_refused(folder, fault, code):
    """Every reason to refuse a query is a reason not to approve, told in a line."""
    sign(folder)
    config, changes = folder / "site.toml", {}
    text = config.read_text()
    if fault == "owner":
        changes = {"owner": folder / "keys" / "coordinator.pub"}
    elif fault == "study":
        study = (folder / "study.toml").read_text().replace("three", "four")
        (folder / "other.toml").write_text(study)
        changes = {"study": folder / "other.toml"}
    elif fault == "site":
        config.write_text(text.replace("sites/a.key", "sites/b.key"))
    elif fault == "coordinator":
        config.write_text(text.replace("keys/coordinator.pub", "keys/owner.pub"))
    elif fault == "policy":
        config.write_text(text + "[disclosure]\nmin_cell = 4\n")
    elif fault == "altered":
        path = folder / "manifest.toml"
        path.write_text(path.read_text().replace("min_cell = 5", "min_cell = 3"))
    else:
        (folder / "manifest.toml").unlink()
    ended = approve(folder, **changes)

    assert (ended.status, ended.line[0]) == (2, code)
    assert not (folder / "approvals.toml").exists()


def test_a_key_is_rotated_under_its_passphrase(folder, monkeypatch):
    """File and variable open it; a wrong passphrase is one line and no change."""
    secret = folder / "secret"
    secret.touch(0o600)
    secret.write_text("correct horse\n")
    monkeypatch.setenv("WRONG", "battery staple")
    fedglmm("keys", "new", "north", "--out", folder, "--passphrase-file", secret)
    before = (folder / "north.key").read_bytes()
    wrong = fedglmm("keys", "rotate", folder / "north.key", "--passphrase-env", "WRONG")
    both = fedglmm(
        "keys", "show", folder / "north.key",
        "--passphrase-env", "WRONG", "--passphrase-file", secret,
    )  # fmt: skip

    assert (wrong.status, wrong.line[0]) == (2, "key-invalid")
    assert "battery" not in wrong.err
    assert (both.status, both.line[0]) == (2, "usage")
    assert (folder / "north.key").read_bytes() == before

    monkeypatch.setenv("FEDGLMM_PASSPHRASE_FILE", str(secret))
    rotated = fedglmm("keys", "rotate", folder / "north.key")
    (kept,) = folder.glob("north.*.key")
    shown = fedglmm("keys", "show", folder / "north.key").out

    assert rotated.status == 0
    assert kept.read_bytes() == before
    assert shown == fedglmm("keys", "show", folder / "north.pub").out
    assert shown != fedglmm("keys", "show", kept).out
    assert len(shown.split("words")[1].split("fingerprint")[0].split()) == 16


def test_only_a_private_key_is_rotated(folder):
    """A public file has nothing to rotate."""
    ended = fedglmm("keys", "rotate", folder / "keys" / "coordinator.pub")

    assert (ended.status, ended.line[0]) == (2, "key-invalid")


def test_a_preview_knows_what_is_approved_under_a_manifest(folder):
    """An officer is told whether the study would be answered, in either mode."""

    def approved() -> bool:
        ended = fedglmm(
            "site", "preview", folder / "site.toml",
            "--study", folder / "study.toml", "--json",
        )  # fmt: skip
        return bool(json.loads(ended.out)["approved"])

    sign(folder)
    before = approved()
    approve(folder)

    assert (before, approved()) == (False, True)
