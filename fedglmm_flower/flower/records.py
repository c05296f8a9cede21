"""How Flower records say what is said in the one round.

Every message holds one ``ConfigRecord`` of text and bytes with kebab-case keys::

    query.summarise       "request"   study, run-id, coordinator-key, [manifest]
                          "reply"     status = released, site, sealed
    query.score           "request"   as above, sealed
                          "reply"     status = released, site, sealed
    query.receive_result  "delivery"  study-digest, run-id, sealed
                          "reply"     status = received, site
    either                "reply"     status = refused, [site], code, public

A reply of another shape is a refusal.
"""

import re
from typing import TypeVar

from flwr.app import ConfigRecord, Message, RecordDict

from fedglmm_flower.errors import WireError
from fedglmm_flower.flower.exchange import (
    UNREADABLE,
    Delivery,
    Received,
    Refused,
    Reply,
    Request,
    ScoreRequest,
    SealedRelease,
)

SUMMARISE = "query.summarise"
SCORE = "query.score"
RECEIVE_RESULT = "query.receive_result"

Value = TypeVar("Value", str, bytes)


# Flower's own error codes, by what they mean for an analysis.  The reason that Flower
# sends along is never read: it may quote an exception.
_CRASHED = Refused(None, "site-crashed", "the site's app ended without an answer")
_GONE = Refused(None, "node-unavailable", "the site's node went away")
_UNLOADED = Refused(None, "app-unusable", "the site's node could not load the app")
_FLOWER_ERRORS = {1: _UNLOADED, 3: _GONE, 4: _GONE, 5: _GONE, 7: _UNLOADED}
_CODE = re.compile(r"[a-z][a-z0-9-]{0,63}")
_PUBLIC = re.compile(r"[ -~]{1,200}")


def request_content(request: Request) -> RecordDict:
    """``query.summarise`` as a record."""
    record = ConfigRecord(
        {
            "study": request.study,
            "run-id": request.run_id,
            "coordinator-key": request.coordinator_key,
        }
    )
    if request.manifest:
        record["manifest"] = request.manifest
    return RecordDict({"request": record})


def read_request(content: RecordDict) -> Request:
    """``query.summarise`` from a record; WireError if it is not one."""
    return _request_of(_record(content, "request"))


def score_content(asked: ScoreRequest) -> RecordDict:
    """``query.score`` as a record."""
    content = request_content(asked.request)
    content.config_records["request"]["sealed"] = asked.sealed
    return content


def read_score_request(content: RecordDict) -> ScoreRequest:
    """``query.score`` from a record; WireError if it is not one."""
    record = _record(content, "request")
    return ScoreRequest(_request_of(record), _field(record, "sealed", bytes))


def _request_of(record: ConfigRecord) -> Request:
    return Request(
        study=_field(record, "study", bytes),
        run_id=_field(record, "run-id", str),
        coordinator_key=_field(record, "coordinator-key", str),
        manifest=_field(record, "manifest", bytes) if "manifest" in record else b"",
    )


def delivery_content(delivery: Delivery) -> RecordDict:
    """``query.receive_result`` as a record."""
    record = ConfigRecord(
        {
            "study-digest": delivery.study_digest,
            "run-id": delivery.run_id,
            "sealed": delivery.sealed,
        }
    )
    return RecordDict({"delivery": record})


def read_delivery(content: RecordDict) -> Delivery:
    """``query.receive_result`` from a record; WireError if it is not one."""
    record = _record(content, "delivery")
    return Delivery(
        study_digest=_field(record, "study-digest", str),
        run_id=_field(record, "run-id", str),
        sealed=_field(record, "sealed", bytes),
    )


def reply_content(reply: Reply) -> RecordDict:
    """A site's reply as a record: everything that leaves a site passes here."""
    record: ConfigRecord
    match reply:
        case SealedRelease(site, sealed):
            record = ConfigRecord({"status": "released", "site": site})
            record["sealed"] = sealed
        case Received(site):
            record = ConfigRecord({"status": "received", "site": site})
        case Refused(site, code, public):
            record = ConfigRecord({"status": "refused", "code": code, "public": public})
            if site is not None:
                record["site"] = site
    return RecordDict({"reply": record})


def read_reply(message: Message) -> Reply:
    """
    A site's reply from a message, whatever the message is.

    Parameters
    ----------
    message : Message
        A reply with content, or one of Flower's errors.

    Returns
    -------
    SealedRelease, Received or Refused
        An error, another shape or an unknown status is a refusal.
    """
    if message.has_error():
        return _FLOWER_ERRORS.get(message.error.code, _CRASHED)
    try:
        record = _record(message.content, "reply")
        status = _field(record, "status", str)
        if status == "released":
            return SealedRelease(
                _field(record, "site", str), _field(record, "sealed", bytes)
            )
        if status == "received":
            return Received(_field(record, "site", str))
        if status == "refused":
            return _refused(record)
    except WireError:
        pass
    return UNREADABLE


def _refused(record: ConfigRecord) -> Refused:
    site = _field(record, "site", str) if "site" in record else None
    code, public = _field(record, "code", str), _field(record, "public", str)
    if not _CODE.fullmatch(code) or not _PUBLIC.fullmatch(public):
        return Refused(site, UNREADABLE.code, UNREADABLE.public)
    return Refused(site, code, public)


def _record(content: RecordDict, key: str) -> ConfigRecord:
    if list(content) != [key] or not isinstance(content[key], ConfigRecord):
        raise WireError(
            f"message: records {sorted(content)} were found; the one record {key!r} "
            "is required; both sides must run the same version"
        )
    return content.config_records[key]


def _field(record: ConfigRecord, key: str, kind: type[Value]) -> Value:
    value = record.get(key)
    if not isinstance(value, kind) or not value:
        raise WireError(
            f"message, {key!r}: {type(value).__name__} was found; non-empty "
            f"{kind.__name__} is required; both sides must run the same version"
        )
    return value
