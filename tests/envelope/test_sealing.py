"""Sealing: what the bytes show, what they hide, and which errors there are."""

import pickle
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pyhpke import AEADId, CipherSuite, KDFId, KEMId, KEMKey

from fedglmm_flower.envelope import (
    EnvelopeRefusedError,
    Reason,
    read_header,
    seal,
    sealing,
    unseal,
)
from fedglmm_flower.envelope.encryption import open_bytes, seal_bytes
from fedglmm_flower.envelope.framing import frame, unframe
from fedglmm_flower.envelope.wire import MAX_BYTES
from fedglmm_flower.errors import EnvelopeError, UsageError

PAYLOAD = b"Beauty is truth"


def test_a_second_implementation_opens_what_is_sealed(binding, site, coordinator):
    """The documented format suffices to read a message without this package."""
    sealed = seal(PAYLOAD, binding=binding, sender=site, recipient=coordinator.public)
    header, ciphertext = unframe(sealed)
    head = header.to_bytes()
    suite = CipherSuite.new(
        KEMId.DHKEM_X25519_HKDF_SHA256, KDFId.HKDF_SHA256, AEADId.CHACHA20_POLY1305
    )
    key = KEMKey.from_pyca_cryptography_key(coordinator.decryption_key)
    info = b"fedglmm-envelope/1 seal\x00" + head
    context = suite.create_recipient_context(ciphertext[:32], key, info=info)
    content = context.open(ciphertext[32:])

    assert content[64:72] == len(PAYLOAD).to_bytes(8, "big")
    assert content[72:].rstrip(b"\0") == PAYLOAD
    # Raises unless the signature is the site's.
    Ed25519PublicKey.from_public_bytes(site.public.verify).verify(
        content[:64],
        b"fedglmm-envelope/1 sign\x00" + len(head).to_bytes(4, "big") + head + PAYLOAD,
    )


def test_two_sealings_of_one_payload_have_nothing_in_common(binding, site, coordinator):
    """A relay cannot tell that the same release was sent again."""
    one, two = (
        unframe(
            seal(PAYLOAD, binding=binding, sender=site, recipient=coordinator.public)
        )[1]
        for _ in range(2)
    )

    assert one[:32] != two[:32]
    assert one[-16:] != two[-16:]


def test_neither_payload_nor_signing_key_shows(binding, site, coordinator):
    """The bytes in clear are the header; the sender is a digest there."""
    sealed = seal(PAYLOAD, binding=binding, sender=site, recipient=coordinator.public)

    assert PAYLOAD not in sealed
    assert site.public.verify not in sealed


def test_size_tells_only_the_number_of_blocks(binding, site, coordinator):
    """How many digits a release has does not show."""
    none, most, more = (
        len(seal(bytes(n), binding=binding, sender=site, recipient=coordinator.public))
        for n in (0, 4024, 4025)
    )

    assert none == most
    assert more == most + 4096


def test_a_header_can_be_read_without_a_key(binding, site, coordinator):
    """A coordinator with a folder of files learns which run they claim."""
    sealed = seal(PAYLOAD, binding=binding, sender=site, recipient=coordinator.public)
    header = read_header(sealed)

    assert (header.kind, header.study, header.run, header.site) == (
        binding.kind,
        binding.study_digest,
        binding.run_id,
        binding.site,
    )
    assert header.recipient == coordinator.public.encrypt_id
    assert header.sender == site.public.verify_id


def test_a_message_with_something_behind_it_has_no_header(binding, site, coordinator):
    """What is read of a message is read of the whole of it."""
    sealed = seal(PAYLOAD, binding=binding, sender=site, recipient=coordinator.public)

    with pytest.raises(EnvelopeRefusedError) as refused:
        read_header(sealed + b"\0")
    assert refused.value.reason is Reason.ALTERED


def test_the_binding_is_compared_before_anything_is_decrypted(
    binding, site, coordinator
):
    """A message of another run is told to be one even if its ciphertext is broken."""
    sealed = seal(PAYLOAD, binding=binding, sender=site, recipient=coordinator.public)
    broken = sealed[:-1] + bytes([sealed[-1] ^ 1])

    with pytest.raises(EnvelopeRefusedError) as refused:
        unseal(
            broken,
            binding=replace(binding, run_id="run 2"),
            recipient=coordinator,
            sender=site.public,
        )

    assert refused.value.reason is Reason.OTHER_RUN
    assert refused.value.detail == (
        "sealed message, run: 'run 1' was found; 'run 2' is required; "
        "have the message made for this run"
    )


