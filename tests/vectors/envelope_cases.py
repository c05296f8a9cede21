"""The sealed vectors, made without the package: pyhpke, and the format by hand."""

import base64
import hashlib
import json
import struct
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey, KEMKeyPair

HPKE = CipherSuite.new(
    KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.CHACHA20_POLY1305
)
DIGEST = "0123456789abcdef" * 4
PARTIES = ("coordinator", "site a", "site b")
TO_COORDINATOR = {
    "kind": "release",
    "study_digest": DIGEST,
    "run_id": "run 1",
    "site": "site a",
}
TO_SITE = {**TO_COORDINATOR, "kind": "result"}
MANIFEST = "89abcdef01234567" * 4
UNDER_MANIFEST = {**TO_COORDINATOR, "manifest": MANIFEST}
UNICODE = {**TO_COORDINATOR, "site": "Zürich 中心", "run_id": '"\\'}
PAYLOAD = b"Beauty is truth"


def secret(sentence: str) -> bytes:
    """32 bytes that everybody can compute."""
    return hashlib.sha256(f"fedglmm test vector: {sentence}".encode()).digest()


def decryption_key(party: str) -> X25519PrivateKey:
    """The X25519 key of a party of the vectors."""
    return X25519PrivateKey.from_private_bytes(secret(f"{party} x25519"))


def signing_key(party: str) -> Ed25519PrivateKey:
    """The Ed25519 key of a party of the vectors."""
    return Ed25519PrivateKey.from_private_bytes(secret(f"{party} ed25519"))


def key_id(key: X25519PrivateKey | Ed25519PrivateKey) -> str:
    """SHA-256 of the raw public key."""
    return hashlib.sha256(key.public_key().public_bytes_raw()).hexdigest()


def spell(fields: dict[str, Any]) -> bytes:
    """Canonical JSON, for a header of plain text."""
    return json.dumps(
        fields, ensure_ascii=False, sort_keys=True, separators=(",", ":")
    ).encode()


def header(binding: dict[str, str], sender: str, recipient: str) -> dict[str, str]:
    """The header that a binding and two parties give."""
    manifest = {"manifest": binding["manifest"]} if "manifest" in binding else {}
    return manifest | {
        "format": "fedglmm-envelope/1",
        "kind": binding["kind"],
        "recipient": key_id(decryption_key(recipient)),
        "run": binding["run_id"],
        "sender": key_id(signing_key(sender)),
        "site": binding["site"],
        "study": binding["study_digest"],
        "suite": "x25519-hkdf-sha256-chacha20poly1305",
    }


def signed(head: bytes, payload: bytes, signer: str) -> bytes:
    """Signature, size and payload, padded."""
    label = b"fedglmm-envelope/1 sign\x00" + struct.pack(">I", len(head))
    signature = signing_key(signer).sign(label + head + payload)
    return pad(signature + struct.pack(">Q", len(payload)) + payload)


def pad(content: bytes) -> bytes:
    """Zeros up to a multiple of 4096."""
    return content + bytes(-len(content) % 4096)


def encrypted(head: bytes, content: bytes, recipient: str) -> bytes:
    """HPKE with an ephemeral key that follows from the content."""
    key = X25519PrivateKey.from_private_bytes(secret((head + content).hex()))
    pair = KEMKeyPair(
        KEMKey.from_pyca_cryptography_key(key),
        KEMKey.from_pyca_cryptography_key(key.public_key()),
    )
    public = decryption_key(recipient).public_key()
    to = KEMKey.from_pyca_cryptography_key(public)
    info = b"fedglmm-envelope/1 seal\x00" + head
    enc, context = HPKE.create_sender_context(to, info=info, eks=pair)
    return enc + context.seal(content)


def framed(head: bytes, ciphertext: bytes, version: int = 1) -> bytes:
    """Magic, version, sizes, header and ciphertext."""
    sizes = struct.pack(">HIQ", version, len(head), len(ciphertext))
    return b"\x89FGLMM\r\n" + sizes + head + ciphertext


def sealed(
    binding: dict[str, str],
    sender: str = "site a",
    recipient: str = "coordinator",
    payload: bytes = PAYLOAD,
) -> bytes:
    """A message as it should be."""
    head = spell(header(binding, sender, recipient))
    return framed(head, encrypted(head, signed(head, payload, sender), recipient))


