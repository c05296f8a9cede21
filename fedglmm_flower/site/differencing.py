"""What two answers of one table tell of few rows, by subtraction."""

from collections.abc import Sequence

from fedglmm_flower.site.finding import Finding
from fedglmm_flower.site.memory import Answered
from fedglmm_flower.site.row_sets import RowSets


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
    worst: tuple[float, int, int, str] | None = None
    for before in answers:
        # Of one study the table is the same, and sets of as many rows are.
        if before.study == study and rows.as_many(before.rows):
            if further and not before.further:
                continue
            # Sent before: the same sums tell nothing new.
            detail = "differencing: was answered before"
            return Finding("differencing", True, detail)
        pairs = (
            (rows.whole_difference(before.rows), max(least, whole)),
            (rows.smallest_difference(before.rows), least),
        )
        for apart, needed in pairs:
            if apart is not None:
                found = (apart / needed, apart, needed, before.study)
                worst = found if worst is None else min(worst, found)
    if worst is None:
        return Finding("differencing", True, "differencing: from no earlier answer")
    _, apart, needed, other = worst
    counted = "rows" if rows.units is None else "units"
    return Finding(
        "differencing",
        apart >= needed,
        f"differencing: {apart} {counted} are in sums of this study and not in the "
        f"same of study {other[:16]}..., which was answered, or the other way "
        f"round; none or at least {needed} are required; leave out the column in "
        "which these rows differ, or take no part in this study",
        found=apart,
        needed=needed,
    )
