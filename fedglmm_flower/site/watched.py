"""The rows that a release was made of, by a digest that is taken as they are read."""

import hashlib
from collections.abc import Iterator, Sequence

import pandas as pd

from fedglmm_flower.errors import DataError
from fedglmm_flower.site.source import TableSource


class WatchedSource:
    """
    A source that takes the digest of every column it is asked for while it is read.

    Laws: the digest depends on the cells, their order and the columns' names, not on
    the size of batches; a table that changes between two passes is refused.

    Does not leave the site.

    Parameters
    ----------
    source : TableSource
        The rows.
    """

    def __init__(self, source: TableSource) -> None:
        self._source = source
        self._digests: dict[tuple[str, ...], str] = {}

    @property
    def name(self) -> str:
        """Name of the source."""
        return self._source.name

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of all that was read to its end."""
        whole = hashlib.sha256()
        for columns, digest in sorted(self._digests.items()):
            whole.update(repr((columns, digest)).encode())
        return whole.hexdigest()

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pd.DataFrame]:
        """
        See :class:`TableSource`.

        Raises
        ------
        DataError
            Also if an earlier pass has seen other rows.
        """
        cells = {column: hashlib.sha256(column.encode()) for column in columns}
        for frame in self._source.batches(columns, rows):
            for column, digest in cells.items():
                # 64 bits of each cell: quick, and a change of one is not overlooked.
                codes = pd.util.hash_pandas_object(
                    frame[column], index=False, categorize=False
                )
                digest.update(codes.to_numpy().astype("<u8").tobytes())
            yield frame
        found = "".join(digest.hexdigest() for digest in cells.values())
        if self._digests.setdefault(tuple(columns), found) != found:
            raise DataError(
                f"{self.name}: the rows changed while they were read; a table that "
                "stands still is required; export it to a file, or wait until the "
                "import has ended"
            )
