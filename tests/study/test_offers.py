"""What a study accepts: sets in order of preference."""

from dataclasses import replace

import pytest

from fedglmm_flower.errors import StudyError
from fedglmm_flower.study import parse_study, read_study, write_study
from fedglmm_flower.study.offers import ladder
from fedglmm_flower.study.release import MAX_ORDER
from tests.study.test_study_file import GUSTO

LISTED = replace(
    GUSTO,
    release_set="anchored",
    order=2,
    accept=(("anchored", 2), ("canonical", 4)),
)


def test_a_list_travels_and_is_read_back(tmp_path):
    """A study that lists its sets says so in file and bytes alike."""
    write_study(LISTED, tmp_path / "study.toml")

    assert parse_study(LISTED.canonical_bytes) == LISTED
    assert read_study(tmp_path / "study.toml") == LISTED
    assert LISTED.offers == (("anchored", 2), ("canonical", 4))
    assert LISTED.digest != GUSTO.digest


def test_the_usual_list_is_no_list():
    """One study has one form: what may stand in for a set need not be written out."""
    asked = replace(GUSTO, release_set="anchored", order=2)

    assert replace(asked, accept=ladder("anchored", 2)) == asked
    assert parse_study(asked.canonical_bytes) == asked


@pytest.mark.parametrize(
    "change",
    [
        {"accept": (("canonical", 3),)},
        {"accept": (("canonical", 4), ("canonical", 4))},
        {"release_set": "newest"},
        {"order": MAX_ORDER + 1},
        {"family": "gaussian", "method": "reml", "link": "identity"}
        | {"release_set": "anchored"},
    ],
    ids=str,
)
def test_a_list_that_contradicts_is_refused(change):
    """Repetitions, unknown sets and two beginnings end in one sentence."""
    with pytest.raises(StudyError):
        replace(GUSTO, **change)


@pytest.mark.parametrize(
    "release",
    [
        'accept = ["anchored:7"]',
        'accept = ["anchored"]',
        'accept = ["anchored:2", "anchored:2"]',
        'accept = ["anchored:2"]\norder = 2',
    ],
)
def test_a_file_with_a_faulty_list_is_refused(release, tmp_path):
    """What cannot be meant is not guessed."""
    path = tmp_path / "study.toml"
    write_study(GUSTO, path)
    lines = path.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("accept"))
    lines[at] = release
    path.write_text("\n".join(lines))

    with pytest.raises(StudyError, match=r"release|acceptable"):
        read_study(path)
