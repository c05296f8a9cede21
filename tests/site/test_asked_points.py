"""A study's points: each counts once, no more than it allows, and before the answer."""

import stat

import pytest

from fedglmm_flower.errors import DisclosureError, PolicyError
from fedglmm_flower.site.asked_points import AskedPoints

STUDY, POINTS = "a" * 64, ["1" * 64, "2" * 64, "3" * 64]


@pytest.fixture
def asked(tmp_path):
    """A record in a folder that is not there yet."""
    return AskedPoints(tmp_path / "site" / "points")


def test_a_point_counts_once(asked):
    """One that is asked again costs nothing; another study has its own count."""
    assert asked.count(STUDY) == 0
    for point in (POINTS[0], POINTS[0], POINTS[1], POINTS[0]):
        asked.admit(STUDY, point, most=2)

    assert asked.count(STUDY) == 2
    assert asked.count("b" * 64) == 0
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in asked.folder.iterdir()}
    assert modes == {f"{STUDY}.json": 0o600}


def test_no_more_than_the_study_allows(asked):
    """The refused point is not entered, and those before are answered still."""
    for point in POINTS[:2]:
        asked.admit(STUDY, point, most=2)
    with pytest.raises(DisclosureError, match="the study allows 2"):
        asked.admit(STUDY, POINTS[2], most=2)

    assert asked.count(STUDY) == 2
    asked.admit(STUDY, POINTS[1], most=2)


@pytest.mark.parametrize("text", ["", "{", "3", '{"a": 1}', "[1]", "[null]"])
def test_a_damaged_record_stops_every_answer(asked, text):
    """A count that is not known is not taken for nought."""
    asked.folder.mkdir(parents=True)
    (asked.folder / f"{STUDY}.json").write_text(text, encoding="ascii")
    with pytest.raises(PolicyError, match="restore the file from a backup"):
        asked.admit(STUDY, POINTS[0], most=5)


def test_a_record_out_of_reach_stops_the_answer(tmp_path):
    """A count that cannot be read is not nought."""
    (tmp_path / "file").write_text("", encoding="ascii")
    with pytest.raises(PolicyError, match="answered before must be known"):
        AskedPoints(tmp_path / "file" / "points").admit(STUDY, POINTS[0], most=5)
