"""What a release asks of a site's rows, told before any site looks at them."""

from collections.abc import Mapping
from dataclasses import dataclass

from fedglmm_flower.site.binary_response import response_is_binary
from fedglmm_flower.site.cell_rules import ROLES, demanded_cells
from fedglmm_flower.site.policy import Policy
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.release import Statistic


@dataclass(frozen=True)
class Demand:
    """
    What a site needs for a release under a policy; holds no data.

    Parameters
    ----------
    statistics : int
        Numbers that are sent.
    rows : int
        Fewest complete rows of a site, or of a cluster.
    cells : str
        The smallest cells that are not empty, in words.
    """

    statistics: int
    rows: int
    cells: str


def demand(model: Model, statistics: tuple[Statistic, ...], policy: Policy) -> Demand:
    """
    What a release asks of a site.

    Parameters
    ----------
    model : Model
        The question.
    statistics : tuple of Statistic
        What would be sent.
    policy : Policy
        The officer's thresholds.
    """
    count = len(statistics)
    rows = max(policy.min_rows, -int(-policy.rows_per_statistic * count // 1))
    told = {"x": "rows", "y": _counted(model)}
    parts = []
    for role in ROLES:
        demands = demanded_cells(model, statistics, role, policy)
        if role == "x":
            demands.pop((), None)  # that is the fewest rows
        words = _words(demands, sum(model.factors))
        if told[role] and words:
            parts.append(f"{told[role]}: {words}")
    return Demand(count, rows, "; ".join(parts) or "any")


def _counted(model: Model) -> str:
    """What the gate counts of the response."""
    if model.family == "binomial" or response_is_binary(model):
        return "events and non-events"
    return "rows with events" if model.family in ("poisson", "nbinom2") else ""


def _words(demands: Mapping[tuple[int, ...], int], factors: int) -> str:
    """One phrase for neighbouring numbers of factors that ask the same."""
    least: dict[int, int] = {}
    for subset, needed in demands.items():
        least[len(subset)] = max(needed, least.get(len(subset), 0))
    spans: list[tuple[int, int]] = []
    for size in sorted(least):
        if spans and least[spans[-1][0]] == least[size]:
            spans[-1] = (spans[-1][0], size)
        else:
            spans.append((size, size))
    return ", ".join(
        f"{least[first]} {_where(first, last, factors)}" for first, last in spans
    )


def _where(first: int, last: int, factors: int) -> str:
    whole = ["overall"] if first == 0 else []
    level = ["in a level"] if first <= 1 <= last else []
    crossed = []
    if last > 1:
        low = max(first, 2)
        span = str(last) if low == last else f"{low} to {last}"
        span = "all" if last == factors and low == last else span
        crossed = [f"in a combination of {span} factors"]
    return " and ".join([*whole, *level, *crossed])
