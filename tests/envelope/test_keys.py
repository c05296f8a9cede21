"""Identities: usable keys, a name for people, and secrets that do not show."""

import pytest

from fedglmm_flower.envelope import PublicIdentity, new_identity
from fedglmm_flower.errors import KeyFileError


@pytest.mark.parametrize(
    "key", [bytes(32), b"\x01" + bytes(31), b"\xec" + b"\xff" * 30 + b"\x7f"]
)
def test_a_degenerate_key_is_refused(identity, key):
    """With these few keys every secret is zero, so anybody could read."""
    with pytest.raises(KeyFileError, match="a degenerate X25519 key"):
        PublicIdentity("a", key, identity.public.verify)


@pytest.mark.parametrize("name", ["", "a\nb", "n" * 201, None, 7])
def test_a_party_needs_a_name(name):
    """The name is shown to people, so it is one line of text."""
    with pytest.raises(KeyFileError, match="name of a key"):
        new_identity(name)


def test_secrets_do_not_show(identity):
    """Printing an identity prints a name."""
    assert repr(identity) == f"Identity(name={identity.name!r})"


def test_a_fingerprint_covers_both_keys_and_no_name(identity, stranger):
    """People compare keys; what a file calls its owner proves nothing."""
    mine, other = identity.public, stranger.public
    prints = {
        public.fingerprint
        for public in (
            mine,
            PublicIdentity(mine.name, mine.encrypt, other.verify),
            PublicIdentity(mine.name, other.encrypt, mine.verify),
        )
    }

    assert len(prints) == 3
    renamed = PublicIdentity("other", mine.encrypt, mine.verify)
    assert renamed.fingerprint == mine.fingerprint
    assert len(mine.fingerprint) == 79
