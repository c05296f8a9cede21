"""Seal and open a message: HPKE (RFC 9180) around an Ed25519 signature.

The header of a message (:mod:`fedglmm_flower.envelope.framing`) names study, run, site,
kind, recipient, sender and, where there is one, the study's manifest.  With ``h`` its
bytes and ``|h|`` their number in 4 bytes, big-endian::

    signature  = Ed25519(sender, SIGN_LABEL + |h| + h + payload)
    plaintext  = signature + size of payload in 8 bytes + payload + zeros
    ciphertext = HPKE(recipient, info = SEAL_LABEL + h, aad = "", plaintext)

in base mode, in the one suite that the recipient's key has, which the header names too
(:mod:`fedglmm_flower.envelope.encryption`).  The zeros fill the plaintext up to a
multiple of 4096 bytes, so that the size of a message tells little about the numbers in
it.

The signature names the recipient, so a message cannot be opened and sealed on to
somebody else, and lies inside, so a relay learns of the sender only its key id.
Everything in the header is known to the receiver beforehand and compared before
anything is decrypted.  Not provided: protection of old messages once the recipient's
key is stolen (make new keys for each study), and detection of the same message
arriving twice in one run (the coordinator counts one message a site).
"""

import struct
from typing import Final

from cryptography.exceptions import InvalidSignature, InvalidTag

from fedglmm_flower.envelope.binding import Binding
from fedglmm_flower.envelope.encryption import open_bytes, seal_bytes
from fedglmm_flower.envelope.framing import Header, frame, header_for, unframe
from fedglmm_flower.envelope.keys import Identity, PublicIdentity, verification_key
from fedglmm_flower.envelope.refusal import EnvelopeRefusedError, Reason
from fedglmm_flower.envelope.wire import MAX_BYTES

SEAL_LABEL: Final = b"fedglmm-envelope/1 seal\x00"
SIGN_LABEL: Final = b"fedglmm-envelope/1 sign\x00"
BLOCK: Final = 4096
MAX_SEALED: Final = MAX_BYTES + 4 * BLOCK

_SIGNED: Final = struct.Struct(">64sQ")


def seal(
    payload: bytes, *, binding: Binding, sender: Identity, recipient: PublicIdentity
) -> bytes:
    """
    Sign and encrypt a message for one recipient, one study, one run and one site.

    Leaves the site: the result does.

    Law: ``unseal(seal(x)) == x`` with the same binding and the matching keys; two
    calls never give the same bytes.

    Parameters
    ----------
    payload : bytes
        At most 64 MiB, such as :func:`fedglmm_flower.envelope.encode_release` writes.
    binding : Binding
        The place of the message; travels in clear.
    sender : Identity
        Whose signature the message carries.
    recipient : PublicIdentity
        The only party that can open it.

    Returns
    -------
    bytes
        The sealed message.

    Raises
    ------
    EnvelopeRefusedError
        For the reason TOO_LARGE.
    """
    if len(payload) > MAX_BYTES:
        raise _too_large(len(payload), MAX_BYTES)
    header = header_for(binding, recipient=recipient, sender=sender.public)
    head = header.to_bytes()
    signature = sender.signing_key.sign(_signed_bytes(head, payload))
    content = _SIGNED.pack(signature, len(payload)) + payload
    padded = content + bytes(-len(content) % BLOCK)
    ciphertext = seal_bytes(padded, recipient.encrypt, SEAL_LABEL + head)
    return frame(header, ciphertext)


