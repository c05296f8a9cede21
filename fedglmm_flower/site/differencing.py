"""What two answers of one table tell of few rows, by subtraction."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fedglmm_flower.site.columns_apart import columns_apart, own_columns_apart
from fedglmm_flower.site.finding import Finding
from fedglmm_flower.site.levels_apart import own_levels_apart
from fedglmm_flower.site.memory import Answered
from fedglmm_flower.site.row_sets import RowSets
from fedglmm_flower.site.sets_apart import smallest_difference, whole_difference


@dataclass(frozen=True)
class _Difference:
    """Rows, or units, that two answers do not share, and how many there may be."""

    apart: int
    needed: int
    study: str
    what: str
    beside: str = ""


def differencing(
    answers: Sequence[Answered],
    study: str,
    rows: RowSets,
    least: int,
    whole: int,
    *,
    further: bool = False,
) -> Finding:
    """
    Whether sums differ from those of an earlier answer by a few rows.

    Earlier answers of the same study count too: a likelihood is of all rows, and the
    one round may have left a cluster out.

    Parameters
    ----------
    answers : sequence of Answered
        What the site answered before.
    study : str
        Digest of the study that is to be answered.
    rows : RowSets
        Which rows its sums are of.
    least : int
        Fewest rows that two sets may differ by, if they differ.
    whole : int
        Fewest that two sets of all rows may, of which more is told.
    further : bool
        Whether a likelihood is asked, of which more is told than by the one round.
    """
    for before in answers:
        # Of one study the table is the same, and sets of as many rows are.
        same = before.study == study and rows.as_many(before.rows)
        if same and (before.further or not further):
            # Sent before: the same sums tell nothing new.
            detail = "differencing: was answered before"
            return Finding("differencing", True, detail)
    found = [one for before in answers for one in _apart(before, rows, least, whole)]
    if not found:
        return Finding("differencing", True, "differencing: from no earlier answer")
    worst = min(found, key=lambda one: (one.apart / one.needed, one.needed))
    counted = "rows" if rows.units is None else "units"
    return Finding(
        "differencing",
        worst.apart >= worst.needed,
        f"differencing: {worst.apart} {counted} {worst.what} of study "
        f"{worst.study[:16]}..., which was answered{worst.beside}; none or at least "
        f"{worst.needed} are required; leave out the column in which these rows "
        "differ, or take no part in this study",
        found=worst.apart,
        needed=worst.needed,
    )


def _apart(
    before: Answered, rows: RowSets, least: int, whole: int
) -> Iterator[_Difference]:
    """What one earlier answer and this one do not share."""
    what = "are in sums of this study and not in the same"
    beside = ", or the other way round"
    every = whole_difference(rows, before.rows)
    if every is not None:
        yield _Difference(every, max(least, whole), before.study, what, beside)
    sets = smallest_difference(rows, before.rows, least)
    if sets is not None:
        yield _Difference(sets.count, sets.needed, before.study, what, beside)
    columns = columns_apart(rows, before.rows, least)
    if columns is not None:
        what = f"differ between {columns.here!r} here and {columns.there!r}"
        yield _Difference(columns.count, columns.needed, before.study, what)


def own_columns(rows: RowSets, least: int) -> Finding:
    """
    Whether two columns of one answer differ in a few rows.

    Parameters
    ----------
    rows : RowSets
        Which rows its sums are of.
    least : int
        Fewest rows that two columns may differ in, if they differ.
    """
    pairs = own_columns_apart(rows, least), own_levels_apart(rows, least)
    columns = next(filter(None, pairs), None)
    if columns is None:
        return Finding("nesting", True, "nesting: no two columns differ in few rows")
    counted = "rows" if rows.units is None else "units"
    return Finding(
        "nesting",
        False,
        f"nesting: {columns.here!r} and {columns.there!r} differ in {columns.count} "
        f"{counted}, of all or of a cell, whose values the difference of two sums "
        f"tells; none or at least {columns.needed} are required; leave out one of the "
        "two",
        found=columns.count,
        needed=columns.needed,
    )