def forged(head: bytes, content: bytes, claimed: bytes | None = None) -> bytes:
    """A message to the coordinator with any content, and any header in clear."""
    return framed(claimed or head, encrypted(head, content, "coordinator"))


def good_vectors() -> list[dict[str, Any]]:
    """Messages that open."""
    cases = (
        ("release", TO_COORDINATOR, "site a", "coordinator", PAYLOAD),
        ("result", TO_SITE, "coordinator", "site a", PAYLOAD),
        ("empty payload", TO_COORDINATOR, "site a", "coordinator", b""),
        ("names in many scripts", UNICODE, "site a", "coordinator", PAYLOAD),
        ("payload that fills a block", TO_COORDINATOR, "site a", "coordinator",
         bytes(4096 - 72)),
        ("release under a manifest", UNDER_MANIFEST, "site a", "coordinator", PAYLOAD),
        ("to oneself", TO_COORDINATOR, "site a", "site a", PAYLOAD),
    )  # fmt: skip
    return [
        vector(
            name,
            "ok",
            sealed(binding, sender, recipient, payload),
            binding=binding,
            sender=sender,
            recipient=recipient,
        )
        | {"payload": base64.b64encode(payload).decode()}
        for name, binding, sender, recipient, payload in cases
    ]


def forged_vectors() -> list[dict[str, Any]]:
    """Messages that somebody with more power than a relay could make."""
    fields = header(TO_COORDINATOR, "site a", "coordinator")
    head = spell(fields)
    right = signed(head, PAYLOAD, "site a")
    under = spell(header(UNDER_MANIFEST, "site a", "coordinator"))
    to_other = spell(header(TO_COORDINATOR, "site a", "site b"))
    spaced = json.dumps(fields, sort_keys=True).encode()
    newer = spell({**fields, "format": "fedglmm-envelope/2"})
    suite = spell({**fields, "suite": "none"})
    other = "mlkem768-x25519-hkdf-sha256-chacha20poly1305"
    hybrid = spell({**fields, "suite": other})
    signature, size, rest = right[:64], len(PAYLOAD), right[72:]
    full = signed(head, bytes(4096 - 72), "site a")
    longer = full[:64] + struct.pack(">Q", 8192 - 72) + full[72:]
    good = encrypted(head, right, "coordinator")
    cases = (
        ("signed by another site", "BAD_SIGNATURE",
         forged(head, signed(head, PAYLOAD, "site b"))),
        ("signed for another recipient, sealed on", "BAD_SIGNATURE",
         forged(head, signed(to_other, PAYLOAD, "site a"))),
        ("signature of zeros", "BAD_SIGNATURE", forged(head, bytes(64) + right[64:])),
        ("signature of another payload", "BAD_SIGNATURE",
         forged(head, pad(signature + struct.pack(">Q", size) + PAYLOAD[::-1]))),
        ("size beyond the content", "ALTERED",
         forged(head, signature + struct.pack(">Q", 2**63) + rest)),
        ("size beyond the content, by whole blocks", "ALTERED",
         forged(head, longer)),
        ("size shorter than the payload", "ALTERED",
         forged(head, signature + struct.pack(">Q", size - 1) + rest)),
        ("padding that is not zero", "ALTERED", forged(head, right[:-1] + b"\x01")),
        ("a block of padding too many", "ALTERED", forged(head, right + bytes(4096))),
        ("no padding", "ALTERED", forged(head, right[: 72 + size])),
        ("content of nothing", "ALTERED", forged(head, b"")),
        ("sealed under another header", "ALTERED", forged(to_other, right, head)),
        ("header with spaces", "ALTERED", framed(spaced, good)),
        ("header that is a list", "ALTERED", framed(b"[]", good)),
        ("header of nothing", "ALTERED", framed(b"", good)),
        ("header with a field too many", "ALTERED",
         framed(spell({**fields, "z": "z"}), good)),
        ("header with a number too many", "ALTERED",
         framed(spell({**fields, "z": 1}), good)),
        ("header with a number", "ALTERED",
         framed(spell({**fields, "run": 1}), good)),
        ("header with a control character", "ALTERED",
         framed(spell({**fields, "run": "\n"}), good)),
        ("header of 8193 bytes", "ALTERED", framed(b" " * 8193, good)),
        ("header of another version", "VERSION", framed(newer, good)),
        ("header of another suite", "VERSION", framed(suite, good)),
        ("header of the other suite", "OTHER_SUITE", framed(hybrid, good)),
        ("ephemeral key of zeros", "ALTERED", framed(head, bytes(32) + good[32:])),
        ("no ciphertext", "ALTERED", framed(head, b"")),
        ("ciphertext of 47 bytes", "ALTERED", framed(head, good[:47])),
        ("header with a manifest that is no digest", "ALTERED",
         framed(spell({**fields, "manifest": "none"}), good)),
        ("header with a manifest of nothing", "ALTERED",
         framed(spell({**fields, "manifest": None}), good)),
        ("sealed under a manifest, header without", "ALTERED",
         framed(head, encrypted(under, signed(under, PAYLOAD, "site a"),
                                "coordinator"))),
        ("signed without the manifest it is sealed under", "BAD_SIGNATURE",
         framed(under, encrypted(under, right, "coordinator")),
         {"binding": UNDER_MANIFEST}),
        ("version 2", "VERSION", framed(head, good, version=2)),
    )  # fmt: skip
    return [
        vector(name, outcome, data, **(expected[0] if expected else {}))
        for name, outcome, data, *expected in cases
    ]


