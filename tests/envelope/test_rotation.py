"""Rotation: a new key in the old one's place, and the old one still opens."""

import stat

import pytest

from fedglmm_flower.envelope import (
    Binding,
    new_identity,
    read_identity,
    read_public,
    seal,
    unseal,
    write_identity,
    write_public,
)
from fedglmm_flower.envelope import rotation as rotation_module
from fedglmm_flower.envelope.rotation import (
    identity_sealed_to,
    retired_path,
    rotate_identity,
)
from fedglmm_flower.errors import KeyFileError

SECRET = "correct horse battery staple"


def written(folder, identity, passphrase=None):
    """``coordinator.key`` and ``coordinator.pub``."""
    path = folder / "coordinator.key"
    write_identity(identity, path, passphrase)
    write_public(identity.public, path.with_suffix(".pub"))
    return path


@pytest.fixture
def key(tmp_path, coordinator):
    """Without a passphrase, which takes a tenth of a second each time it is used."""
    return written(tmp_path, coordinator)


@pytest.fixture
def locked(tmp_path, coordinator):
    """Under a passphrase."""
    return written(tmp_path, coordinator, SECRET)


def test_what_was_sealed_to_the_old_key_opens_after_a_rotation(
    key, site, coordinator, binding
):
    """The old key is found by the identifier that the message names."""
    sealed = seal(b"x", binding=binding, sender=site, recipient=coordinator.public)
    old, new = rotate_identity(key)
    found = identity_sealed_to(key, coordinator.public.encrypt_id)

    assert old.public == coordinator.public
    assert unseal(sealed, binding=binding, recipient=found, sender=site.public) == b"x"
    assert new.name == old.name
    assert new.public.encrypt_id != old.public.encrypt_id
    assert new.public.verify_id != old.public.verify_id


def test_the_new_key_is_the_present_one(locked):
    """Both files of the present key agree, and are as private as they should be."""
    old, new = rotate_identity(locked, SECRET)
    kept = retired_path(locked, old.public.encrypt_id)

    assert read_identity(locked, SECRET).public == new.public
    assert read_public(locked.with_suffix(".pub")) == new.public
    opened = identity_sealed_to(locked, old.public.encrypt_id, SECRET)
    assert opened.public == old.public
    assert identity_sealed_to(locked, None, SECRET).public == new.public
    assert identity_sealed_to(locked, "f" * 64, SECRET).public == new.public
    assert {stat.S_IMODE(path.stat().st_mode) for path in (locked, kept)} == {0o600}
    assert sorted(path.suffix for path in locked.parent.iterdir()) == [
        ".key",
        ".key",
        ".pub",
        ".pub",
    ]


def test_every_key_of_a_chain_of_rotations_is_kept(key):
    """Three rotations leave three keys that open, and one that is used."""
    olds = [rotate_identity(key)[0].public for _ in range(3)]

    for old in olds:
        assert identity_sealed_to(key, old.encrypt_id).public == old


def test_a_wrong_passphrase_changes_nothing(locked):
    """One clear error, and the folder as it was."""
    before = {path.name: path.read_bytes() for path in locked.parent.iterdir()}

    with pytest.raises(KeyFileError, match="a passphrase that does not open the key"):
        rotate_identity(locked, "wrong")
    assert {path.name: path.read_bytes() for path in locked.parent.iterdir()} == before


@pytest.mark.parametrize("step", range(1, 5))
def test_an_interrupted_rotation_loses_no_key(key, coordinator, monkeypatch, step):
    """Stopped before any of its four writes, it leaves a key that can be rotated."""
    done = 0

    def stopping(write):
        def attempt(*arguments):
            nonlocal done
            done += 1
            if done == step:
                raise KeyboardInterrupt
            write(*arguments)

        return attempt

    with monkeypatch.context() as patched:
        for name in ("create_file", "replace_file"):
            write = getattr(rotation_module, name)
            patched.setattr(rotation_module, name, stopping(write))
        with pytest.raises(KeyboardInterrupt):
            rotate_identity(key)
    _, new = rotate_identity(key)
    found = identity_sealed_to(key, coordinator.public.encrypt_id)

    assert found.public == coordinator.public
    assert read_identity(key).public == new.public
    assert read_public(key.with_suffix(".pub")) == new.public


def test_a_foreign_file_in_the_old_keys_place_is_not_overwritten(key, coordinator):
    """Rotation stops before anything is changed."""
    kept = retired_path(key, coordinator.public.encrypt_id)
    write_identity(new_identity("other"), kept)
    before = key.read_bytes(), kept.read_bytes()

    with pytest.raises(KeyFileError, match="another file under the name"):
        rotate_identity(key)
    assert (key.read_bytes(), kept.read_bytes()) == before


@pytest.mark.parametrize("claimed", ["../../etc/passwd", "x/../y", "A" * 64, ""])
def test_a_recipient_that_is_no_digest_names_no_file(key, coordinator, claimed):
    """What a message claims never becomes a path."""
    found = identity_sealed_to(key, claimed)

    assert found.public == coordinator.public


def test_a_header_cannot_be_changed_without_the_passphrase(locked):
    """The name of a protected key is sealed with it."""
    text = locked.read_bytes()
    assert b'"name":"coordinator"' in text
    locked.write_bytes(text.replace(b'"name":"coordinator"', b'"name":"somebody else"'))

    with pytest.raises(KeyFileError, match="does not open the key, or a damaged file"):
        read_identity(locked, SECRET)


def test_a_new_binding_is_not_what_the_old_key_opens(key, site, coordinator, binding):
    """A retired key is for what was sealed to it, and for nothing else."""
    _, new = rotate_identity(key)
    sealed = seal(b"x", binding=binding, sender=site, recipient=new.public)
    found = identity_sealed_to(key, new.public.encrypt_id)

    assert unseal(
        sealed,
        binding=Binding(**vars(binding)),
        recipient=found,
        sender=site.public,
    )
    assert found.public != coordinator.public
