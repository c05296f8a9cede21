"""The two kinds of key that messages are sealed to, and the HPKE suite of each.

========================  =======================================  ================
suite                     KEM of HPKE                              public key
========================  =======================================  ================
:data:`PLAIN`             DHKEM(X25519, HKDF-SHA256), RFC 9180     X25519, 32 bytes
:data:`HYBRID`            MLKEM768-X25519, identifier 0x647A       ML-KEM-768, 1184
                          (draft-ietf-hpke-pq; X-Wing,             bytes, then
                          draft-connolly-cfrg-xwing-kem)           X25519, 32 bytes
========================  =======================================  ================

Both go on with HKDF-SHA256 and ChaCha20-Poly1305.  What is sealed in the hybrid suite
stays closed as long as one of its halves does: X25519, or ML-KEM-768 (FIPS 203), for
which no algorithm of a quantum computer is known.  A key has one suite, which its size
tells, so there is nothing to negotiate and nothing to talk anybody down to.
"""

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import (
    MLKEM768PrivateKey,
    MLKEM768PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from fedglmm_flower.errors import KeyFileError

PLAIN: Final = "x25519-hkdf-sha256-chacha20poly1305"
HYBRID: Final = "mlkem768-x25519-hkdf-sha256-chacha20poly1305"

HPKE: Final = {
    PLAIN: Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305),
    HYBRID: Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305),
}

_X25519: Final = 32
_MLKEM: Final = 1184
_SUITE_OF_SIZE: Final = {_X25519: PLAIN, _MLKEM + _X25519: HYBRID}


@dataclass(frozen=True, eq=False)
class HybridKey:
    """
    The two private keys of the hybrid suite; never leaves its machine.

    Parameters
    ----------
    mlkem : MLKEM768PrivateKey
        The half that withstands quantum computers.
    x25519 : X25519PrivateKey
        The half that has been studied for long.
    """

    mlkem: MLKEM768PrivateKey = field(repr=False)
    x25519: X25519PrivateKey = field(repr=False)


DecryptionKey: TypeAlias = X25519PrivateKey | HybridKey


def new_decryption_key(*, hybrid: bool) -> DecryptionKey:
    """
    Draw a private key from the operating system's randomness.

    Raises
    ------
    KeyFileError
        If the cryptography library of this machine has no ML-KEM.
    """
    if not hybrid:
        return X25519PrivateKey.generate()
    try:
        mlkem = MLKEM768PrivateKey.generate()
    except UnsupportedAlgorithm:
        raise KeyFileError(
            "hybrid key: a cryptography library without ML-KEM-768 was found; one with "
            "it is required; use the cryptography package from the Python index, or "
            "make a key without --hybrid"
        ) from None
    return HybridKey(mlkem, X25519PrivateKey.generate())


def public_bytes(key: DecryptionKey) -> bytes:
    """Return the raw public key that belongs to a private one."""
    if isinstance(key, HybridKey):
        mlkem = key.mlkem.public_key().public_bytes_raw()
        return mlkem + key.x25519.public_key().public_bytes_raw()
    return key.public_key().public_bytes_raw()


def suite_of(encrypt: bytes) -> str:
    """Return the suite of a raw public key that has no fault."""
    return _SUITE_OF_SIZE[len(encrypt)]


def encrypt_fault(encrypt: object) -> str | None:
    """
    What is wrong with a raw public key, or None.

    Parameters
    ----------
    encrypt : object
        Anything, such as a value read from a file.

    Returns
    -------
    str or None
        What was found, for an error message.
    """
    if not isinstance(encrypt, bytes) or len(encrypt) not in _SUITE_OF_SIZE:
        sizes = " or ".join(map(str, _SUITE_OF_SIZE))
        return f"a value that is not {sizes} bytes"
    # With a few X25519 keys every exchange gives zero, a secret to nobody.
    try:
        x25519 = X25519PublicKey.from_public_bytes(encrypt[-_X25519:])
        X25519PrivateKey.generate().exchange(x25519)
    except ValueError:
        return "a degenerate X25519 key"
    try:
        if suite_of(encrypt) == HYBRID:
            MLKEM768PublicKey.from_public_bytes(encrypt[:_MLKEM])
    except (ValueError, UnsupportedAlgorithm):
        return "a damaged ML-KEM-768 key, or a system without ML-KEM-768,"
    return None


def seal_bytes(content: bytes, encrypt: bytes, info: bytes) -> bytes:
    """
    Encrypt to a raw public key, in the one suite that it has.

    Law: ``open_bytes(seal_bytes(c, public_bytes(k), i), k, i) == c``.
    """
    x25519 = X25519PublicKey.from_public_bytes(encrypt[-_X25519:])
    suite = suite_of(encrypt)
    if suite == PLAIN:
        return HPKE[suite].encrypt(content, x25519, info=info)
    mlkem = MLKEM768PublicKey.from_public_bytes(encrypt[:_MLKEM])
    both = MLKEM768X25519PublicKey(mlkem, x25519)
    return HPKE[suite].encrypt(content, both, info=info)


def open_bytes(ciphertext: bytes, key: DecryptionKey, info: bytes) -> bytes:
    """
    Decrypt, in the one suite that the key has.

    Raises
    ------
    InvalidTag, ValueError
        If the ciphertext is none for this key and context.
    """
    if isinstance(key, HybridKey):
        both = MLKEM768X25519PrivateKey(key.mlkem, key.x25519)
        return HPKE[HYBRID].decrypt(ciphertext, both, info=info)
    return HPKE[PLAIN].decrypt(ciphertext, key, info=info)
