"""Ten thousand mutated envelopes: none is accepted, and none raises but a refusal."""

import random
import struct
from collections import Counter

from fedglmm_flower.envelope import (
    Binding,
    EnvelopeRefusedError,
    Reason,
    new_identity,
    seal,
    unseal,
)

MUTANTS = 10_000
SITE, COORDINATOR = new_identity("site a"), new_identity("coordinator")
BINDING = Binding("release", "01" * 32, "run 1", "site a", "23" * 32)
PREFIX = 22


def sealed(payload: bytes) -> bytes:
    """A message from the site to the coordinator."""
    return seal(payload, binding=BINDING, sender=SITE, recipient=COORDINATOR.public)


ONE, OTHER = sealed(b"one"), sealed(b"other")
BODY = PREFIX + int.from_bytes(ONE[10:14], "big")


def flip(data: bytearray, rng: random.Random) -> None:
    """One to eight bits."""
    for _ in range(rng.randint(1, 8)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def flip_after_header(data: bytearray, rng: random.Random) -> None:
    """A bit where only the cipher can notice."""
    data[rng.randrange(BODY, len(data))] ^= 1 << rng.randrange(8)


def overwrite(data: bytearray, rng: random.Random) -> None:
    """A stretch of random bytes."""
    at = rng.randrange(len(data))
    new = rng.randbytes(rng.randint(1, 64))
    data[at : at + len(new)] = new


def cut(data: bytearray, rng: random.Random) -> None:
    """A stretch taken out, the sizes left or corrected."""
    at = rng.randrange(BODY, len(data))
    del data[at : at + rng.randint(1, 64)]
    if rng.random() < 0.5:
        data[14:22] = struct.pack(">Q", len(data) - BODY)


def insert(data: bytearray, rng: random.Random) -> None:
    """A stretch put in, the sizes left or corrected."""
    at = rng.randrange(BODY, len(data) + 1)
    data[at:at] = rng.randbytes(rng.randint(1, 64))
    if rng.random() < 0.5:
        data[14:22] = struct.pack(">Q", len(data) - BODY)


def exchange(data: bytearray, rng: random.Random) -> None:
    """Two stretches of the ciphertext in each other's place."""
    size = rng.choice([1, 16, 64])
    a, b = sorted(rng.sample(range(BODY, len(data) - 2 * size), 2))
    if b - a >= size:
        first, second = data[a : a + size], data[b : b + size]
        data[a : a + size], data[b : b + size] = second, first


def splice(data: bytearray, rng: random.Random) -> None:
    """The tail of another good message."""
    at = rng.randrange(BODY, len(data))
    data[at:] = OTHER[at:]


def change_header(data: bytearray, rng: random.Random) -> None:
    """A digit or letter of the header for another, so that it is still JSON."""
    places = [at for at in range(PREFIX, BODY) if chr(data[at]).isalnum()]
    data[rng.choice(places)] = ord(rng.choice("0123456789abcdef"))


def resize(data: bytearray, rng: random.Random) -> None:
    """Other sizes than the message has."""
    data[10:22] = rng.randbytes(12) if rng.random() < 0.5 else bytes(12)


MUTATIONS = (
    flip,
    flip_after_header,
    overwrite,
    cut,
    insert,
    exchange,
    splice,
    change_header,
    resize,
)


def test_no_mutant_is_accepted():
    """What is not byte for byte a message that was sealed is refused."""
    rng = random.Random(20261121)
    reasons: Counter[Reason] = Counter()
    accepted = []
    made = 0
    while made < MUTANTS:
        data = bytearray(ONE)
        mutation = rng.choice(MUTATIONS)
        mutation(data, rng)
        if bytes(data) in {ONE, OTHER}:
            continue
        made += 1
        try:
            unseal(
                bytes(data),
                binding=BINDING,
                recipient=COORDINATOR,
                sender=SITE.public,
            )
        except EnvelopeRefusedError as refused:
            reasons[refused.reason] += 1
        else:
            accepted.append(mutation.__name__)

    assert accepted == []
    # The mutants reach the checks in every layer, not only the first of them.
    assert reasons[Reason.ALTERED] > MUTANTS // 3
    assert set(reasons) >= {
        Reason.NOT_AN_ENVELOPE,
        Reason.TRUNCATED,
        Reason.VERSION,
        Reason.OTHER_STUDY,
        Reason.OTHER_MANIFEST,
        Reason.OTHER_RECIPIENT,
        Reason.OTHER_SENDER,
    }


def test_the_unchanged_messages_open():
    """The law above is about changes."""
    for data, payload in ((ONE, b"one"), (OTHER, b"other")):
        assert payload == unseal(
            data, binding=BINDING, recipient=COORDINATOR, sender=SITE.public
        )
