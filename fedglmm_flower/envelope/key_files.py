"""Key files on disk: made once, never overwritten, private ones for the owner only."""

from pathlib import Path

from fedglmm_flower.envelope.keys import Identity, PublicIdentity
from fedglmm_flower.envelope.owner_files import (
    PRIVATE_MODE,
    PUBLIC_MODE,
    create_file,
    read_file,
    where_of,
)
from fedglmm_flower.envelope.private_text import (
    asks_passphrase,
    identity_text,
    parse_identity,
)
from fedglmm_flower.envelope.public_text import parse_public, public_text


def write_identity(
    identity: Identity, path: Path | str, passphrase: str | None = None
) -> None:
    """
    Create the file of an identity, readable by its owner only.

    Law: :func:`read_identity` gives back the same name and keys.

    Parameters
    ----------
    identity : Identity
        The secrets.
    path : Path or str
        A file that does not exist; its folder is made if need be.
    passphrase : str, optional
        Protects the file where the disk does not; best six random words.

    Raises
    ------
    KeyFileError
        If the file exists or cannot be created, or the passphrase is empty.
    """
    create_file(Path(path), identity_text(identity, passphrase), PRIVATE_MODE)


def read_identity(path: Path | str, passphrase: str | None = None) -> Identity:
    """
    Read an identity from a file that only its owner can read.

    Parameters
    ----------
    path : Path or str
        The file, or a symbolic link to it.
    passphrase : str, optional
        The one given to :func:`write_identity`, if any.

    Returns
    -------
    Identity
        The secrets.

    Raises
    ------
    KeyFileError
        If the file is missing, no regular file, open to others, foreign, truncated or
        altered, or the passphrase is missing, not needed or wrong.
    """
    where = where_of(path)
    return parse_identity(read_file(Path(path), private=True), passphrase, where)


def is_protected(path: Path | str) -> bool:
    """
    Whether a key file asks for a passphrase.

    Parameters
    ----------
    path : Path or str
        The file.

    Raises
    ------
    KeyFileError
        If the file cannot be read, is open to others, or is no key file.
    """
    return asks_passphrase(read_file(Path(path), private=True), where_of(path))


def write_public(public: PublicIdentity, path: Path | str) -> None:
    """
    Create the file that a party gives to the others.

    Leaves the site: the file is made to be given away; it holds no secret and no data.

    Law: :func:`read_public` gives back an equal value.

    Parameters
    ----------
    public : PublicIdentity
        Such as ``identity.public``.
    path : Path or str
        A file that does not exist; its folder is made if need be.

    Raises
    ------
    KeyFileError
        If the file exists or cannot be created.
    """
    create_file(Path(path), public_text(public), PUBLIC_MODE)


def read_public(path: Path | str) -> PublicIdentity:
    """
    Read the public file of another party; compare its fingerprint before trusting it.

    Parameters
    ----------
    path : Path or str
        The file, or a symbolic link to it.

    Returns
    -------
    PublicIdentity
        Name and public keys.

    Raises
    ------
    KeyFileError
        If the file is missing, foreign or altered, or holds a key that is not usable.
    """
    return parse_public(read_file(Path(path), private=False), where_of(path))
