"""Whatever arrives, a decoder gives a value or its error, in bounded memory."""

import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedglmm_flower.envelope import (
    decode_release,
    decode_result,
    read_header,
    split_signed,
)
from fedglmm_flower.envelope.manifest_text import SignedManifest, _parse
from fedglmm_flower.envelope.owner_files import MAX_FILE
from fedglmm_flower.envelope.public_text import parse_public
from fedglmm_flower.envelope.wire import strict_parse
from fedglmm_flower.errors import FedglmmError
from tests.vectors.wire_cases import wire_vectors

# Bytes of memory for each byte that arrives, and a floor for what is always there.
MOST_A_BYTE = 100
FLOOR = 2**20


def read_public_text(data: bytes) -> object:
    """The reader of public files, to which more than 16 KiB never come."""
    return parse_public(data[:MAX_FILE], "file")


Decoder = Callable[[bytes], object]
DECODERS: tuple[Decoder, ...] = (
    decode_release,
    decode_result,
    strict_parse,
    read_header,
    split_signed,
    _parse,
    read_public_text,
)
GOOD = [
    str(vector["text"]).encode()
    for vector in wire_vectors()
    if "text" in vector and vector["outcome"] == "ok"
]

pieces = st.sampled_from(
    [
        b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\u0000", b"\\ud800", b"1e999",
        b"-0", b"NaN", b"1e-999", b"9" * 400, b"true", b"null", b"0.1", b"\xff",
        b'"clusters":', b'"values":', b'"format":"fedglmm-release/1"', b"\xed\xa0\x80",
        b"[demands]\n", b"a = 1\n", b"2027-06-30T00:00:00Z", b"\x89FGLMM\r\n\x00\x01",
    ]
)  # fmt: skip
junk = st.lists(pieces | st.binary(max_size=8), max_size=30).map(b"".join)


@st.composite
def mutants(draw):
    """A good message with a few stretches replaced."""
    data = bytearray(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 12))] = draw(pieces | st.binary(max_size=8))
    return bytes(data)


def peak_of(decode: Decoder, data: bytes) -> int:
    """Most memory that decoding takes; an error that is not ours passes through."""
    tracemalloc.start()
    try:
        with suppress(FedglmmError):
            decode(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("decode", DECODERS, ids=lambda decode: decode.__name__)
@settings(max_examples=100, deadline=None)
@given(data=junk | mutants() | st.binary(max_size=300))
def test_nothing_but_our_errors_escapes(decode, data):
    """Junk, near misses and noise end in a value or in one of our errors."""
    assert peak_of(decode, data) <= FLOOR + MOST_A_BYTE * len(data)


@pytest.mark.parametrize("decode", DECODERS, ids=lambda decode: decode.__name__)
@pytest.mark.parametrize(
    ("unit", "around"),
    [
        (b"[", (b"", b"")),
        (b'{"a":', (b"", b"")),
        (b"[],", (b"[", b"[]]")),
        (b"{},", (b"[", b"{}]")),
        (b"0.5,", (b"[", b"0.5]")),
        (b"1000,", (b"[", b"1000]")),
        (b"9", (b"", b"")),
        (b"\xc3\xa9", (b'"', b'"')),
        (b"\\n", (b'"', b'"')),
        (b'"":0,', (b"{", b'"":0}')),
        (b"a.", (b"", b"a = 1\n")),
        (b"[a]\n", (b"", b"")),
        (b"a = [", (b"", b"")),
    ],
    ids=str,
)
def test_a_large_message_takes_memory_in_proportion(decode, unit, around):
    """A few hundred kilobytes cannot be made to fill the machine."""
    head, tail = around
    data = head + unit * (200_000 // len(unit)) + tail

    assert peak_of(decode, data) <= FLOOR + MOST_A_BYTE * len(data)


def test_the_signed_form_is_read_without_its_text():
    """A manifest is taken apart by its last lines alone, whatever stands before."""
    tail = (
        b'[signature]\nowner = "' + b"A" * 43 + b'="\nvalue = "' + b"A" * 86 + b'=="\n'
    )
    signed = split_signed(b"\xff" * 1000 + tail)

    assert signed == SignedManifest(b"\xff" * 1000, bytes(32), bytes(64))
