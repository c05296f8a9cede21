"""Sealed releases: only what is right in every respect is used."""

import pickle
from dataclasses import replace
from typing import Any

import pytest

from fedglmm_flower.coordinator.opening import (
    Refusal,
    open_releases,
    require_quorum,
)
from fedglmm_flower.envelope import Binding, new_identity
from fedglmm_flower.errors import AllRefusedError, QuorumError
from tests.coordinator.questions import (
    RUN,
    SITES,
    consortium,
    released_of,
    study_of,
    table_of,
)

GATE = Refusal("disclosure-refused", "this site's disclosure policy refused")
EMPTY = Refusal("site-empty", "the site has no complete rows")
BAD = Refusal("data-invalid", "the site's table does not agree")
GONE = Refusal("site-missing", "the site did not answer")


@pytest.fixture
def small(rng):
    """Four sites with keys, and what they have sealed."""
    study = study_of("y ~ a + f + (1 | site)", "binomial", order=2)
    return consortium(study, table_of("binomial", rng))


def opened(small, sealed):
    """Open with the keys of the consortium."""
    return open_releases(
        small.study,
        sealed,
        run_id=RUN,
        identity=small.coordinator,
        publics=small.publics,
    )


def reason(small, message, site="north"):
    """Why one message is refused; the other three sites are used."""
    sealed = {**small.all_sealed(), site: message}
    used, refused = opened(small, sealed)
    assert sorted(used) == [s for s in SITES if s != site]
    assert list(refused) == [site]
    return refused[site]


def test_good_releases_are_opened_in_sorted_order(small):
    """Every site's sums arrive as it released them, however the mapping is sorted."""
    sealed = dict(reversed(small.all_sealed().items()))

    used, refused = opened(small, sealed)

    assert list(used) == sorted(SITES)
    assert refused == {}
    for site, one in used.items():
        assert one.released == released_of(small.study, small.frame, site)
        assert one.bytes_sent == len(sealed[site])


