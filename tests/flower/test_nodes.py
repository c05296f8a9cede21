"""Which node is which site, and what the in-process grid does with nodes."""

import time

import pytest
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.supercore.task_identity import TaskIdentity

from fedglmm_flower.errors import ExchangeError, PolicyError
from fedglmm_flower.flower.collect import collect
from fedglmm_flower.flower.exchange import Refused, SealedRelease
from fedglmm_flower.flower.in_process import FIRST_NODE, InProcessGrid
from fedglmm_flower.flower.locate import site_file
from fedglmm_flower.flower.records import SUMMARISE
from fedglmm_flower.flower.rollcall import RollCall


def context(node_config=None, run_config=None) -> Context:
    """The context of a node."""
    return Context(
        run_id=1,
        node_id=2,
        node_config=node_config or {},
        state=RecordDict(),
        run_config=run_config or {},
    )


def test_a_deployed_node_names_its_site_file(federation):
    """``site-config`` of the SuperNode is taken as it stands."""
    path = federation.site_file("north")

    assert site_file(context(federation.node("north")), b"") == path


def test_a_simulated_node_takes_the_site_at_its_position(federation):
    """Node i is the i-th of the study's sorted sites."""
    study = federation.study
    for position, site in enumerate(study.sites):
        node = context(
            {"partition-id": position}, {"sites-dir": str(federation.root / "sites")}
        )

        assert site_file(node, study.canonical_bytes) == federation.site_file(site)


@pytest.mark.parametrize(
    ("node_config", "run_config"),
    [
        ({}, {}),
        ({"site-config": "site.toml"}, {}),
        ({"partition-id": 0}, {"sites-dir": ""}),
        ({"partition-id": 4}, {"sites-dir": "/sites"}),
    ],
)
def test_a_node_without_a_site_is_an_error(federation, node_config, run_config):
    """No configuration, a relative path, and more nodes than sites are refused."""
    with pytest.raises(PolicyError):
        site_file(context(node_config, run_config), federation.study.canonical_bytes)


def test_one_reason_for_all_nameless_answers_is_that_of_the_absent_sites():
    """Two crashes and two absent sites: both crashed."""
    roll = RollCall(("a", "b", "c"))
    roll.accept(1, SealedRelease("b", b"x"), {1, 2, 3})
    for node in (2, 3):
        roll.accept(node, Refused(None, "site-crashed", "it crashed"), {1, 2, 3})

    assert {s: r.code for s, r in roll.absent().items()} == {
        "a": "site-crashed",
        "c": "site-crashed",
    }


def test_mixed_reasons_are_not_guessed_at():
    """One crash and two absent sites: which of them crashed is not known."""
    roll = RollCall(("a", "b"))
    roll.accept(1, Refused(None, "site-crashed", "it crashed"), {1})

    assert {r.code for r in roll.absent().values()} == {"site-missing"}


def test_a_site_that_comes_back_replaces_its_refusal_but_not_its_release():
    """The first release stands; a refusal gives way when its node has gone."""
    roll = RollCall(("a", "b"))
    roll.accept(1, SealedRelease("a", b"first"), {1, 2})
    roll.accept(2, Refused("b", "failed", "it failed"), {1, 2})

    assert not roll.accept(3, SealedRelease("a", b"second"), {3, 4})
    assert roll.accept(4, SealedRelease("b", b"new"), {3, 4})
    assert {s: r.sealed for s, r in roll.releases.items()} == {
        "a": b"first",
        "b": b"new",
    }
    assert roll.refusals == {}
    with pytest.raises(ExchangeError):
        roll.accept(5, SealedRelease("b", b"x"), {4, 5})


def test_a_message_that_cannot_be_sent_is_an_error_at_once():
    """Flower drops such a message silently; the loop must not wait for its reply."""

    class Refusing(InProcessGrid):
        def push_messages(self, messages):
            return [None for _ in messages]

    with Refusing(ClientApp(), [{}]) as grid:
        sent = Message(RecordDict(), FIRST_NODE, SUMMARISE)
        (reply,) = collect(grid, [sent], until=time.monotonic() + 5)

    assert reply.has_error()


def test_the_grid_maps_what_an_app_raises_as_flower_does():
    """An app without the handler answers with Flower's error 2."""
    with InProcessGrid(ClientApp(), [{}, {}], silent=[1]) as grid:
        messages = [
            Message(RecordDict(), FIRST_NODE + node, SUMMARISE) for node in (0, 1, 7)
        ]
        replies = list(grid.send_and_receive(messages))

    assert [reply.error.code for reply in replies] == [2, 5]


def test_the_grid_leaves_flowers_identity_as_it_found_it():
    """After the run the process is nobody again, also after an error."""
    before = TaskIdentity._run_id
    with pytest.raises(KeyError), InProcessGrid(ClientApp(), [{}]):
        raise KeyError

    assert TaskIdentity._run_id == before
