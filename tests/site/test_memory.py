"""What a site has answered: entered once, under a lock, the owner's alone."""

import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest

from fedglmm_flower.errors import (
    DisclosureError,
    FedglmmError,
    PolicyError,
    SnapshotError,
    StorageError,
)
from fedglmm_flower.site.differencing import differencing
from fedglmm_flower.site.memory import SiteMemory
from fedglmm_flower.site.row_sets import RowSets

STUDY, OTHER = "a" * 64, "b" * 64
ONE, TWO = "1" * 64, "2" * 64
POINTS = ["3" * 64, "4" * 64, "5" * 64]
ROWS = RowSets(np.arange(100))


@pytest.fixture
def memory(tmp_path):
    """A memory in a folder that is not there yet."""
    return SiteMemory(tmp_path / "site" / "snapshots")


def accept(_before, _rows):
    """No answer tells of another."""


def without(place):
    """All rows but one."""
    return RowSets(np.delete(np.arange(100), place))


def at_once(acts):
    """What each ended with, all of them started together."""
    start = threading.Barrier(len(acts))

    def run(act):
        start.wait()
        try:
            act()
        except FedglmmError as error:
            return error.code
        return "done"

    with ThreadPoolExecutor(len(acts)) as pool:
        return sorted(pool.map(run, acts))


def test_the_first_snapshot_stays(memory):
    """The same may be entered again, another is refused, and looking makes nothing."""
    memory.require_same(STUDY, ONE)
    assert memory.snapshot_of(STUDY) is None
    assert not memory.folder.exists()
    memory.enter(STUDY, ONE, [ROWS], accept)
    memory.enter(STUDY, ONE, [ROWS], accept)
    with pytest.raises(SnapshotError, match="approve its digest"):
        memory.enter(STUDY, TWO, [ROWS], accept)
    with pytest.raises(SnapshotError, match="approve its digest"):
        memory.require_same(STUDY, TWO)

    assert memory.snapshot_of(STUDY) == ONE
    assert memory.snapshot_of(OTHER) is None
    assert len(memory.answers()) == 1


def test_secret_and_record_are_the_owners_alone(memory):
    """The secret is made once, and each site has its own."""
    key = memory.key()
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in memory.folder.iterdir()}

    assert modes == {"memory.sqlite": 0o600}
    assert stat.S_IMODE(memory.folder.stat().st_mode) == 0o700
    assert len(key) == 32
    assert memory.key() == key
    assert SiteMemory(memory.folder.with_name("other")).key() != key


def test_of_many_first_answers_at_once_one_is_entered(memory):
    """Two nodes of one site may be asked at the same time."""
    found = at_once(
        [lambda n=n: memory.enter(STUDY, f"{n}" * 64, [ROWS], accept) for n in range(8)]
    )

    assert found == ["data-changed"] * 7 + ["done"]
    assert [one.study for one in memory.answers()] == [STUDY]


def test_of_two_studies_at_once_the_second_is_compared(memory):
    """Whichever is second: its sums less the first ones' are one patient's."""

    def act(n):
        study = f"{n}" * 64

        def judge(before, rows):
            found = differencing(before, study, rows, 5, 5)
            if not found.passed:
                raise DisclosureError(found.detail)

        memory.enter(study, ONE, [without(n)], judge)

    found = at_once([lambda n=n: act(n) for n in range(6)])

    assert found == ["disclosure-refused"] * 5 + ["done"]
    assert len(memory.answers()) == 1


def test_a_refused_answer_leaves_nothing(memory):
    """Neither its rows nor its snapshot: the table may still be corrected."""
    memory.key()

    def refuse(_before, _rows):
        raise DisclosureError("refused")

    with pytest.raises(DisclosureError):
        memory.enter(STUDY, ONE, [ROWS], refuse)
    assert memory.snapshot_of(STUDY) is None
    assert memory.answers() == ()


def test_a_point_counts_once(memory):
    """One that is asked again costs nothing; another study has its own count."""
    assert memory.points(STUDY) == 0
    for point in (POINTS[0], POINTS[0], POINTS[1], POINTS[0]):
        memory.admit(STUDY, point, most=2)
    with pytest.raises(DisclosureError, match="the study allows 2"):
        memory.admit(STUDY, POINTS[2], most=2)
    memory.admit(STUDY, POINTS[1], most=2)

    assert memory.points(STUDY) == 2
    assert memory.points(OTHER) == 0


