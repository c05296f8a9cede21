"""A site's disclosure thresholds."""

from dataclasses import dataclass
from typing import Literal

MIN_CELL_FLOOR = 3


@dataclass(frozen=True)
class Policy:
    """
    What a site's privacy officer demands of every summary.

    Parameters
    ----------
    enabled : bool
        False switches the gate off: for a simulation on data that may be seen.
    min_rows : int
        Fewest complete rows of a cluster.
    rows_per_statistic : float
        Fewest rows for each number that is sent (DataSHIELD's ``nfilter.glm`` of 0.33
        is about 3).
    values_per_number : float
        Fewest values of the table, patients by columns, for each number that is told
        in all rounds of a study together.
    min_cell : int
        Smallest non-zero count that a release may determine, at least 3.
    dominance_one, dominance_two : float
        Largest share of the sum of ``|x|`` of the largest record, and of the two
        largest records.
    min_effective_rows : float
        Over how many rows weights, amounts and what is summed at a site's own anchor
        must be spread, ``(sum w)^2 / sum w^2``.
    max_leverage : float
        Largest share of one record in the sum of any square that a release determines.
    allow_expressions : bool
        True accepts formulas with any expression, also one that singles out a patient.
    compare_answers : bool
        Whether sums that differ by fewer than ``min_cell`` rows from those of another
        study that was answered stay at the site.
    one_outcome : {"warn", "refuse"}
        What is done where all or none of a level, or of a site, have the response.
    small_clusters : {"pool", "leave_out"}
        What becomes of clusters inside the site that do not pass on their own.
    cluster_names : {"given", "numbered"}
        Whether clusters leave under the names in the table, or as ``#1``, ``#2``.
    unit : str or None
        Column that names the units (patients) that every rule counts; None where every
        row is one.
    min_sites : int
        Fewest sites of a study that the site takes part in.
    """

    enabled: bool = True
    min_rows: int = 50
    rows_per_statistic: float = 3.0
    values_per_number: float = 5.0
    min_cell: int = 5
    dominance_one: float = 0.50
    dominance_two: float = 0.67
    # Measured (docs/privacy-officer.md): ordinary sites of 450 rows and more pass.
    max_leverage: float = 0.90
    allow_expressions: bool = False
    min_effective_rows: float = 20.0
    compare_answers: bool = True
    # Rare events leave whole sites without one: to refuse would leave these out.
    one_outcome: Literal["warn", "refuse"] = "warn"
    # Measured (docs/guide.md): where small clusters differ, leaving out errs more.
    small_clusters: Literal["pool", "leave_out"] = "pool"
    cluster_names: Literal["given", "numbered"] = "given"
    unit: str | None = None
    min_sites: int = 1


NO_DISCLOSURE_CONTROL = Policy(enabled=False)