def vector(name: str, outcome: str, data: bytes, **expected: Any) -> dict[str, Any]:
    """One vector with its bytes."""
    return {
        "name": name,
        "outcome": outcome,
        **expected,
        "sealed": base64.b64encode(data).decode(),
    }


def edited_vectors() -> list[dict[str, Any]]:
    """The good release, opened elsewhere or changed on the way."""
    digest = "f" * 64
    elsewhere: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("opened as a result", "OTHER_KIND", {"binding": TO_SITE}),
        ("opened in another study", "OTHER_STUDY",
         {"binding": {**TO_COORDINATOR, "study_digest": digest}}),
        ("opened in another run", "OTHER_RUN",
         {"binding": {**TO_COORDINATOR, "run_id": "run 2"}}),
        ("opened for another site", "OTHER_SITE",
         {"binding": {**TO_COORDINATOR, "site": "site b"}}),
        ("opened under a manifest that it does not have", "OTHER_MANIFEST",
         {"binding": UNDER_MANIFEST}),
        ("opened by another party", "OTHER_RECIPIENT", {"recipient": "site b"}),
        ("opened for another sender", "OTHER_SENDER", {"sender": "site b"}),
    )  # fmt: skip
    edits: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("nothing at all", "TRUNCATED", {"keep": 0}),
        ("half of the magic", "TRUNCATED", {"keep": 4}),
        ("half of the sizes", "TRUNCATED", {"keep": 21}),
        ("half of the header", "TRUNCATED", {"keep": 100}),
        ("all but the last byte", "TRUNCATED", {"keep": -1}),
        ("a byte too many", "ALTERED", {"append": "00"}),
        ("a bit of the magic", "NOT_AN_ENVELOPE", {"at": 0, "xor": 128}),
        ("line ends changed by a transfer as text", "NOT_AN_ENVELOPE",
         {"at": 6, "xor": 7}),
        ("a bit of the version", "VERSION", {"at": 9, "xor": 2}),
        ("a header announced longer", "TRUNCATED", {"at": 13, "xor": 1}),
        ("a header announced shorter", "ALTERED", {"at": 13, "xor": 2}),
        ("a huge ciphertext announced", "TRUNCATED", {"at": 14, "xor": 127}),
        ("a bit of the ephemeral key", "ALTERED", {"at": -4144, "xor": 1}),
        ("a bit of the ciphertext", "ALTERED", {"at": -2000, "xor": 1}),
        ("a bit of the tag", "ALTERED", {"at": -1, "xor": 1}),
    )  # fmt: skip
    manifests: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("opened without its manifest", "OTHER_MANIFEST",
         {"binding": TO_COORDINATOR}),
        ("opened under another manifest", "OTHER_MANIFEST",
         {"binding": {**TO_COORDINATOR, "manifest": digest}}),
    )  # fmt: skip
    return [
        {"name": name, "outcome": outcome, "of": of, **expected}
        for of, cases in (
            ("release", elsewhere),
            ("release under a manifest", manifests),
        )
        for name, outcome, expected in cases
    ] + [
        {"name": name, "outcome": outcome, "of": "release", "edit": edit}
        for name, outcome, edit in edits
    ]