def unseal(
    sealed: bytes, *, binding: Binding, recipient: Identity, sender: PublicIdentity
) -> bytes:
    """
    Open a message and return it only if every claim about it holds.

    Laws: ``unseal(seal(x)) == x``; a message of which any byte was changed, and a
    message for another binding, recipient or sender, is refused.

    Parameters
    ----------
    sealed : bytes
        What arrived.
    binding : Binding
        The place that the message must have.
    recipient : Identity
        Who opens it.
    sender : PublicIdentity
        The pinned keys of the party that must have sent it.

    Returns
    -------
    bytes
        The payload.

    Raises
    ------
    EnvelopeRefusedError
        With ``reason`` saying which check failed first; no other error.
    """
    if len(sealed) > MAX_SEALED:
        raise _too_large(len(sealed), MAX_SEALED)
    found, ciphertext = unframe(sealed)
    required = header_for(binding, recipient=recipient.public, sender=sender)
    _check_header(found, required)
    head = required.to_bytes()
    try:
        content = open_bytes(ciphertext, recipient.decryption_key, SEAL_LABEL + head)
    except (InvalidTag, ValueError):  # the second for degenerate ephemeral keys
        raise _altered(binding, "a ciphertext that does not open") from None
    if len(content) < _SIGNED.size:
        raise _altered(binding, "a content too short for a signature")
    signature, size = _SIGNED.unpack_from(content)
    end = _SIGNED.size + size
    payload = content[_SIGNED.size : end]
    padding = content[end:]
    if len(payload) < size or padding != bytes(-end % BLOCK):
        raise _altered(binding, "a content of another size than it states")
    try:
        verification_key(sender).verify(signature, _signed_bytes(head, payload))
    except InvalidSignature:
        msg = (
            f"sealed message of {binding.site!r}: a signature by another key was "
            "found; the signature of the pinned key is required; compare the "
            "fingerprint of the sender's public file by telephone"
        )
        raise EnvelopeRefusedError(Reason.BAD_SIGNATURE, msg) from None
    return payload


def read_header(sealed: bytes) -> Header:
    """
    Read what a sealed message claims to be, without a key and without proof.

    To choose the binding for :func:`unseal` where only a file is at hand, and for
    messages to people; ``unseal`` alone turns the claims into facts.

    Parameters
    ----------
    sealed : bytes
        What arrived.

    Returns
    -------
    Header
        Unproven claims.

    Raises
    ------
    EnvelopeRefusedError
        If the bytes are no sealed message.
    """
    if len(sealed) > MAX_SEALED:
        raise _too_large(len(sealed), MAX_SEALED)
    return unframe(sealed)[0]


def _signed_bytes(head: bytes, payload: bytes) -> bytes:
    return SIGN_LABEL + struct.pack(">I", len(head)) + head + payload


def _check_header(found: Header, required: Header) -> None:
    """Refuse a header at its first field that is not the required one."""
    keys = "compare the fingerprints of the keys in use"
    for field, reason, cure in (
        ("kind", Reason.OTHER_KIND, "check which file was sent"),
        ("study", Reason.OTHER_STUDY, "check that both parties hold the same study"),
        ("manifest", Reason.OTHER_MANIFEST, "use the manifest that both approved"),
        ("run", Reason.OTHER_RUN, "have the message made for this run"),
        ("site", Reason.OTHER_SITE, "check which site's file was sent"),
        ("recipient", Reason.OTHER_RECIPIENT, keys),
        ("suite", Reason.OTHER_SUITE, "have the message sealed again, in that suite"),
        ("sender", Reason.OTHER_SENDER, keys),
    ):
        was, must = getattr(found, field), getattr(required, field)
        if was != must:
            msg = (
                f"sealed message, {field}: {was!r} was found; {must!r} is required; "
                f"{cure}"
            )
            raise EnvelopeRefusedError(reason, msg)


def _altered(binding: Binding, found: str) -> EnvelopeRefusedError:
    msg = (
        f"sealed message of {binding.site!r}: {found} was found; the bytes as they "
        "were sealed are required; have the message sent again"
    )
    return EnvelopeRefusedError(Reason.ALTERED, msg)


def _too_large(size: int, allowed: int) -> EnvelopeRefusedError:
    msg = (
        f"sealed message: {size} bytes were found; at most {allowed} are allowed; "
        "use a smaller release set or order"
    )
    return EnvelopeRefusedError(Reason.TOO_LARGE, msg)
