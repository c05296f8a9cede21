"""``Point`` and ``ReleasedScore`` <-> bytes: ``fedglmm-point/1``, ``fedglmm-score/1``.

Canonical JSON (:mod:`fedglmm_flower.envelope.wire`) of one object each::

    {"format": "fedglmm-point/1", "nodes": 1..200, "number": 1..1000,
     "values": [float, ...]}

    {"format": "fedglmm-score/1", "gradient": [float, ...],
     "information": [float, ...], "n_rows": whole, "point": {"nodes": ...,
     "number": ..., "values": [...]}, "site": name, "software": name,
     "study_digest": 64 hex digits, "value": float}

Every key is required and no other is read, but for the "part" of a point, "kept" or
"held-out", which points of all rows have not.  A point has 1 to 400 values; a score has
a gradient of as many, and an information of d (d + 1) / 2 numbers; that of held-out
rows has neither.  A score is without
noise: no other is ever made.
"""

import math
from typing import Final

from fedglmm_flower.envelope.fields import (
    MAX_WHOLE,
    check_format,
    digest_of,
    fields_of,
    finite_of,
    list_of,
    name_of,
    refuse,
    whole_of,
)
from fedglmm_flower.envelope.wire import MAX_BYTES, canonical_bytes, strict_parse
from fedglmm_flower.site.released import Spent
from fedglmm_flower.site.scored import PARTS, Point, ReleasedScore

POINT_FORMAT: Final = "fedglmm-point/1"
SCORE_FORMAT: Final = "fedglmm-score/1"
MAX_PARAMETERS: Final = 400
MAX_NODES: Final = 200
MAX_NUMBER: Final = 1000
_POINT: Final = ("nodes", "number", "values")
_SCORE: Final = (
    "format",
    "gradient",
    "information",
    "n_rows",
    "point",
    "site",
    "software",
    "study_digest",
    "value",
)


def encode_point(point: Point) -> bytes:
    """
    Write the parameters at which a site is asked.

    Law: ``decode_point(encode_point(p)) == p``.

    Raises
    ------
    WireError
        If a field breaks the module's rules.

    Examples
    --------
    >>> encode_point(Point(1, 1, (0.5,))).decode()
    '{"format":"fedglmm-point/1","nodes":1,"number":1,"values":[0.5]}'
    """
    fields = _plain_point(point)
    _read_point(fields, "point")
    plain = {"format": POINT_FORMAT, **fields}
    return canonical_bytes(plain, where="point")


def decode_point(data: bytes, max_size: int = MAX_BYTES) -> Point:
    """
    Read the parameters at which a site is asked.

    Raises
    ------
    WireError
        If the bytes are not canonical JSON of a known format, or a field breaks the
        module's rules.
    """
    known = check_format(
        strict_parse(data, max_size, where="point"), POINT_FORMAT, "point"
    )
    return _read_point({k: v for k, v in known.items() if k != "format"}, "point")


def encode_score(score: ReleasedScore) -> bytes:
    """
    Write a site's answer at a point; nothing else can be written.

    Leaves the site: the bytes do, after sealing.

    Law: ``decode_score(encode_score(s)) == s``.

    Raises
    ------
    WireError
        If a field breaks the module's rules.
    TypeError
        If given anything but a ``ReleasedScore``.
    """
    if not isinstance(score, ReleasedScore):
        raise TypeError(
            f"only ReleasedScore can be encoded, not {type(score).__name__}"
        )
    plain = {
        "format": SCORE_FORMAT,
        "gradient": list(score.gradient),
        "information": list(score.information),
        "n_rows": score.n_rows,
        "point": _plain_point(score.point),
        "site": score.site,
        "software": score.software,
        "study_digest": score.study_digest,
        "value": score.value,
    }
    if _read_score(plain) != score:
        refuse("score", "a field of another type", "tuples and numbers are")
    return canonical_bytes(plain, where="score")


def decode_score(data: bytes, max_size: int = MAX_BYTES) -> ReleasedScore:
    """
    Read a site's answer at a point.

    Law: ``encode_score(decode_score(b)) == b`` for every ``b`` not refused.

    Raises
    ------
    WireError
        If the bytes are not canonical JSON of a known format, or a field breaks the
        module's rules.  The message quotes no number of the score.
    """
    return _read_score(strict_parse(data, max_size, where="score"))


def _plain_point(point: Point) -> dict[str, object]:
    return {
        "nodes": point.nodes,
        "number": point.number,
        "values": list(point.values),
        # Only where there is one: other points keep their bytes.
        **({"part": point.part} if point.part != "all" else {}),
    }


def _read_point(value: object, where: str) -> Point:
    parted = isinstance(value, dict) and "part" in value
    fields = fields_of(value, (*_POINT, *(["part"] if parted else [])), where)
    part = next((p for p in PARTS[1:] if p == fields.get("part")), PARTS[0])
    if parted and part == PARTS[0]:
        refuse(f"{where}, part", "another part", f"one of {', '.join(PARTS[1:])} is")
    values = _numbers(fields["values"], f"{where}, values")
    if not 1 <= len(values) <= MAX_PARAMETERS:
        required = f"1 to {MAX_PARAMETERS} parameters are"
        refuse(f"{where}, values", f"{len(values)} parameters", required)
    return Point(
        number=whole_of(fields["number"], 1, MAX_NUMBER, f"{where}, number"),
        nodes=whole_of(fields["nodes"], 1, MAX_NODES, f"{where}, nodes"),
        values=values,
        part=part,
    )


def _read_score(message: object) -> ReleasedScore:
    fields = fields_of(
        check_format(message, SCORE_FORMAT, "score"), _SCORE, where="score"
    )
    point = _read_point(fields["point"], "score, point")
    gradient = _numbers(fields["gradient"], "score, gradient")
    information = _numbers(fields["information"], "score, information")
    d = len(point.values) if point.part != "held-out" else 0
    if (len(gradient), len(information)) != (d, d * (d + 1) // 2):
        refuse(
            "score",
            f"a gradient of {len(gradient)} and an information of {len(information)}",
            f"{d} and {d * (d + 1) // 2} numbers for {d} parameters are",
        )
    return ReleasedScore(
        site=name_of(fields["site"], "score, site"),
        study_digest=digest_of(fields["study_digest"], "score, study_digest"),
        point=point,
        n_rows=whole_of(fields["n_rows"], 1, MAX_WHOLE, "score, n_rows"),
        value=finite_of(fields["value"], "score, value"),
        gradient=gradient,
        information=information,
        spent=Spent("none", math.inf, 0.0, "none"),
        software=name_of(fields["software"], "score, software"),
    )


def _numbers(value: object, where: str) -> tuple[float, ...]:
    return tuple(finite_of(number, where) for number in list_of(value, where))
