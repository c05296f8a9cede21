"""A site reads no study that it has not approved."""

import pytest

from fedglmm_flower.errors import StudyMismatchError
from fedglmm_flower.flower import site_desk
from fedglmm_flower.flower.configured_desk import desk_of
from fedglmm_flower.flower.exchange import Request


def test_nothing_unapproved_is_parsed(federation, monkeypatch):
    """The digest of the bytes decides before anything of them is read."""

    def unreachable(data):
        raise AssertionError(data)

    monkeypatch.setattr(site_desk, "parse_study", unreachable)
    desk = desk_of(federation.site_file("east"))
    hostile = federation.study.canonical_bytes.replace(b"(1", b"I(x**9**9**9) + (1")
    with pytest.raises(StudyMismatchError, match="is not approved here"):
        desk.summarise(Request(hostile, "run", "0" * 64))
