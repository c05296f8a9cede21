"""Flower records and our types."""

import pytest
from flwr.app import ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from fedglmm_flower.errors import DisclosureError, FedglmmError, WireError
from fedglmm_flower.flower.exchange import (
    UNREADABLE,
    Delivery,
    Received,
    Refused,
    Reply,
    Request,
    SealedRelease,
    refusal,
)
from fedglmm_flower.flower.records import (
    SUMMARISE,
    delivery_content,
    read_delivery,
    read_reply,
    read_request,
    reply_content,
    request_content,
)

REPLIES: list[Reply] = [
    SealedRelease("north", b"\x00\xff"),
    Received("St. Mary/West"),
    Refused("north", "site-empty", "the site has no complete rows"),
    Refused(None, "policy-invalid", "the site's configuration is not valid"),
]


@pytest.fixture
def asked(monkeypatch) -> Message:
    """A message that a reply can answer."""
    for name in ("_run_id", "_node_id", "_task_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)
    return Message(RecordDict(), 1001, SUMMARISE)


def answer(asked: Message, **record) -> Message:
    """A reply whose record holds these values."""
    content = RecordDict({"reply": ConfigRecord(record)})
    return Message(content, reply_to=asked)


@pytest.mark.parametrize("reply", REPLIES)
def test_reading_inverts_writing_a_reply(asked, reply):
    """Every reply that a site can give is understood as it was meant."""
    assert read_reply(Message(reply_content(reply), reply_to=asked)) == reply


def test_reading_inverts_writing_a_request_and_a_delivery():
    """Both directions of the coordinator's messages."""
    request, delivery = Request(b"{}", "r", "k"), Delivery("d", "r", b"s")

    assert read_request(request_content(request)) == request
    assert read_delivery(delivery_content(delivery)) == delivery


@pytest.mark.parametrize(
    "record",
    [
        {"status": "Released", "site": "north", "sealed": b"x"},
        {"status": "ok", "site": "north"},
        {"status": "released", "site": "north"},
        {"status": "released", "site": "north", "sealed": "text"},
        {"status": "received", "site": ""},
        {"status": 1},
        {},
    ],
)
def test_a_reply_of_unknown_status_or_shape_is_a_refusal(asked, record):
    """Nothing is taken for a release because it is spelled like one."""
    assert read_reply(answer(asked, **record)) == UNREADABLE


def test_a_reply_with_other_records_is_a_refusal(asked):
    """Not even a release is read beside a record that does not belong there."""
    content = reply_content(REPLIES[0])
    content["metrics"] = MetricRecord({"loss": 1.0})

    assert read_reply(Message(content, reply_to=asked)) == UNREADABLE


@pytest.mark.parametrize("text", ["", "two\nlines", "\x1b[31m", "x" * 201])
def test_a_refusal_with_strange_text_keeps_only_its_site(asked, text):
    """What a site sends is shown to people, so only plain sentences are let through."""
    reply = read_reply(
        answer(asked, status="refused", site="north", code="failed", public=text)
    )

    assert isinstance(reply, Refused)
    assert reply.code == UNREADABLE.code


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (0, "site-crashed"),
        (1, "app-unusable"),
        (2, "site-crashed"),
        (5, "node-unavailable"),
        (8, "site-crashed"),
        (99, "site-crashed"),
    ],
)
def test_an_error_of_flower_becomes_a_code_without_its_reason(asked, code, meaning):
    """Flower's reason may quote an exception; the code is enough."""
    reply = read_reply(Message(Error(code, "secret"), reply_to=asked))

    assert isinstance(reply, Refused)
    assert reply.code == meaning
    assert "secret" not in repr(reply)


def test_a_request_of_another_shape_is_refused():
    """The site does not guess what it is asked."""
    content = request_content(Request(b"{}", "r", "k"))
    del content["request"]["run-id"]

    with pytest.raises(WireError, match="'run-id'"):
        read_request(content)


def test_every_error_has_words_for_outside():
    """Each class's code and sentence pass the coordinator's own check of refusals."""
    classes = [FedglmmError]
    for known in classes:
        classes += known.__subclasses__()
    for known in classes:
        said = Refused("north", known.code, known.public)
        record = reply_content(said)["reply"]

        assert record["code"] == known.code
        assert known.code.replace("-", "").isalnum()
        assert 1 <= len(known.public) <= 200
        assert known.public.isascii()


def test_a_refusal_tells_the_class_and_not_the_message():
    """The detail stays where the error was raised."""
    error = DisclosureError("level 'II': 3 rows")

    assert refusal(error, "north") == Refused(
        "north", "disclosure-refused", DisclosureError.public
    )
    assert refusal(KeyError("4711"), None) == Refused(
        None, "failed", FedglmmError.public
    )
