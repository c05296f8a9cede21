"""The bytes of a sealed message around its ciphertext.

::

    offset  size  field
    0       8     magic, 89 "FGLMM" 0D 0A
    8       2     version, big-endian, 1
    10      4     h, size of the header, big-endian, at most 8192
    14      8     c, size of the ciphertext, big-endian
    22      h     header, canonical JSON, in clear
    22+h    c     ciphertext, an HPKE message

and nothing after it.  The header is one object of text, with the keys ``format``
(``"fedglmm-envelope/1"``), ``kind``, ``recipient``, ``run``, ``sender``, ``site``,
``study`` and ``suite``, and with ``manifest`` where the study has one (the digest of
:mod:`fedglmm_flower.envelope.manifest_text`); it holds no data and proves nothing until
the ciphertext, which is bound to it, has been opened.
"""

import struct
from dataclasses import dataclass
from typing import Final

from fedglmm_flower.envelope.binding import Binding
from fedglmm_flower.envelope.encryption import HPKE
from fedglmm_flower.envelope.keys import PublicIdentity
from fedglmm_flower.envelope.names import is_digest, name_fault
from fedglmm_flower.envelope.refusal import EnvelopeRefusedError, Reason
from fedglmm_flower.envelope.wire import canonical_bytes, strict_parse
from fedglmm_flower.errors import WireError

MAGIC: Final = b"\x89FGLMM\r\n"
VERSION: Final = 1
FORMAT: Final = "fedglmm-envelope/1"
MAX_HEADER: Final = 8192

_WHERE: Final = "sealed message"
_PREFIX: Final = struct.Struct(">8sHIQ")
_KEYS: Final = frozenset(
    {"format", "kind", "recipient", "run", "sender", "site", "study", "suite"}
)


@dataclass(frozen=True)
class Header:
    """
    What a sealed message claims to be; only ``unseal`` makes it true.

    Parameters
    ----------
    kind, study, run, site : str
        The binding, see :class:`fedglmm_flower.envelope.binding.Binding`.
    recipient : str
        SHA-256 of the recipient's public key to seal to, in hex.
    sender : str
        SHA-256 of the sender's Ed25519 public key, in hex.
    suite : str
        The suite of the recipient's key, ``PLAIN`` or ``HYBRID`` of
        :mod:`fedglmm_flower.envelope.encryption`.
    manifest : str, optional
        Digest of the study's manifest; the key is absent without one.
    """

    kind: str
    study: str
    run: str
    site: str
    recipient: str
    sender: str
    suite: str
    manifest: str | None = None

    def to_bytes(self) -> bytes:
        """
        Write the header.

        Returns
        -------
        bytes
            Canonical JSON; equal headers give equal bytes.
        """
        fields = {**vars(self), "format": FORMAT}
        if self.manifest is None:
            del fields["manifest"]
        return canonical_bytes(fields, where=f"{_WHERE}, header")


def header_for(
    binding: Binding, *, recipient: PublicIdentity, sender: PublicIdentity
) -> Header:
    """Return the one header that fits a binding and two parties."""
    return Header(
        kind=binding.kind,
        study=binding.study_digest,
        run=binding.run_id,
        site=binding.site,
        recipient=recipient.encrypt_id,
        sender=sender.verify_id,
        suite=recipient.suite,
        manifest=binding.manifest,
    )


def frame(header: Header, ciphertext: bytes) -> bytes:
    """Return the bytes of the table in the module's docstring."""
    head = header.to_bytes()
    prefix = _PREFIX.pack(MAGIC, VERSION, len(head), len(ciphertext))
    return prefix + head + ciphertext


def unframe(sealed: bytes) -> tuple[Header, bytes]:
    """
    Take a sealed message apart without believing it.

    Law: ``unframe(frame(h, c)) == (h, c)``, and ``frame(*unframe(s)) == s`` for every
    ``s`` that is not refused.

    Raises
    ------
    EnvelopeRefusedError
        For the reasons NOT_AN_ENVELOPE, VERSION, TRUNCATED and ALTERED.
    """
    if not sealed.startswith(MAGIC[: len(sealed)]):
        msg = (
            f"{_WHERE}: other bytes were found; a file made by fedglmm-flower is "
            "required; check which file was sent"
        )
        raise EnvelopeRefusedError(Reason.NOT_AN_ENVELOPE, msg)
    if len(sealed) < _PREFIX.size:
        raise _truncated(len(sealed), f"at least {_PREFIX.size}")
    _, version, head_size, body_size = _PREFIX.unpack_from(sealed)
    if version != VERSION:
        msg = (
            f"{_WHERE}: version {version} was found; version {VERSION} is "
            "required; use versions of fedglmm-flower that agree"
        )
        raise EnvelopeRefusedError(Reason.VERSION, msg)
    size = _PREFIX.size + head_size + body_size
    if len(sealed) < size:
        raise _truncated(len(sealed), str(size))
    if len(sealed) > size:
        raise _altered(_WHERE, f"{len(sealed)} bytes", f"{size} bytes are")
    body = _PREFIX.size + head_size
    return _read_header(sealed[_PREFIX.size : body]), sealed[body:]


def _read_header(data: bytes) -> Header:
    where = f"{_WHERE}, header"
    try:
        fields = strict_parse(data, MAX_HEADER, where=where)
    except WireError as error:
        raise EnvelopeRefusedError(Reason.ALTERED, error.detail) from None
    if not isinstance(fields, dict):
        raise _altered(where, "no object", "an object is")
    texts = {
        key: value
        for key, value in fields.items()
        if isinstance(value, str) and name_fault(value) is None
    }
    for key, known in (("format", (FORMAT,)), ("suite", tuple(HPKE))):
        if key in texts and texts[key] not in known:
            msg = (
                f"{where}: {key} {texts[key]!r} was found; {' or '.join(known)} is "
                "required; "
                "use versions of fedglmm-flower that agree"
            )
            raise EnvelopeRefusedError(Reason.VERSION, msg)
    complete = len(texts) == len(fields) and set(texts) - {"manifest"} == _KEYS
    if not complete or not is_digest(texts.get("manifest", "0" * 64)):
        raise _altered(where, "a missing or unknown field", "the known ones are")
    return Header(**{k: v for k, v in texts.items() if k != "format"})


def _truncated(size: int, required: str) -> EnvelopeRefusedError:
    msg = (
        f"{_WHERE}: {size} bytes were found; {required} are required; "
        "have the file copied or sent again"
    )
    return EnvelopeRefusedError(Reason.TRUNCATED, msg)


def _altered(where: str, found: str, required: str) -> EnvelopeRefusedError:
    msg = (
        f"{where}: {found} was found; {required} required; "
        "have the file copied or sent again"
    )
    return EnvelopeRefusedError(Reason.ALTERED, msg)
