"""The two roles: an identity keeps secrets, a public identity is pinned by others.

Each party has two key pairs, one to receive (X25519, or both ML-KEM-768 and X25519,
:mod:`fedglmm_flower.envelope.encryption`) and Ed25519 to sign.  The fingerprint of both
public keys is what two people compare, by telephone, once.
"""

import hashlib
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from fedglmm_flower.envelope.encryption import (
    DecryptionKey,
    encrypt_fault,
    new_decryption_key,
    public_bytes,
    suite_of,
)
from fedglmm_flower.envelope.names import MAX_NAME, name_fault
from fedglmm_flower.envelope.words import words_of
from fedglmm_flower.errors import KeyFileError

_KEY_SIZE = 32


@dataclass(frozen=True)
class PublicIdentity:
    """
    What others may know of a party, and pin.

    Parameters
    ----------
    name : str
        Name of the party; a label for people, no part of the fingerprint.
    encrypt : bytes
        Raw public key, 32 bytes (X25519) or 1216 (ML-KEM-768, then X25519): messages
        to the party are sealed to it.
    verify : bytes
        Raw Ed25519 public key, 32 bytes: messages from the party are checked with it.

    Raises
    ------
    KeyFileError
        If the name is no name or a key is not usable.
    """

    name: str
    encrypt: bytes
    verify: bytes

    def __post_init__(self) -> None:
        check_party_name(self.name)
        faults = {"encrypt": encrypt_fault(self.encrypt)}
        if not isinstance(self.verify, bytes) or len(self.verify) != _KEY_SIZE:
            faults["verify"] = f"a value that is not {_KEY_SIZE} bytes"
        for role, fault in faults.items():
            if fault is not None:
                msg = (
                    f"public key {role!r} of {self.name!r}: {fault} was found; a raw "
                    "public key that keeps secrets is required; ask the party for its "
                    "public file again, and compare fingerprints"
                )
                raise KeyFileError(msg)

    @property
    def suite(self) -> str:
        """The suite in which messages to the party are sealed, and no other."""
        return suite_of(self.encrypt)

    @property
    def fingerprint(self) -> str:
        """
        SHA-256 over ``encrypt`` then ``verify``, as 16 groups of 4 hex digits.

        Two parties that read the same fingerprint hold the same two keys.

        Returns
        -------
        str
            For people to compare through a channel that they trust.
        """
        digest = hashlib.sha256(self.encrypt + self.verify).hexdigest()
        return " ".join(digest[i : i + 4] for i in range(0, len(digest), 4))

    @property
    def words(self) -> str:
        """
        The first half of the fingerprint, 128 bits, as 16 words.

        Returns
        -------
        str
            For people to read out; see :mod:`fedglmm_flower.envelope.words`.
        """
        return words_of(hashlib.sha256(self.encrypt + self.verify).digest()[:16])

    @property
    def encrypt_id(self) -> str:
        """SHA-256 of ``encrypt`` in hex: names the recipient in a header."""
        return hashlib.sha256(self.encrypt).hexdigest()

    @property
    def verify_id(self) -> str:
        """SHA-256 of ``verify`` in hex: names the sender in a header."""
        return hashlib.sha256(self.verify).hexdigest()


@dataclass(frozen=True, eq=False)
class Identity:
    """
    The secrets of one party; never leaves its machine.

    Two identities are equal only if they are the same object; compare ``public``.

    Parameters
    ----------
    name : str
        Name of the party.
    decryption_key : X25519PrivateKey or HybridKey
        Opens what is sealed to the party.
    signing_key : Ed25519PrivateKey
        Signs what the party sends.

    Raises
    ------
    KeyFileError
        If the name is no name.
    """

    name: str
    decryption_key: DecryptionKey = field(repr=False)
    signing_key: Ed25519PrivateKey = field(repr=False)

    def __post_init__(self) -> None:
        check_party_name(self.name)

    @property
    def public(self) -> PublicIdentity:
        """
        The part that others pin.

        Returns
        -------
        PublicIdentity
            The name and both public keys.
        """
        return PublicIdentity(
            self.name,
            public_bytes(self.decryption_key),
            self.signing_key.public_key().public_bytes_raw(),
        )


def new_identity(name: str, *, hybrid: bool = False) -> Identity:
    """
    Draw both private keys of a party from the operating system's randomness.

    Parameters
    ----------
    name : str
        Name of the party.
    hybrid : bool
        Whether messages to the party are to withstand quantum computers too.

    Returns
    -------
    Identity
        Different at every call, whatever the name.

    Raises
    ------
    KeyFileError
        If the name is no name, or a hybrid key cannot be made on this machine.

    Examples
    --------
    >>> new_identity("site a")
    Identity(name='site a')
    >>> new_identity("a").public == new_identity("a").public
    False
    """
    check_party_name(name)
    decryption_key = new_decryption_key(hybrid=hybrid)
    return Identity(name, decryption_key, Ed25519PrivateKey.generate())


def check_party_name(name: object) -> None:
    """Raise KeyFileError unless the name of a party is a name."""
    fault = name_fault(name)
    if fault is not None:
        msg = (
            f"name of a key: {fault} was found; 1 to {MAX_NAME} characters without "
            "control characters are required; choose another name"
        )
        raise KeyFileError(msg)


def verification_key(public: PublicIdentity) -> Ed25519PublicKey:
    """Return the key that messages from a party are checked with."""
    return Ed25519PublicKey.from_public_bytes(public.verify)
