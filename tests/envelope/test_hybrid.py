"""The hybrid suite: as published, one for a key, and never exchanged for the other."""

import base64
import hashlib
import hmac
import json
import random
import re
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import (
    MLKEM768PrivateKey,
    MLKEM768PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from fedglmm_flower.envelope import (
    Binding,
    EnvelopeRefusedError,
    PublicIdentity,
    Reason,
    new_identity,
    read_identity,
    read_public,
    seal,
    sealing,
    unseal,
    write_identity,
    write_public,
)
from fedglmm_flower.envelope.encryption import (
    HYBRID,
    PLAIN,
    HybridKey,
    open_bytes,
    public_bytes,
    seal_bytes,
)
from fedglmm_flower.envelope.framing import frame, unframe
from fedglmm_flower.envelope.rotation import identity_sealed_to, rotate_identity
from fedglmm_flower.errors import KeyFileError

VECTORS = Path(__file__).parent.parent / "vectors"
PAYLOAD = b"Beauty is truth"
SUITE_ID = b"HPKE" + struct.pack(">HHH", 0x647A, 0x0001, 0x0003)
ENC = 1088 + 32


@pytest.fixture(scope="module")
def office():
    """A coordinator with a hybrid key."""
    return new_identity("coordinator", hybrid=True)


def of_seed(seed):
    """The keys of a 32-byte seed of X-Wing."""
    expanded = hashlib.shake_256(seed).digest(96)
    return HybridKey(
        MLKEM768PrivateKey.from_seed_bytes(expanded[:64]),
        X25519PrivateKey.from_private_bytes(expanded[64:]),
    )


def combined(mlkem, x25519, sent, own):
    """X-Wing's combiner."""
    return hashlib.sha3_256(mlkem + x25519 + sent + own + rb"\.//^" + b"\\").digest()


def keyed(secret, info):
    """Key and nonce of HPKE's base mode (RFC 9180, section 5.1), by HMAC alone."""

    def extract(salt, label, value):
        text = b"HPKE-v1" + SUITE_ID + label + value
        return hmac.digest(salt or bytes(32), text, "sha256")

    def expand(key, label, value, size):
        text = struct.pack(">H", size) + b"HPKE-v1" + SUITE_ID + label + value
        return hmac.digest(key, text + b"\x01", "sha256")[:size]

    context = (
        b"\0" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    )
    key = extract(secret, b"secret", b"")
    return expand(key, b"key", context, 32), expand(key, b"base_nonce", context, 12)


def opened_by_hand(data, key, info):
    """A second recipient, from the drafts and RFC 9180."""
    sent, own = data[1088:ENC], key.x25519.public_key().public_bytes_raw()
    mlkem = key.mlkem.decapsulate(data[:1088])
    x25519 = key.x25519.exchange(X25519PublicKey.from_public_bytes(sent))
    secret, nonce = keyed(combined(mlkem, x25519, sent, own), info)
    return ChaCha20Poly1305(secret).decrypt(nonce, data[ENC:], None)


def sealed_by_hand(content, public, info):
    """A second sender."""
    mlkem, enc = MLKEM768PublicKey.from_public_bytes(public[:1184]).encapsulate()
    ephemeral, own = X25519PrivateKey.generate(), public[1184:]
    sent = ephemeral.public_key().public_bytes_raw()
    x25519 = ephemeral.exchange(X25519PublicKey.from_public_bytes(own))
    secret, nonce = keyed(combined(mlkem, x25519, sent, own), info)
    return enc + sent + ChaCha20Poly1305(secret).encrypt(nonce, content, None)


def test_a_published_seed_has_the_published_public_key():
    """The first key of X-Wing's draft, whose seed is SHAKE128 of nothing."""
    public = public_bytes(of_seed(hashlib.shake_128(b"").digest(32)))

    assert hashlib.sha256(public).hexdigest() == (
        "2e816deebcd76c5c80d0cd2d174478871658e8e2ff42bc9d4a6e486372e856bb"
    )


@pytest.mark.parametrize("size", [0, 1, 4096, 100_000])
def test_each_implementation_opens_what_the_other_sealed(size, office):
    """The library's suite is X-Wing in HPKE, KEM 0x647A, both ways."""
    content, info = bytes(size), sealing.SEAL_LABEL + b"{}"
    key, public = office.decryption_key, office.public.encrypt
    ours = seal_bytes(content, public, info)

    assert len(ours) == ENC + size + 16
    assert opened_by_hand(ours, key, info) == content
    assert open_bytes(sealed_by_hand(content, public, info), key, info) == content


def test_a_message_of_an_earlier_version_opens(tmp_path):
    """Sealed once and kept, with the key file that opens it."""
    frozen = json.loads((VECTORS / "key_files.json").read_text(encoding="utf-8"))
    kept = frozen["sealed"]
    (key,) = (v["file"] for v in frozen["vectors"] if v["name"] == kept["to"])
    for name, text in (("office.key", key), ("site.pub", kept["from"])):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_bytes(base64.b64decode(text))
    payload = unseal(
        base64.b64decode(kept["sealed"]),
        binding=Binding(**kept["binding"]),
        recipient=read_identity(tmp_path / "office.key"),
        sender=read_public(tmp_path / "site.pub"),
    )

    assert payload == base64.b64decode(kept["payload"])


def test_the_suite_of_a_message_is_that_of_its_recipients_key(
    binding, site, office, coordinator
):
    """One sender, two recipients: each message names its suite and opens."""
    for recipient, suite in ((office, HYBRID), (coordinator, PLAIN)):
        data = seal(PAYLOAD, binding=binding, sender=site, recipient=recipient.public)

        assert unframe(data)[0].suite == suite
        assert (
            unseal(data, binding=binding, recipient=recipient, sender=site.public)
            == PAYLOAD
        )


def test_nobody_is_talked_down_to_the_plain_suite(binding, site, office):
    """Sealed to the X25519 half alone, under whatever names, it does not open."""
    half = PublicIdentity(
        "coordinator", office.public.encrypt[1184:], site.public.verify
    )
    to_half = seal(PAYLOAD, binding=binding, sender=site, recipient=half)
    header, ciphertext = unframe(to_half)
    hybrid = replace(header, recipient=office.public.encrypt_id, suite=HYBRID)
    again = seal_bytes(
        bytes(4096), half.encrypt, sealing.SEAL_LABEL + hybrid.to_bytes()
    )
    claims = {
        to_half: Reason.OTHER_RECIPIENT,
        frame(replace(hybrid, suite=PLAIN), ciphertext): Reason.OTHER_SUITE,
        frame(hybrid, again): Reason.ALTERED,
    }

    for data, reason in claims.items():
        with pytest.raises(EnvelopeRefusedError) as refused:
            unseal(data, binding=binding, recipient=office, sender=site.public)
        assert refused.value.reason is reason


def test_either_half_of_another_key_opens_nothing(binding, site, office):
    """Both halves are needed, and both are the recipient's."""
    data = seal(PAYLOAD, binding=binding, sender=site, recipient=office.public)
    header, ciphertext = unframe(data)
    info = sealing.SEAL_LABEL + header.to_bytes()
    own = office.decryption_key
    other = new_identity("other", hybrid=True).decryption_key
    assert isinstance(own, HybridKey)
    assert isinstance(other, HybridKey)

    for key in (HybridKey(own.mlkem, other.x25519), HybridKey(other.mlkem, own.x25519)):
        with pytest.raises(InvalidTag):
            open_bytes(ciphertext, key, info)


def test_no_changed_message_is_accepted(binding, site, office):
    """A bit anywhere, or a byte fewer: a refusal, and no other error."""
    data = seal(PAYLOAD, binding=binding, sender=site, recipient=office.public)
    rng = random.Random(20261121)
    places = {rng.randrange(8 * len(data)) for _ in range(1500)}
    body = 22 + len(unframe(data)[0].to_bytes())
    # Where the two halves of the encapsulation begin and end.
    places |= {8 * (body + at) for at in (0, 1087, 1088, 1119, 1120)}

    for place in sorted(places):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(EnvelopeRefusedError):
            unseal(
                bytes(changed), binding=binding, recipient=office, sender=site.public
            )
    for size in (0, 31, 32, 47, 1087, 1088, 1119, 1120, 1135, 1136):
        header, ciphertext = unframe(data)
        with pytest.raises(EnvelopeRefusedError):
            unseal(
                frame(header, ciphertext[:size]),
                binding=binding,
                recipient=office,
                sender=site.public,
            )


@pytest.mark.parametrize("passphrase", [None, "correct horse"])
def test_a_hybrid_identity_is_read_as_it_was_written(office, path, passphrase):
    """All three private keys come back, and the public file tells the suite."""
    write_identity(office, path, passphrase)
    write_public(office.public, path.with_suffix(".pub"))
    again = read_identity(path, passphrase)

    assert again.public == office.public == read_public(path.with_suffix(".pub"))
    assert again.public.suite == HYBRID
    assert f'suite = "{HYBRID}"' in path.with_suffix(".pub").read_text()
    text = sealing.SEAL_LABEL
    assert (
        open_bytes(
            seal_bytes(PAYLOAD, office.public.encrypt, text), again.decryption_key, text
        )
        == PAYLOAD
    )


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (rf'suite = "{HYBRID}"\n', "", "of the suite that the file names"),
        (HYBRID, PLAIN, "of the suite that the file names"),
        (r'suite = ".*"', "suite = 1", "of the suite that the file names"),
        (r'encrypt = "(.{40})', r'encrypt = "', "not 32 or 1216 bytes"),
        (r'encrypt = ".{64}', 'encrypt = "' + "/" * 64, "a damaged ML-KEM-768 key"),
    ],
)
def test_a_damaged_hybrid_public_file_is_refused(office, path, old, new, says):
    """Nor is a hybrid key taken for a plain one, or a plain one for hybrid."""
    write_public(office.public, path)
    text, count = re.subn(old, new, path.read_text())
    path.write_text(text)

    assert count == 1
    with pytest.raises(KeyFileError, match=says):
        read_public(path)


