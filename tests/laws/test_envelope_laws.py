"""Laws of the envelope, over whatever hypothesis can think of."""

import math
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fedglmm_flower.envelope import (
    Binding,
    EnvelopeRefusedError,
    decode_release,
    decode_result,
    encode_release,
    encode_result,
    new_identity,
    seal,
    unseal,
)
from fedglmm_flower.envelope.names import name_fault
from fedglmm_flower.envelope.private_text import identity_text, parse_identity
from fedglmm_flower.envelope.public_text import parse_public, public_text
from fedglmm_flower.envelope.wire import canonical_bytes, strict_parse
from fedglmm_flower.errors import KeyFileError, WireError
from fedglmm_flower.site.released import ClusterRelease, Noise, Released, Spent

SITE, COORDINATOR = new_identity("site"), new_identity("coordinator")
BINDING = Binding("release", "0123456789abcdef" * 4, "run 1", "site a")
SEALED = seal(b"x", binding=BINDING, sender=SITE, recipient=COORDINATOR.public)

names = st.text(min_size=1, max_size=30).filter(lambda text: name_fault(text) is None)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
counts = st.none() | st.integers(0, 2**53 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
bindings = st.builds(
    Binding, st.sampled_from(["release", "result"]), digests, names, names
)
spents = st.just(Spent("none", math.inf, 0.0, "none")) | st.builds(
    Spent,
    names.filter(lambda name: name != "none"),
    st.floats(0, allow_infinity=False),
    st.floats(0, 1),
    st.sampled_from(["zero_out", "add_remove", "replace_one"]),
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | floats
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=20,
)


def noises(weights: int) -> st.SearchStrategy[Noise]:
    """Any noise for so many coordinates."""
    positive = st.floats(0, exclude_min=True, allow_infinity=False)
    return st.builds(
        Noise,
        rho=positive,
        scale=positive,
        bits=st.integers(0, 40),
        norm=positive,
        weights=st.lists(positive, min_size=weights, max_size=weights).map(tuple),
        unit=st.sampled_from(["row", "unit"]),
    )


@st.composite
def releases(draw):
    """Any release that the format has."""
    paths = draw(
        st.lists(
            st.lists(names, max_size=3).map(tuple), min_size=1, max_size=4, unique=True
        )
    )
    size = draw(st.integers(0, 6))
    values = st.lists(floats, min_size=size, max_size=size).map(tuple)
    spent = draw(spents)
    noisy = spent.mechanism != "none"
    hidden = spent.relation == "add_remove"
    noise = draw(noises(size + 1)) if noisy else None
    return Released(
        site=draw(names),
        study_digest=draw(digests),
        release_set=draw(names),
        order=draw(st.integers(1, 12)),
        n_missing=None if noisy else draw(counts),
        clusters=tuple(
            ClusterRelease(
                path,
                None if hidden else draw(counts),
                draw(values),
                draw(floats) if noisy else None,
            )
            for path in paths
        ),
        spent=spent,
        software=draw(names),
        noise=noise,
    )


@given(releases())
def test_decoding_inverts_encoding(released):
    """What the coordinator reads is what the site released."""
    assert decode_release(encode_release(released)) == released


@given(releases())
def test_encoding_is_canonical(released):
    """Equal releases give equal bytes, and decoded bytes are written again."""
    data = encode_release(released)

    assert encode_release(decode_release(data)) == data
    assert encode_release(replace(released)) == data


@given(releases(), st.data())
def test_a_changed_message_is_refused_or_another_release(released, data):
    """No two messages are read as the same release."""
    message = bytearray(encode_release(released))
    at = data.draw(st.integers(0, len(message) - 1))
    message[at] ^= data.draw(st.integers(1, 255))

    with suppress(WireError):
        assert decode_release(bytes(message)) != released


@given(json_values)
def test_parsing_inverts_writing(value):
    """Every JSON value survives, with its type."""
    again = strict_parse(canonical_bytes(value))

    assert again == value
    assert canonical_bytes(again) == canonical_bytes(value)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), json_values, max_size=4))
def test_decoding_a_result_inverts_encoding_it(result):
    """What the sites read is what the coordinator estimated."""
    assert decode_result(encode_result(result)) == result


@given(st.binary() | st.text('[]{}",:\\0123456789.eE+-tfn ').map(str.encode))
def test_parsing_any_bytes_gives_their_value_or_a_wire_error(data):
    """Nothing but a WireError escapes, and what is read is canonical."""
    with suppress(WireError):
        assert canonical_bytes(strict_parse(data)) == data


@given(st.binary(max_size=9000), bindings)
def test_unsealing_inverts_sealing(payload, binding):
    """The payload arrives as it was sent, whatever it is and wherever it belongs."""
    sealed = seal(payload, binding=binding, sender=SITE, recipient=COORDINATOR.public)

    assert (
        unseal(sealed, binding=binding, recipient=COORDINATOR, sender=SITE.public)
        == payload
    )


def refused(sealed, binding=BINDING):
    """Whether a message is refused, by the one error there is."""
    try:
        unseal(sealed, binding=binding, recipient=COORDINATOR, sender=SITE.public)
    except EnvelopeRefusedError:
        return True
    return False


def test_the_unchanged_message_opens():
    """The laws below are about changes, not about a message that never opens."""
    assert not refused(SEALED)


@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_a_change_of_any_one_byte_is_refused(flip):
    """Every byte counts: magic, sizes, header, key, ciphertext and tag."""
    changed = bytearray(SEALED)
    opened = []
    for at in range(len(changed)):
        changed[at] ^= flip
        if not refused(bytes(changed)):
            opened.append(at)
        changed[at] ^= flip

    assert opened == []


@given(st.integers(0, len(SEALED) - 1))
def test_every_truncation_is_refused(size):
    """Half a message is no message."""
    assert refused(SEALED[:size])


@given(st.integers(0, len(SEALED)), st.binary(min_size=1, max_size=40))
def test_every_insertion_is_refused(at, more):
    """Nothing can be slipped in or appended."""
    assert refused(SEALED[:at] + more + SEALED[at:])


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused(data):
    """Nothing but the one error escapes, whatever arrives."""
    assert refused(data)
    assert refused(SEALED[:22] + data)


@given(bindings)
def test_every_other_binding_is_refused(binding):
    """A message opens in one place only."""
    assume(binding != BINDING)

    assert refused(SEALED, binding)


@given(st.integers(0, len(SEALED) - 1), st.integers(0, 5000))
def test_parts_of_two_messages_do_not_join(cut, run):
    """The head of one message and the tail of another are neither."""
    other = Binding("result", BINDING.study_digest, f"run {run}", BINDING.site)
    sealed = seal(b"y", binding=other, sender=SITE, recipient=COORDINATOR.public)

    assert refused(SEALED[:cut] + sealed[cut:])


@given(names)
def test_key_files_keep_every_name(name):
    """What may be a name can be written and read in both files."""
    identity = new_identity(name)

    assert parse_identity(identity_text(identity, None), None, "x").name == name
    assert parse_public(public_text(identity.public), "x") == identity.public


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_no_bytes_are_a_key_file_by_accident(data):
    """Nothing but a KeyFileError escapes either reader."""
    with pytest.raises(KeyFileError):
        parse_identity(data, None, "x")
    with pytest.raises(KeyFileError):
        parse_public(data, "x")