def test_a_recipient_cannot_seal_a_message_on(binding, site, coordinator, stranger):
    """A signature for the coordinator is worth nothing before anybody else."""
    sealed = seal(PAYLOAD, binding=binding, sender=site, recipient=coordinator.public)
    # The coordinator, turned thief, seals to the stranger under the site's key id.
    header = replace(read_header(sealed), recipient=stranger.public.encrypt_id)
    content = open_bytes(
        unframe(sealed)[1],
        coordinator.decryption_key,
        sealing.SEAL_LABEL + read_header(sealed).to_bytes(),
    )
    info = sealing.SEAL_LABEL + header.to_bytes()
    again = frame(header, seal_bytes(content, stranger.public.encrypt, info))

    with pytest.raises(EnvelopeRefusedError) as refused:
        unseal(again, binding=binding, recipient=stranger, sender=site.public)
    assert refused.value.reason is Reason.BAD_SIGNATURE


def test_roles_of_keys_do_not_mix(binding, site, coordinator):
    """A message that names the signing key as recipient is not the recipient's."""
    crossed = replace(coordinator.public, encrypt=site.public.encrypt)
    sealed = seal(PAYLOAD, binding=binding, sender=site, recipient=crossed)

    with pytest.raises(EnvelopeRefusedError) as refused:
        unseal(sealed, binding=binding, recipient=coordinator, sender=site.public)
    assert refused.value.reason is Reason.OTHER_RECIPIENT


def test_too_large_a_message_is_refused_both_ways(
    monkeypatch, binding, site, coordinator
):
    """The limits hold before anything is encrypted, parsed or decrypted."""
    sealed = seal(PAYLOAD, binding=binding, sender=site, recipient=coordinator.public)
    monkeypatch.setattr(sealing, "MAX_BYTES", len(PAYLOAD) - 1)
    monkeypatch.setattr(sealing, "MAX_SEALED", len(sealed) - 1)

    for attempt in (
        lambda: seal(
            PAYLOAD, binding=binding, sender=site, recipient=coordinator.public
        ),
        lambda: unseal(
            sealed, binding=binding, recipient=coordinator, sender=site.public
        ),
        lambda: read_header(sealed),
    ):
        with pytest.raises(EnvelopeRefusedError) as refused:
            attempt()
        assert refused.value.reason is Reason.TOO_LARGE


def test_what_may_be_sealed_may_be_opened():
    """The larger limit leaves room for header, signature and padding."""
    assert sealing.MAX_SEALED >= MAX_BYTES + 22 + 8192 + 72 + 4096 + 48


def test_a_refusal_survives_the_trip_between_processes():
    """Simulations run sites in other processes, and errors come back pickled."""
    error = EnvelopeRefusedError(Reason.OTHER_RUN, "detail")
    again = pickle.loads(pickle.dumps(error))

    assert issubclass(type(again), EnvelopeError)
    assert (again.reason, again.detail, str(again)) == (
        Reason.OTHER_RUN,
        "detail",
        "detail",
    )


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"kind": ["release"]},
        {"study_digest": "0" * 63},
        {"study_digest": "A" * 64},
        {"run_id": ""},
        {"run_id": "a\0"},
        {"site": "a\nb"},
        {"site": "\ud800"},
        {"site": "n" * 201},
        {"site": None},
    ],
    ids=str,
)
def test_a_binding_holds_only_names_and_digests(binding, change):
    """What travels in clear has a form, so that no data can slip in by mistake."""
    with pytest.raises(UsageError, match=r"binding, .+ found; .+ required; "):
        replace(binding, **change)


def test_names_are_compared_code_point_by_code_point(binding, site, coordinator):
    """Two spellings that look alike are two sites."""
    composed, decomposed = (
        replace(binding, site=name) for name in ("Z\u00fcrich", "Zu\u0308rich")
    )
    sealed = seal(PAYLOAD, binding=composed, sender=site, recipient=coordinator.public)

    with pytest.raises(EnvelopeRefusedError) as refused:
        unseal(sealed, binding=decomposed, recipient=coordinator, sender=site.public)
    assert refused.value.reason is Reason.OTHER_SITE
