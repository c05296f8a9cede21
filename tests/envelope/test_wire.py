"""Canonical JSON: what is written, what is refused, and what an error must not hold."""

import pytest

from fedglmm_flower.envelope.wire import MAX_DEPTH, canonical_bytes, strict_parse
from fedglmm_flower.errors import WireError


def nested(levels):
    """An empty list inside lists."""
    value: list[object] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, b"null"),
        (True, b"true"),
        (1, b"1"),
        (1.0, b"1.0"),
        (-0.0, b"0.0"),
        ([-0.0, {"x": -0.0}], b'[0.0,{"x":0.0}]'),
        (0.1 + 0.2, b"0.30000000000000004"),
        (1e16, b"1e+16"),
        ("é\n\x7f\u2028", '"é\\n\x7f\u2028"'.encode()),
        ((1, (2,)), b"[1,[2]]"),
        ({"é": 1, "z": 2, "": 3, "A": 4}, '{"":3,"A":4,"z":2,"é":1}'.encode()),
        (2**80, str(2**80).encode()),
    ],
)
def test_a_value_has_one_spelling(value, expected):
    """The rules of the module, one by one."""
    assert canonical_bytes(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        {"x": -float("inf")},
        "\ud800",
        {"\ud800": 1},
        {1: 2},
        {None: 2},
        b"bytes",
        {1, 2},
        1j,
        object(),
        10**5000,
        nested(MAX_DEPTH + 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_does_not_have_is_refused(value):
    """Nothing is converted on the way out."""
    with pytest.raises(WireError, match=r"message: .+ found; .+ required; "):
        canonical_bytes(value)


def test_a_list_that_holds_itself_is_refused():
    """Endless nesting ends at the limit."""
    endless: list[object] = []
    endless.append(endless)

    with pytest.raises(WireError, match="nesting deeper"):
        canonical_bytes(endless)


def test_the_limit_of_nesting_is_the_same_in_both_directions():
    """What may be written may be read."""
    value = nested(MAX_DEPTH)

    assert strict_parse(canonical_bytes(value)) == value


def test_the_limit_of_size_is_the_same_in_both_directions():
    """The largest message passes, one byte more does not."""
    assert strict_parse(canonical_bytes("abc", 5), 5) == "abc"
    with pytest.raises(WireError, match="5 bytes were found; at most 4"):
        canonical_bytes("abc", 4)
    with pytest.raises(WireError, match="5 bytes were found; at most 4"):
        strict_parse(b'"abc"', 4)


def test_size_is_checked_before_anything_is_parsed():
    """Garbage of too great a size is told to be too large, not to be garbage."""
    with pytest.raises(WireError, match="at most 3 are allowed"):
        strict_parse(b"[[[[", 3)


def test_a_message_of_nothing_but_lists_is_refused():
    """A few megabytes must not become gigabytes of memory."""
    most = strict_parse(b"[" + b"[]," * (2**20 - 2) + b"[]]")

    assert most == [[]] * (2**20 - 1)
    with pytest.raises(WireError, match="1048577 lists and objects were found"):
        strict_parse(b"[" + b"[]," * (2**20 - 1) + b"[]]")


@pytest.mark.parametrize("data", [b'{"secret": 7', b'["secret\xff"]', b"[1e999]"])
def test_an_error_does_not_carry_the_message_along(data):
    """Parsers' own errors keep the document, which a log may then print."""
    with pytest.raises(WireError) as refused:
        strict_parse(data)

    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None
