"""The plan as one page with a slider: no network, no library."""

import html
import json
from collections.abc import Mapping
from typing import Any

from fedglmm_flower.report.plan_template import PLAN_PAGE


def plan_page(plan: Mapping[str, Any]) -> str:
    """
    HTML of a plan.

    Parameters
    ----------
    plan : mapping
        What :func:`~fedglmm_flower.coordinator.noise_plan.plan_of` returns.

    Returns
    -------
    str
        One page; it asks nothing of any other place.
    """
    # Inside a script element only "<" could end it.
    data = json.dumps(plan, ensure_ascii=False).replace("<", "\\u003c")
    title = html.escape(str(plan["study"]["name"]))
    # The data last: nothing in them is taken for a place to fill.
    return PLAN_PAGE.replace("@TITLE@", title).replace("@PLAN@", data)
