"""The HPKE suite is that of RFC 9180, and two implementations agree on it.

The vectors are those of RFC 9180, appendix A.2.1 (base mode, DHKEM(X25519,
HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305), sequence numbers 0 and 1.
"""

from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.bindings._rust import openssl
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey, KEMKeyPair

from fedglmm_flower.envelope import encryption, sealing

# The public function has no associated data, which the RFC's vectors have.
hpke: Any = openssl.hpke
SUITE = encryption.HPKE[encryption.PLAIN]
PYHPKE = CipherSuite.new(
    KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.CHACHA20_POLY1305
)
INFO = bytes.fromhex("4f6465206f6e2061204772656369616e2055726e")
PLAINTEXT = bytes.fromhex("4265617574792069732074727574682c20747275746820626561757479")
ENC = bytes.fromhex("1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a")
EPHEMERAL = "f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600"
SECRET = "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb"
PUBLIC = "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a"
CIPHERTEXTS = (
    (
        "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db2"
        "1993c62ce81883d2dd1b51a28"
    ),
    (
        "6b53c051e4199c518de79594e1c4ab18b96f081549d45ce015be002090bb119e8"
        "5285337cc95ba5f59992dc98c"
    ),
)


def private(digits: str) -> X25519PrivateKey:
    """A key of the vectors."""
    return X25519PrivateKey.from_private_bytes(bytes.fromhex(digits))


def test_the_keys_of_the_vectors_belong_together():
    """The vectors are transcribed without a slip."""
    for secret, public in ((SECRET, PUBLIC), (EPHEMERAL, ENC.hex())):
        assert private(secret).public_key().public_bytes_raw().hex() == public


def test_our_suite_opens_the_vector():
    """What the RFC's sender sealed first, the suite of envelopes opens."""
    sealed = ENC + bytes.fromhex(CIPHERTEXTS[0])
    opened = hpke._decrypt_with_aad(SUITE, sealed, private(SECRET), INFO, b"Count-0")

    assert opened == PLAINTEXT


@pytest.mark.parametrize(
    ("info", "aad"), [(INFO, b"Count-1"), (INFO[:-1], b"Count-0"), (b"", b"Count-0")]
)
def test_our_suite_opens_the_vector_nowhere_else(info, aad):
    """Another context or other associated data open nothing."""
    sealed = ENC + bytes.fromhex(CIPHERTEXTS[0])

    with pytest.raises(InvalidTag):
        hpke._decrypt_with_aad(SUITE, sealed, private(SECRET), info, aad)


def test_the_second_implementation_writes_the_vectors():
    """pyhpke, with which our own vectors were made, is the RFC's too."""
    pair = KEMKeyPair(
        KEMKey.from_pyca_cryptography_key(private(EPHEMERAL)),
        KEMKey.from_pyca_cryptography_key(private(EPHEMERAL).public_key()),
    )
    to = X25519PublicKey.from_public_bytes(bytes.fromhex(PUBLIC))
    enc, context = PYHPKE.create_sender_context(
        KEMKey.from_pyca_cryptography_key(to), info=INFO, eks=pair
    )
    written = [
        context.seal(PLAINTEXT, f"Count-{number}".encode()).hex() for number in (0, 1)
    ]

    assert enc == ENC
    assert written == list(CIPHERTEXTS)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 100_000])
def test_each_implementation_opens_what_the_other_sealed(size, coordinator):
    """Both ways, for contents of nothing, of part of a block and of many."""
    content, info = bytes(size), sealing.SEAL_LABEL + b"{}"
    key = coordinator.decryption_key
    ours = SUITE.encrypt(content, key.public_key(), info=info)
    opener = PYHPKE.create_recipient_context(
        ours[:32], KEMKey.from_pyca_cryptography_key(key), info=info
    )
    enc, context = PYHPKE.create_sender_context(
        KEMKey.from_pyca_cryptography_key(key.public_key()), info=info
    )
    theirs = enc + context.seal(content)

    assert opener.open(ours[32:]) == content
    assert SUITE.decrypt(theirs, key, info=info) == content
    assert len(ours) == len(theirs) == size + 48
