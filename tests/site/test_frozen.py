"""The record of what was answered: made once, the owner's alone, never guessed."""

import stat
import threading

import pytest

from fedglmm_flower.errors import PolicyError, SnapshotError
from fedglmm_flower.site import FrozenSnapshots

STUDY, ONE, OTHER = "a" * 64, "1" * 64, "2" * 64


@pytest.fixture
def frozen(tmp_path):
    """A record in a folder that is not there yet."""
    return FrozenSnapshots(tmp_path / "site" / "snapshots")


def test_the_first_snapshot_stays(frozen):
    """The same may be recorded again, another is refused."""
    frozen.require_same(STUDY, ONE)
    assert not frozen.folder.exists()
    frozen.freeze(STUDY, ONE)
    frozen.freeze(STUDY, ONE)
    for refuse in (frozen.freeze, frozen.require_same):
        with pytest.raises(SnapshotError, match="approve its digest"):
            refuse(STUDY, OTHER)

    assert frozen.of(STUDY) == ONE
    assert frozen.of("b" * 64) is None


def test_secret_and_record_are_the_owners_alone(frozen):
    """The secret is made once, and each site has its own."""
    key = frozen.key()
    frozen.freeze(STUDY, ONE)
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in frozen.folder.iterdir()}

    assert modes == {"key": 0o600, f"{STUDY}.snapshot": 0o600}
    assert stat.S_IMODE(frozen.folder.stat().st_mode) == 0o700
    assert len(key) == 32
    assert frozen.key() == key
    assert FrozenSnapshots(frozen.folder.with_name("other")).key() != key


def test_of_many_first_answers_at_once_one_is_recorded(frozen):
    """Two nodes of one site may be asked at the same time."""
    kept, refused = [], []
    start = threading.Barrier(8)

    def answer(n):
        start.wait()
        try:
            frozen.freeze(STUDY, f"{n}" * 64)
            kept.append(n)
        except SnapshotError:
            refused.append(n)

    threads = [threading.Thread(target=answer, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(kept) == 1
    assert len(refused) == 7
    assert frozen.of(STUDY) == f"{kept[0]}" * 64
    assert [path.name for path in frozen.folder.iterdir()] == [f"{STUDY}.snapshot"]


def test_a_lost_secret_or_a_damaged_record_is_told(frozen):
    """A new secret would make every table look changed."""
    frozen.key()
    frozen.freeze(STUDY, ONE)
    (frozen.folder / "key").unlink()
    with pytest.raises(PolicyError, match="key: is missing"):
        frozen.key()
    for content in (b"", b"1" * 63, b"\xff" * 64):
        (frozen.folder / f"{STUDY}.snapshot").write_bytes(content)
        with pytest.raises(PolicyError, match=r"restore it|cannot be read"):
            frozen.require_same(STUDY, ONE)


def test_a_folder_that_cannot_be_made_is_told(frozen):
    """Nothing is answered that could not be recorded."""
    frozen.folder.parent.write_text("a file")

    with pytest.raises(PolicyError, match="cannot be"):
        frozen.freeze(STUDY, ONE)
