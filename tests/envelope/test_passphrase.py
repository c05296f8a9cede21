"""Passphrases come from a private file or a variable, and never from an argument."""

import pytest

from fedglmm_flower.envelope.passphrase import (
    PASSPHRASE,
    PASSPHRASE_FILE,
    ambient_passphrase,
    passphrase_of_file,
    passphrase_of_variable,
)
from fedglmm_flower.envelope.words import words_of
from fedglmm_flower.errors import KeyFileError


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A private file, and an environment without passphrases."""
    for name in (PASSPHRASE, PASSPHRASE_FILE):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "passphrase"
    path.touch(0o600)
    return path


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_end_of_a_line_is_no_part_of_a_passphrase(file, end):
    """Editors and ``echo`` write an end of line; spaces inside count."""
    file.write_bytes(f" zürich {end}".encode())

    assert passphrase_of_file(file) == " zürich "


def test_a_mark_that_no_editor_shows_is_no_part_of_a_passphrase(file):
    """Whoever types it at a terminal has none."""
    file.write_bytes(b"\xef\xbb\xbfsecret\r\n")

    assert passphrase_of_file(file) == "secret"


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb\n", b"\xff"])
def test_a_file_of_anything_but_one_line_is_refused(file, content):
    """The content is not quoted."""
    file.write_bytes(content)

    with pytest.raises(KeyFileError, match="one line is required"):
        passphrase_of_file(file)


def test_a_passphrase_file_is_for_its_owner(file):
    """A passphrase that others can read protects nothing."""
    file.write_text("secret")
    file.chmod(0o640)

    with pytest.raises(KeyFileError, match="mode 0640 was found"):
        passphrase_of_file(file)


def test_a_named_variable_must_hold_something(monkeypatch, file):
    """A variable that is named and missing is a mistake, not 'no passphrase'."""
    monkeypatch.setenv("MINE", "secret")

    assert passphrase_of_variable("MINE") == "secret"
    for value in (None, ""):
        if value is None:
            monkeypatch.delenv("MINE")
        else:
            monkeypatch.setenv("MINE", value)
        with pytest.raises(KeyFileError, match="'MINE'"):
            passphrase_of_variable("MINE")


def test_a_node_takes_the_variable_or_the_file_that_a_variable_names(monkeypatch, file):
    """The variable itself goes before the file; without both there is none."""
    assert ambient_passphrase() is None

    file.write_text("from the file\n")
    monkeypatch.setenv(PASSPHRASE_FILE, str(file))
    assert ambient_passphrase() == "from the file"

    monkeypatch.setenv(PASSPHRASE, "from the variable")
    assert ambient_passphrase() == "from the variable"


def test_every_byte_has_words_of_its_own():
    """The list is complete, and a word tells whether its place is even or odd."""
    even = {words_of(bytes([byte])) for byte in range(256)}
    odd = {words_of(bytes([0, byte])).split()[1] for byte in range(256)}

    assert len(even) == len(odd) == 256
    assert even.isdisjoint(odd)


def test_the_words_of_a_party_are_of_its_fingerprint(site):
    """Words and digits say the same."""
    raw = bytes.fromhex(site.public.fingerprint.replace(" ", ""))

    assert site.public.words == words_of(raw[:16])
    assert len(site.public.words.split()) == 16