def test_points_at_once_are_no_more_than_a_study_allows(memory):
    """Runs that go on side by side share one count."""
    found = at_once(
        [lambda n=n: memory.admit(STUDY, f"{n}" * 64, most=3) for n in range(8)]
    )

    assert found == ["disclosure-refused"] * 5 + ["done"] * 3
    assert memory.points(STUDY) == 3


def test_numbers_add_up_over_all_rounds(memory):
    """Of the one round, every point and other studies; what was told is told again."""
    memory.enter(STUDY, ONE, [ROWS], accept, numbers=25)
    memory.enter(STUDY, ONE, [ROWS], accept, numbers=25)
    memory.enter(OTHER, ONE, [ROWS], accept, numbers=15)
    ask = {"most": 9, "numbers": 30, "allowed": 100}
    for point in POINTS[:2]:
        memory.admit(STUDY, point, **ask)
    with pytest.raises(DisclosureError, match=r"100 numbers were told .* 30 more"):
        memory.admit(STUDY, POINTS[2], **ask)
    memory.admit(STUDY, POINTS[0], **ask)

    assert memory.points(STUDY) == 2


def test_versions_of_a_policy_only_go_on(memory):
    """Set back by one or two, altered or removed: the last one in force is missed."""
    one, two, three, other = ("6" * 64, "7" * 64, "8" * 64, "9" * 64)
    memory.hold_policy([])
    assert not memory.folder.exists()
    for versions in ([one], [one, two], [one, two], [one, two, three]):
        memory.hold_policy(versions)
    for versions in ([], [one], [one, two], [one, two, other], [other] * 4):
        with pytest.raises(PolicyError, match=r"version 3 of the policy was in force"):
            memory.hold_policy(versions)

    assert memory.policy() == (3, three)


@pytest.mark.parametrize("damage", [b"", b"no database", "cut"])
def test_a_damaged_file_stops_every_answer(memory, damage):
    """What was answered is never guessed, nor taken for nought."""
    memory.enter(STUDY, ONE, [ROWS], accept)
    whole = memory.path.read_bytes()
    memory.path.write_bytes(whole[:5000] if damage == "cut" else damage)
    for act in (memory.key, memory.answers, lambda: memory.points(STUDY)):
        with pytest.raises(StorageError, match="restore it"):
            act()


def test_what_stands_in_the_way_is_told_with_its_cure(memory, monkeypatch):
    """Another process, another version, a file for all: each has a cure of its own."""
    monkeypatch.setattr("fedglmm_flower.site.own_database._WAIT", 0.01)
    memory.key()
    with closing(sqlite3.connect(memory.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match=r"locked.*another process has held it"):
            memory.key()
        other.execute("ROLLBACK")
        other.execute("DROP TABLE secret")
    with pytest.raises(StorageError, match=r"no such table.*another version"):
        memory.key()
    memory.path.chmod(0o640)
    with pytest.raises(StorageError, match=r"mode 600 is required; chmod 600 memory"):
        memory.key()


def test_a_link_to_nothing_is_no_missing_memory(memory):
    """As where a disk is not mounted: nothing new is begun."""
    memory.folder.mkdir(parents=True)
    memory.path.symlink_to(memory.folder / "elsewhere.sqlite")
    for act in (memory.key, memory.policy, memory.extent):
        with pytest.raises(StorageError, match=r"No such file.*restore it"):
            act()


def test_a_journal_without_its_memory_is_no_beginning(memory):
    """What was cut off while it was written was there: nothing new is begun."""
    memory.folder.mkdir(parents=True)
    (memory.folder / "memory.sqlite-journal").write_bytes(b"torn")
    with pytest.raises(StorageError, match=r"memory\.sqlite-journal, which belongs"):
        memory.key()
    assert not memory.path.exists()


def test_a_folder_that_cannot_be_made_is_told(memory):
    """Nothing is answered that could not be recorded."""
    memory.folder.parent.write_text("a file")
    with pytest.raises(StorageError, match="nothing was sent"):
        memory.enter(STUDY, ONE, [ROWS], accept)
