"""Which cluster of its site each row belongs to."""

import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedglmm_flower.errors import DataError
from fedglmm_flower.glmm.evaluate import AtomRows
from fedglmm_flower.glmm.table import as_text, missing_text
from fedglmm_flower.site.released import MAX_CLUSTERS, NUMBERED, REMAINDER

Path: TypeAlias = tuple[str, ...]
Part: TypeAlias = tuple[Path, npt.NDArray[np.intp], AtomRows]
_LONGEST = 200


def parts_of(
    frame: pd.DataFrame, clusters: Sequence[str], rows: AtomRows, where: str
) -> tuple[list[Part], int]:
    """
    Divide the complete rows of a batch by cluster.

    Parameters
    ----------
    frame : DataFrame
        The batch, with its cluster columns as text.
    clusters : sequence of str
        Columns that name clusters; none makes the site one cluster.
    rows : AtomRows
        Its complete rows.
    where : str
        Name of the table in messages.

    Returns
    -------
    parts : list of (path, index, rows)
        Label in each cluster column; which rows of the batch; and these rows.
    unnamed : int
        Complete rows that name no cluster: an empty cell is a missing value.

    Raises
    ------
    DataError
        If a label could not be sent as a name.  No message quotes it.
    """
    kept = np.flatnonzero(rows.kept)
    if not clusters:
        return [((), kept, rows)], 0
    texts = [as_text(frame[name].iloc[kept]) for name in clusters]
    missing = np.zeros(len(kept), dtype=np.bool_)
    for text in texts:
        missing |= missing_text(text).to_numpy(dtype=bool)
    named = np.flatnonzero(~missing)
    columns = [text.to_numpy(dtype=object)[named] for text in texts]
    labels = np.empty(len(named), dtype=object)
    labels[:] = list(zip(*columns, strict=True))
    codes, found = pd.factorize(labels)
    order = np.argsort(codes, kind="stable")
    cuts = np.searchsorted(codes[order], np.arange(1, len(found)))
    parts = []
    for path, at in zip(found, np.split(named[order], cuts), strict=True):
        _require_names(path, clusters, where)
        parts.append((path, kept[at], rows.select(at)))
    return parts, int(missing.sum())


def _require_names(path: Path, clusters: Sequence[str], where: str) -> None:
    for label, column in zip(path, clusters, strict=True):
        taken = label == REMAINDER or re.fullmatch(rf"{NUMBERED}\d+", label)
        if taken or not label or len(label) > _LONGEST or not label.isprintable():
            raise DataError(
                f"{where}: column {column!r}: a label that is no name; at most "
                f"{_LONGEST} printable characters are required, other than "
                f"{REMAINDER!r} and '{NUMBERED}1'; rename the cluster"
            )


def require_few(count: int, clusters: Sequence[str], where: str) -> None:
    """
    Refuse a column that names rows rather than groups of rows.

    Raises
    ------
    DataError
        If there are more clusters than a site may send.
    """
    if count > MAX_CLUSTERS:
        raise DataError(
            f"{where}: {' and '.join(map(repr, clusters))} name more than "
            f"{MAX_CLUSTERS} clusters; a cluster is a group of many rows; check "
            "the column"
        )


def shares(sizes: Sequence[tuple[Path, int]], most: int) -> Iterator[list[Path]]:
    """
    Clusters whose rows fit into memory together; one that does not stands alone.

    Examples
    --------
    >>> list(shares([(("a",), 3), (("b",), 2), (("c",), 9)], 5))
    [[('a',), ('b',)], [('c',)]]
    """
    chosen: list[Path] = []
    total = 0
    for path, size in sizes:
        if chosen and total + size > most:
            yield chosen
            chosen, total = [], 0
        chosen.append(path)
        total += size
    if chosen:
        yield chosen
