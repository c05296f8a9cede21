"""Lines of a CSV file as records, each on its own: what noise is calibrated to.

A parser of CSV lets a quote that is not closed run on over the lines that follow, so
that one row decides what others are.  Here a record is a line, and a line that is no
whole row of cells is a record of nothing.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ENCODING: Final = "utf-8-sig"
# Bytes that are no UTF-8 come as characters that no text has, and stay in their line.
_UNDECODED: Final = "surrogateescape"
_NO_TEXT: Final = re.compile("[\ud800-\udfff]")


def lines_of(path: Path) -> Iterator[str]:
    """
    The lines of a file with their ends, whatever bytes they hold.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with path.open(encoding=ENCODING, errors=_UNDECODED, newline="") as file:
        yield from file


def record_of(line: str, cells: int) -> list[str | None]:
    """
    The cells of one line; None, each of them, if the line is no row of text.

    Law: depends on the line alone.  Where the line by itself is a row of as many cells,
    these are the cells that a parser of the whole file finds in it.

    Parameters
    ----------
    line : str
        Without its end.
    cells : int
        How many the header has.

    Examples
    --------
    >>> record_of('60,"II, late",1', 3)
    ['60', 'II, late', '1']
    >>> record_of('60,"II,1', 3)
    [None, None, None]
    >>> record_of("60,II", 3)
    [None, None, None]
    """
    found = _split(line)
    return [*found] if len(found) == cells else [None] * cells


def _split(line: str) -> list[str]:
    """Cells of a line; none if it is no text, or a quote in it is not closed."""
    if _NO_TEXT.search(line):
        return []
    if '"' not in line:
        return line.split(",")
    try:
        return next(csv.reader([line], strict=True))
    except csv.Error:  # or a cell beyond the parser's limit
        return []
