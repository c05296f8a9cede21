"""A policy is in force as its last signed version, and as nothing else."""

import os
from datetime import UTC, datetime

import pytest

from fedglmm_flower.envelope import new_identity
from fedglmm_flower.envelope.policy_versions import (
    read_versions,
    require_signed,
    sign_version,
)
from fedglmm_flower.errors import PolicyError

SITE = new_identity("north")
NOW = datetime(2026, 11, 21, 13, 0, 0, 999, tzinfo=UTC)
ONE, TWO = "1" * 64, "2" * 64


@pytest.fixture
def path(tmp_path):
    """Two versions, signed one after the other."""
    found = tmp_path / "policy-versions.toml"
    sign_version(found, ONE, SITE, NOW)
    sign_version(found, TWO, SITE, NOW)
    return found


def test_the_last_version_alone_is_in_force(path):
    """Its number, time and digest are told; the one before is none any more."""
    version = require_signed(path, TWO, SITE.public, demanded=True)

    assert version is not None
    assert (version.number, version.policy) == (2, TWO)
    assert [one.policy for one in read_versions(path)] == [ONE, TWO]
    for other in (ONE, "3" * 64):
        with pytest.raises(PolicyError, match=r"not as it was signed \(version 2\)"):
            require_signed(path, other, SITE.public, demanded=False)


def test_to_sign_again_is_no_new_version(path):
    """And what was in force before can be signed anew, under a new number."""
    assert sign_version(path, TWO, SITE, NOW).number == 2
    assert sign_version(path, ONE, SITE, NOW).number == 3
    version = require_signed(path, ONE, SITE.public, demanded=True)
    assert version is not None
    assert version.number == 3


def test_without_a_version_the_policy_says_whether_one_is_required(tmp_path):
    """A first signature is asked for in site.toml, and later ones by the first."""
    path = tmp_path / "policy-versions.toml"
    assert require_signed(path, ONE, SITE.public, demanded=False) is None
    with pytest.raises(PolicyError, match="is not signed"):
        require_signed(path, ONE, SITE.public, demanded=True)


def test_another_key_and_another_site_sign_nothing_here(path):
    """Nor does the site's own key for a site of another name."""
    for other in (new_identity("north"), new_identity("south")):
        sign_version(path, "3" * 64, other, NOW)
        with pytest.raises(PolicyError, match="did not sign"):
            require_signed(path, "3" * 64, SITE.public, demanded=True)
    assert sign_version(path, "3" * 64, SITE, NOW).number == 5


def test_every_altered_byte_is_noticed(path):
    """Of the file's fields each one is signed, or chained to one that is."""
    text = path.read_bytes()
    start = text.index(b"format")
    for at in range(start, len(text)):
        if text[at : at + 1] in (b"\n", b" "):
            continue
        changed = bytes([text[at] ^ 1])
        path.write_bytes(text[:at] + changed + text[at + 1 :])
        with pytest.raises(PolicyError):
            require_signed(path, TWO, SITE.public, demanded=False)


def test_a_version_that_is_taken_out_is_missed(path):
    """The first, or the last, which puts an older policy in force again."""
    head, one, two = path.read_text().split("\n[[version]]")
    for rest in ((two,), (two, one), (one, one), (one, two, two)):
        path.write_text("\n[[version]]".join((head, *rest)))
        with pytest.raises(PolicyError, match="sign-policy"):
            read_versions(path)
    path.write_text(f"{head}\n[[version]]{one}")
    with pytest.raises(PolicyError, match="not as it was signed"):
        require_signed(path, TWO, SITE.public, demanded=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_told(path):
    """It is never taken for a missing one."""
    path.chmod(0)
    with pytest.raises(PolicyError, match="cannot be read"):
        require_signed(path, TWO, SITE.public, demanded=False)