def test_a_degenerate_half_is_refused(office):
    """The ML-KEM half does not excuse an X25519 half that keeps no secret."""
    encrypt = office.public.encrypt[:1184] + bytes(32)

    with pytest.raises(KeyFileError, match="a degenerate X25519 key"):
        replace(office.public, encrypt=encrypt)


def test_a_plain_key_that_is_called_hybrid_is_refused(coordinator, path):
    """The line names what the key is."""
    write_public(coordinator.public, path)
    path.write_text(
        path.read_text().replace("encrypt", f'suite = "{HYBRID}"\nencrypt', 1)
    )

    with pytest.raises(KeyFileError, match="of the suite that the file names"):
        read_public(path)


def test_a_run_that_was_sealed_to_a_plain_key_opens_after_it_became_hybrid(
    coordinator, site, binding, path
):
    """Old messages stay readable; once hybrid, a key is never plain again."""
    key = path.with_name("coordinator.key")
    write_identity(coordinator, key)
    sealed = seal(PAYLOAD, binding=binding, sender=site, recipient=coordinator.public)
    _, hybrid = rotate_identity(key, hybrid=True)
    _, third = rotate_identity(key)
    found = identity_sealed_to(key, coordinator.public.encrypt_id)

    assert [hybrid.public.suite, third.public.suite] == [HYBRID, HYBRID]
    assert (
        unseal(sealed, binding=binding, recipient=found, sender=site.public) == PAYLOAD
    )
