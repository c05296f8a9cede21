"""Protected keys in the exchange by files: from a file, a variable or a terminal."""

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fedglmm_flower.envelope import read_identity, write_identity
from fedglmm_flower.envelope.passphrase import PASSPHRASE, PASSPHRASE_FILE
from fedglmm_flower.errors import KeyFileError
from tests.command import GAUSSIAN, fedglmm, refused, small_table
from tests.no_server import SITES, Consortium, consortium

CODE = KeyFileError.code
SECRET = "six random words of a long list"


def protect(path: Path) -> None:
    """Put a key under the passphrase, in its place."""
    identity = read_identity(path)
    path.unlink()
    write_identity(identity, path, SECRET)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Consortium:
    """A consortium of which a site and the coordinator have protected keys."""
    built = consortium(tmp_path_factory.mktemp("files"), small_table(), *GAUSSIAN)
    for site in SITES[1:]:
        assert built.release(site).status == 0
    protect(built.keys / "coordinator.key")
    (own,) = built.config(SITES[0]).parent.glob("*.key")
    protect(own)
    return built


@pytest.fixture
def file(tmp_path: Path, monkeypatch) -> Path:
    """The passphrase in a private file, and an environment without one."""
    for name in (PASSPHRASE, PASSPHRASE_FILE):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "passphrase"
    path.touch(mode=0o600)
    path.write_text(f"{SECRET}\n")
    return path


def test_every_command_that_opens_a_key_takes_a_file(made, file, tmp_path, monkeypatch):
    """Release, combine and receive; a variable that names the file does as well."""
    copied = made.copy(tmp_path / "c")
    option = ("--passphrase-file", file)
    first = copied.root / f"{SITES[0]}.sealed"

    assert copied.release(SITES[0], first, *option).status == 0
    assert copied.combine(*copied.sealed(), more=option).status == 0
    again = ("coordinator", "combine", copied.root / "run", "--keys", copied.keys)
    assert fedglmm(*again, *option).status == 0
    refit = ("coordinator", "refit", copied.root / "run", "y ~ 1 + (1 | hospital)")
    assert fedglmm(*refit, "--keys", copied.keys, *option).status == 0
    result, config = copied.result(SITES[0]), copied.config(SITES[0])
    receive = ("site", "receive", result, "--config", config)
    assert fedglmm(*receive, *option).status == 0
    monkeypatch.setenv(PASSPHRASE_FILE, str(file))
    assert fedglmm(*again).status == 0


def test_a_file_that_others_can_read_or_of_another_passphrase_is_refused(
    made, file, tmp_path
):
    """One error of one line each, and nothing is written."""
    out = tmp_path / "a.sealed"
    option = ("--passphrase-file", file)

    missing = made.release(SITES[0], out)
    file.chmod(0o640)
    open_to_others = made.release(SITES[0], out, *option)
    file.chmod(0o600)
    file.write_text("another\n")
    wrong = made.release(SITES[0], out, *option)
    combined = made.combine(*made.sealed()[1:], more=option)

    refused(missing, 2, CODE, "its passphrase is required")
    refused(open_to_others, 2, CODE, "chmod 600")
    for ended in (wrong, combined):
        refused(ended, 2, CODE, "a passphrase that does not open the key")
    assert not out.exists()
    assert not (made.root / "run").exists()


def test_a_terminal_is_asked_once_and_shows_nothing(made, file, tmp_path):
    """The site's key is needed twice in a release, the passphrase is typed once."""
    out = tmp_path / "a.sealed"
    arguments = ("--config", made.config(SITES[0]), "--study", made.study_file)
    code = "from fedglmm_flower.cli.main import main; main()"
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", code, "site", "release", *arguments, "--out", out],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as command:
        os.close(theirs)
        shown, end = b"", time.monotonic() + 60
        while b"empty for none" not in shown and time.monotonic() < end:
            shown += os.read(ours, 1000)
        os.write(ours, f"{SECRET}\n".encode())
        status = command.wait(timeout=60)
        shown += os.read(ours, 1000)
    os.close(ours)

    assert status == 0, shown
    assert shown.count(b"Passphrase of") == 1
    assert SECRET.encode() not in shown
    assert out.exists()