def test_a_flipped_byte_is_refused_wherever_it_is(small):
    """Header, ciphertext and end: a changed byte is never used."""
    message = small.sealed("north")
    for at in (0, len(message) // 3, len(message) // 2, len(message) - 1):
        altered = bytearray(message)
        altered[at] ^= 1
        assert reason(small, bytes(altered)).code == "envelope-invalid"


def test_noise_and_nothing_are_refused(small):
    """Bytes that are no envelope are refused without an exception of another kind."""
    for message in (b"", b"\x00" * 200, b"{}", pickle.dumps([1])):
        assert reason(small, message).code == "envelope-invalid"


def test_a_foreign_signer_is_refused(small):
    """A release signed by anybody but the pinned site is refused."""
    for sender in (new_identity("north"), small.identities["south"]):
        found = reason(small, small.sealed("north", sender=sender))
        assert found.code == "envelope-invalid"


def test_a_message_for_another_key_is_refused(small):
    """What was sealed for another coordinator cannot be opened."""
    coordinator, small.coordinator = small.coordinator, new_identity("other")
    message = small.sealed("north")
    small.coordinator = coordinator

    assert reason(small, message).code == "envelope-invalid"


@pytest.mark.parametrize("field", ["kind", "study_digest", "run_id", "site"])
def test_a_message_of_another_occasion_is_refused(small, field):
    """A replay from another study, run or site, or of another kind, is refused."""
    other: Any = {
        "kind": "result",
        "study_digest": "0" * 64,
        "run_id": "run-2",
        "site": "south",
    }[field]
    right: Any = Binding("release", small.study.digest, RUN, "north")
    message = small.sealed("north", binding=replace(right, **{field: other}))

    assert reason(small, message).code == "envelope-invalid"


@pytest.mark.parametrize(
    "change",
    [
        {"site": "south"},
        {"study_digest": "0" * 64},
        {"release_set": "joint"},
        {"order": 3},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_release_that_contradicts_its_seal_is_refused(small, change):
    """A pinned site that answers another question is refused, not misread."""
    honest = released_of(small.study, small.frame, "north")
    message = small.sealed("north", released=replace(honest, **change))

    assert reason(small, message).code == "wire-invalid"


def test_clusters_and_wrong_lengths_are_refused(small):
    """One summary a site with the study's number of values, and nothing else."""
    honest = released_of(small.study, small.frame, "north")
    whole = honest.clusters[0]
    for clusters in (
        (whole, replace(whole, cluster=("c",))),
        (replace(whole, cluster=("c",)),),
        (replace(whole, values=whole.values[1:]),),
        (replace(whole, n_rows=None),),
    ):
        message = small.sealed("north", released=replace(honest, clusters=clusters))
        assert reason(small, message).code == "wire-invalid"


def test_a_lower_order_is_accepted(small):
    """A gate may lower the order; the sums are read at the order that was sent."""
    lower = released_of(small.study, small.frame, "north", order=1)

    used, refused = opened(small, {"north": small.sealed("north", released=lower)})

    assert refused == {}
    assert used["north"].released.order == 1
    assert all(sum(map(bool, m)) <= 1 for m in used["north"].targets[0].moments)


def test_unexpected_sites_are_refused(small):
    """A site that the study does not expect, or without pinned key, is not opened."""
    message = small.sealed("north")
    _, refused = opened(small, {"stranger": message})
    assert refused["stranger"].code == "envelope-invalid"

    del small.identities["north"]
    _, refused = opened(small, {"north": message})
    assert refused["north"].code == "envelope-invalid"


def quorum(small, answered, refusals, needed=None):
    """Check the quorum after some sites answered."""
    used, _ = opened(small, {s: small.sealed(s) for s in answered})
    require_quorum(small.study, used, refusals, needed)


def test_all_sites_make_a_quorum(small):
    """Nothing is missing: nothing is said."""
    quorum(small, SITES, {})


def test_sites_that_the_gate_refuses_are_not_waited_for(small):
    """By default every site that the gate lets through is required."""
    quorum(small, ["east", "north"], {"south": GATE, "west": EMPTY})


@pytest.mark.parametrize("cause", [BAD, GONE])
def test_other_absences_break_the_default_quorum(small, cause):
    """A site with bad data, or silent, is not quietly left out."""
    with pytest.raises(QuorumError, match=r"3 of 4 sites.*4 are required.*'west'"):
        quorum(small, ["east", "north", "south"], {"west": cause})


def test_at_least_two_sites_by_default(small):
    """One site alone is no federation unless asked for."""
    refusals = dict.fromkeys(("north", "south", "west"), GATE)
    with pytest.raises(QuorumError, match="2 are required"):
        quorum(small, ["east"], refusals)
    quorum(small, ["east"], refusals, needed=1)


def test_a_named_quorum_counts_sites_whatever_the_cause(small):
    """With --quorum, causes do not matter; the number does."""
    quorum(small, ["east", "north"], {"south": BAD, "west": GONE}, needed=2)
    with pytest.raises(QuorumError, match="3 are required"):
        quorum(small, ["east", "north"], {"south": BAD, "west": GATE}, needed=3)


def test_every_site_refused_is_an_error_of_its_own(small):
    """All refused: exit status 3, and each cause is named."""
    refusals = dict.fromkeys(SITES, GATE)
    with pytest.raises(AllRefusedError, match="all 4 sites refused") as caught:
        quorum(small, [], refusals)
    assert caught.value.exit_status == 3
    for site in SITES:
        assert site in str(caught.value)


def test_nobody_answering_is_no_refusal(small):
    """A silent consortium did not reach the quorum: exit status 5."""
    with pytest.raises(QuorumError) as caught:
        quorum(small, [], {"east": GATE, "west": GONE}, needed=0)
    assert caught.value.exit_status == 5


def test_public_sentences_hold_no_data(small):
    """What is written of a refusal is a fixed code and a fixed sentence."""
    honest = released_of(small.study, small.frame, "north")
    cluster = replace(honest.clusters[0], values=honest.clusters[0].values[1:])
    message = small.sealed("north", released=replace(honest, clusters=(cluster,)))

    found = reason(small, message)

    assert not any(c.isdigit() for c in found.code + found.public)
