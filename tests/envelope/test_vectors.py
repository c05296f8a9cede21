"""Every vector reaches its stated outcome; the files are what their script writes."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fedglmm_flower import envelope
from fedglmm_flower.envelope import (
    Binding,
    EnvelopeRefusedError,
    Identity,
    Reason,
    unseal,
)
from fedglmm_flower.envelope.framing import frame, unframe
from fedglmm_flower.errors import WireError
from tests.vectors.make_vectors import HERE, vectors

WIRE = json.loads((HERE / "wire.json").read_text(encoding="utf-8"))["vectors"]
FILE = json.loads((HERE / "envelope.json").read_text(encoding="utf-8"))
SEALED = {vector["name"]: vector for vector in FILE["vectors"]}


def wire_bytes(vector: dict[str, Any]) -> bytes:
    """The message of a wire vector."""
    if "text" in vector:
        return str(vector["text"]).encode()
    if "repeat" in vector:
        unit, times = vector["repeat"]
        return bytes(unit.encode() * times)
    return bytes.fromhex(vector["hex"])


def sealed_bytes(vector: dict[str, Any]) -> bytes:
    """The message of an envelope vector, its edit applied."""
    if "sealed" in vector:
        return base64.b64decode(vector["sealed"], validate=True)
    data = bytearray(sealed_bytes(SEALED[vector["of"]]))
    edit = vector.get("edit", {})
    if "xor" in edit:
        data[edit["at"]] ^= edit["xor"]
    return bytes(data)[: edit.get("keep")] + bytes.fromhex(edit.get("append", ""))


def party(name: str) -> Identity:
    """A party of the vectors."""
    keys = FILE["private_keys"][name]
    return Identity(
        name,
        X25519PrivateKey.from_private_bytes(bytes.fromhex(keys["x25519"])),
        Ed25519PrivateKey.from_private_bytes(bytes.fromhex(keys["ed25519"])),
    )


def opened(vector: dict[str, Any]) -> bytes:
    """What unsealing the vector gives."""
    told = {**FILE["unless_told"], **vector}
    return unseal(
        sealed_bytes(vector),
        binding=Binding(**told["binding"]),
        recipient=party(told["recipient"]),
        sender=party(told["sender"]).public,
    )


@pytest.mark.parametrize("vector", WIRE, ids=lambda vector: vector["name"])
def test_a_wire_vector_reaches_its_outcome(vector):
    """A good message is written again byte for byte; a bad one says what is wrong."""
    decode = getattr(envelope, f"decode_{vector['codec']}")
    encode = getattr(envelope, f"encode_{vector['codec']}")
    data = wire_bytes(vector)

    if vector["outcome"] == "ok":
        assert encode(decode(data)) == data
    else:
        with pytest.raises(WireError) as refused:
            decode(data)
        assert vector["says"] in refused.value.detail


@pytest.mark.parametrize("name", SEALED)
def test_an_envelope_vector_reaches_its_outcome(name):
    """A good message opens to its payload; a bad one is refused for its one reason."""
    vector = SEALED[name]

    if vector["outcome"] == "ok":
        assert opened(vector) == base64.b64decode(vector["payload"])
    else:
        with pytest.raises(EnvelopeRefusedError) as refused:
            opened(vector)
        assert refused.value.reason is Reason[vector["outcome"]]


@pytest.mark.parametrize("name", [n for n, v in SEALED.items() if v["outcome"] == "ok"])
def test_a_good_envelope_is_framed_again_to_the_same_bytes(name):
    """The format leaves no choice in the bytes around the ciphertext."""
    data = sealed_bytes(SEALED[name])

    assert frame(*unframe(data)) == data


def test_every_reason_has_a_vector_or_a_test_of_its_own():
    """A reason that nothing gives is no reason."""
    seen = {vector["outcome"] for vector in SEALED.values()} - {"ok"}

    assert seen == {reason.name for reason in Reason} - {"TOO_LARGE"}


@pytest.mark.parametrize("name", ["wire.json", "envelope.json"])
def test_the_script_writes_the_file_again(name):
    """A second implementation of the format arrives at the same bytes."""
    assert vectors()[name] == (Path(HERE) / name).read_text(encoding="utf-8")
