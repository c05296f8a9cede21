"""Files are whole or as they were, on a full disk too."""

import os

import pytest

from fedglmm_flower.errors import StorageError
from fedglmm_flower.study.whole_file import SHARED, write_new, write_whole
from tests.disk import full_disk


@pytest.mark.parametrize("write", [write_whole, write_new])
def test_a_full_disk_is_one_clear_error_and_changes_nothing(write, tmp_path):
    """What stood there stands, and no part of the new content is left."""
    target = tmp_path / "deep" / "result.json"
    if write is write_whole:
        write_whole(target, b"old")
    with full_disk(), pytest.raises(StorageError, match=r"result.json: cannot be wri"):
        write(target, b"n" * 1000)

    left = list(target.parent.iterdir())
    assert left == ([target] if write is write_whole else [])
    assert not left or target.read_bytes() == b"old"


def test_a_new_file_never_replaces_another(tmp_path):
    """Whoever comes second is told so."""
    write_new(tmp_path / "a", b"first")
    with pytest.raises(StorageError, match="never overwritten"):
        write_new(tmp_path / "a", b"second")

    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"first"


def test_files_are_their_owners_unless_they_are_shared(tmp_path):
    """Sums and estimates of a site are nobody else's; a study is everybody's."""
    write_whole(tmp_path / "a", b"x")
    write_new(tmp_path / "b", b"x")
    write_whole(tmp_path / "c", b"x", SHARED)
    umask = os.umask(0)
    os.umask(umask)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in "abc"]

    assert modes == [0o600, 0o600, 0o644 & ~umask]
