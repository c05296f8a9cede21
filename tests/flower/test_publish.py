"""A simulation's folder holds the results of one run, whatever the disk does."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from fedglmm_flower import simulate
from fedglmm_flower.errors import StorageError
from tests.command import small_table
from tests.disk import full_disk

FORMULA = "y ~ x + g + (1 | hospital)"


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("stage", ["summarise", "broadcast"])
def test_a_full_disk_leaves_the_results_of_the_earlier_run(tmp_path, stage):
    """During the run or while its results are copied: all of the old, no new."""
    table, out = small_table(), tmp_path / "out"
    simulate(table, FORMULA, "gaussian", out=out)
    before = content(out)

    def fill(now, done, total):
        if now == stage and done == total:
            disk.enter_context(full_disk(1000))

    with ExitStack() as disk, pytest.raises(StorageError, match="make room"):
        simulate(table, FORMULA, "gaussian", out=out, overwrite=True, tell=fill)

    assert content(out) == before
