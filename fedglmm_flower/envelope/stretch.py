"""From a passphrase to the bytes of a key: Argon2id, the cost fixed by the format."""

import unicodedata
from contextlib import suppress
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from fedglmm_flower.errors import KeyFileError

# RFC 9106's second recommendation: a third of a second, and 64 MiB for each guess.
PASSES: Final = 3
LANES: Final = 4
MEMORY_KIB: Final = 64 * 2**10


def stretch(passphrase: str, salt: bytes, where: str) -> bytes:
    """
    Return 32 bytes that only who knows the passphrase can compute.

    Law: the same passphrase, in any composition of its letters, and salt give the same
    bytes.

    Parameters
    ----------
    passphrase : str
        Any text that is not empty; taken in NFC and UTF-8.
    salt : bytes
        16 random bytes, new for each file.
    where : str
        Whose passphrase, the first words of an error message.

    Raises
    ------
    KeyFileError
        If the passphrase is empty or no text.  The message does not quote it.
    """
    if not passphrase:
        msg = (
            f"{where}: an empty passphrase was found; a passphrase or none at all is "
            "required; give a passphrase of six random words"
        )
        raise KeyFileError(msg)
    # Told after the block, because the exception would carry the passphrase along.
    with suppress(UnicodeEncodeError, UnsupportedAlgorithm):
        secret = unicodedata.normalize("NFC", passphrase).encode()
        argon2 = Argon2id(
            salt=salt,
            length=32,
            iterations=PASSES,
            lanes=LANES,
            memory_cost=MEMORY_KIB,
        )
        return argon2.derive(secret)
    msg = (
        f"{where}: a passphrase that is no text, or a system without Argon2id, was "
        "found; both are required for a protected key; give a passphrase of plain "
        "letters, and use the cryptography package from the Python index"
    )
    raise KeyFileError(msg)
