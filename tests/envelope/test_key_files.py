"""Key files: made once, for their owner only, and read or refused in plain words."""

import base64
import json
import os
import stat
import threading

import pytest

from fedglmm_flower.envelope import (
    new_identity,
    read_identity,
    read_public,
    write_identity,
    write_public,
)
from fedglmm_flower.errors import KeyFileError
from tests.vectors.make_vectors import HERE

FROZEN = json.loads((HERE / "key_files.json").read_text(encoding="utf-8"))["vectors"]
SECRET = "correct horse battery staple zürich"


@pytest.mark.parametrize("passphrase", [None, SECRET])
def test_an_identity_is_read_as_it_was_written(identity, path, passphrase):
    """Name and both keys come back, with and without a passphrase."""
    write_identity(identity, path, passphrase)
    again = read_identity(str(path), passphrase)

    # Public keys follow from the private ones.
    assert again.public == identity.public
    assert (
        again.signing_key.private_bytes_raw()
        == identity.signing_key.private_bytes_raw()
    )


def test_a_public_identity_is_read_as_it_was_written(identity, path):
    """The public file gives back an equal value and the same fingerprint."""
    write_public(identity.public, path)

    assert read_public(str(path)) == identity.public


@pytest.mark.parametrize("vector", FROZEN, ids=lambda vector: vector["name"])
def test_files_of_earlier_versions_stay_readable(path, vector):
    """A key made once opens messages for years."""
    path.parent.mkdir()
    path.write_bytes(base64.b64decode(vector["file"]))
    path.chmod(0o600)
    public = (
        read_public(path)
        if vector["kind"] == "public"
        else read_identity(path, vector["passphrase"]).public
    )

    assert public.name == vector["party"]
    assert public.fingerprint == vector["fingerprint"]


def test_a_private_file_is_for_its_owner_whatever_the_umask(identity, path):
    """No moment and no setting leaves the key open to others."""
    before = os.umask(0)
    try:
        write_identity(identity, path)
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_passphrase_is_stretched_and_salted(identity, path, tmp_path):
    """Two files with one passphrase share no salt, and neither shows a key."""
    write_identity(identity, path, SECRET)
    write_identity(identity, tmp_path / "again", SECRET)
    first, again = (
        file.read_text(encoding="utf-8") for file in (path, tmp_path / "again")
    )

    assert first.splitlines()[0] != again.splitlines()[0]
    assert "BEGIN FEDGLMM SEALED KEYS" in first
    assert "PRIVATE KEY" not in first


def test_a_passphrase_means_the_same_on_every_keyboard(identity, path):
    """Composed and decomposed letters are one passphrase."""
    write_identity(identity, path, "z\u00fcrich")

    assert read_identity(path, "zu\u0308rich").public == identity.public


@pytest.mark.parametrize(
    "write", [write_identity, lambda party, path: write_public(party.public, path)]
)
def test_a_key_is_never_overwritten(identity, path, write):
    """The first key stays, byte for byte."""
    write(new_identity("first"), path)
    before = path.read_bytes()

    with pytest.raises(KeyFileError, match="never overwritten"):
        write(identity, path)
    assert path.read_bytes() == before


def test_a_link_to_nowhere_is_not_written_through(identity, path, tmp_path):
    """A key lands where it was meant to, or nowhere."""
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(KeyFileError, match="never overwritten"):
        write_identity(identity, path)
    assert not (tmp_path / "elsewhere").exists()


def test_of_many_writers_one_succeeds(path):
    """Creation is atomic: nobody's key is half another's."""
    parties = [new_identity(f"party {number}") for number in range(8)]
    written = []

    def attempt(party):
        try:
            write_identity(party, path)
        except KeyFileError:
            return
        written.append(party)

    threads = [threading.Thread(target=attempt, args=(party,)) for party in parties]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(written) == 1
    assert read_identity(path).public == written[0].public


def test_a_file_that_could_not_be_written_is_not_left_behind(
    identity, path, monkeypatch
):
    """A full disk leaves no truncated key that blocks the next attempt."""

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(KeyFileError, match="No space left"):
            write_identity(identity, path)
    assert not path.exists()

    write_identity(identity, path)
    assert read_identity(path).public == identity.public


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o777])
def test_a_file_open_to_others_is_refused_with_the_command(identity, path, mode):
    """The message holds the command that mends it."""
    write_identity(identity, path)
    path.chmod(mode)

    with pytest.raises(KeyFileError) as refused:
        read_identity(path)
    assert f"mode {mode:04o} was found" in refused.value.detail
    assert f"run: chmod 600 {str(path)!r}" in refused.value.detail


def test_a_link_to_a_private_file_is_followed(identity, path, tmp_path):
    """Secrets are often mounted as links; the mode that counts is the file's."""
    write_identity(identity, path)
    (tmp_path / "link").symlink_to(path)

    assert read_identity(tmp_path / "link").public == identity.public


@pytest.mark.parametrize(
    ("written", "given", "says"),
    [
        (SECRET, "other", "a passphrase that does not open the key"),
        (SECRET, None, "its passphrase is required"),
        (SECRET, "", "an empty passphrase"),
        (SECRET, "\ud800", "a passphrase that is no text"),
        (None, SECRET, "a key without a passphrase was found"),
    ],
)
def test_a_passphrase_that_does_not_fit_is_refused(
    identity, path, written, given, says
):
    """Wrong, missing, empty and needless passphrases each have their sentence."""
    write_identity(identity, path, written)

    with pytest.raises(KeyFileError) as refused:
        read_identity(path, given)
    assert says in refused.value.detail
    assert SECRET not in refused.value.detail


def test_an_empty_passphrase_makes_no_file(identity, path):
    """Nobody believes a key protected that is not."""
    with pytest.raises(KeyFileError, match="empty passphrase"):
        write_identity(identity, path, "")
    assert not path.exists()


def test_an_identity_is_no_public_file_and_reverse(identity, path, tmp_path):
    """Whoever sends the wrong file is told, and nothing of the key is quoted."""
    write_identity(identity, path)
    write_public(identity.public, tmp_path / "public")
    (tmp_path / "public").chmod(0o600)

    with pytest.raises(KeyFileError) as refused:
        read_public(path)
    assert "PRIVATE" not in refused.value.detail
    with pytest.raises(KeyFileError, match="foreign or truncated"):
        read_identity(tmp_path / "public")


@pytest.mark.parametrize("read", [read_identity, read_public])
def test_a_path_that_is_no_file_is_refused(tmp_path, read):
    """Missing files, folders and impossible names all end in words."""
    for path in (
        tmp_path / "missing",
        tmp_path / "missing" / "deeper",
        tmp_path,
        "nul\0",
        tmp_path / ("n" * 300),
    ):
        with pytest.raises(KeyFileError, match="required"):
            read(path)


@pytest.mark.parametrize("read", [read_identity, read_public])
def test_a_pipe_is_not_waited_for(tmp_path, read):
    """A service that starts with a wrong path says so, instead of hanging."""
    os.mkfifo(tmp_path / "pipe", 0o600)

    with pytest.raises(KeyFileError, match="no regular file"):
        read(tmp_path / "pipe")


def test_a_folder_that_cannot_be_made_is_told(identity, tmp_path):
    """A file where a folder should be is not taken for an existing key."""
    (tmp_path / "file").write_text("", encoding="utf-8")

    with pytest.raises(KeyFileError, match="a folder that can be made"):
        write_identity(identity, tmp_path / "file" / "key")
