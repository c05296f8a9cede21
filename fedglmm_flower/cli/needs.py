"""What each set of a study sends and asks of a site, as a table."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from fedglmm_flower.errors import StudyError
from fedglmm_flower.site import Policy
from fedglmm_flower.site.demand import demand
from fedglmm_flower.study import Study
from fedglmm_flower.study.offers import Offer, around

Need = dict[str, Any]


def needs_of(study: Study) -> tuple[list[Need], list[Need]]:
    """
    Needs under the default policy.

    Parameters
    ----------
    study : Study
        The question.

    Returns
    -------
    accepted, others : list of dict
        The sets that the study accepts, the best first, and those around its first,
        by their count of numbers.
    """
    accepted = [_need(study, offer) for offer in study.offers]
    others = []
    if study.family != "gaussian":
        for offer in around(study.offers[0]):
            if offer in study.offers:
                continue
            try:
                others.append(_need(study, offer))
            except StudyError:
                continue  # too many numbers to be asked
    return accepted, sorted(others, key=lambda need: int(need["statistics"]))


def _need(study: Study, offer: Offer) -> Need:
    name, order = offer
    found = demand(study.moment_model, study.statistics(order, name), Policy())
    return {
        "set": name,
        "order": order,
        "statistics": found.statistics,
        "rows": found.rows,
        "cells": found.cells,
    }


def show_needs(accepted: Sequence[Need], others: Sequence[Need]) -> None:
    """Print both lists."""
    console = Console()
    title = "a site sends the first of these that its disclosure gate lets out"
    console.print(_table(title, accepted))
    if others:
        console.print(_table("sets around the first, which the study lacks", others))
    console.print(
        "By the default policy; rows are complete rows of a site, and smallest cells "
        "the fewest in a cell that is not empty."
    )


def _table(title: str, needs: Sequence[Need]) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("set", no_wrap=True)
    for name in ("numbers", "rows"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("smallest cells")
    for need in needs:
        table.add_row(
            f"{need['set']}:{need['order']}",
            str(need["statistics"]),
            str(need["rows"]),
            need["cells"],
        )
    return table
