"""A result as one self-contained page: no script, no request, every text escaped."""

from collections.abc import Mapping
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup

from fedglmm_flower.report.figures import caterpillars, forest
from fedglmm_flower.report.style import CSS, SHEETS
from fedglmm_flower.report.templates import NOTEBOOK, PAGE, PARTS
from fedglmm_flower.report.view import view_of

_CONTENTS = (
    ("question", "Question"),
    ("effects", "Fixed effects"),
    ("components", "Variation between sites"),
    ("sites", "Sites"),
    ("privacy", "Privacy"),
    ("diagnostics", "Diagnostics"),
    ("provenance", "Provenance"),
)
_TEMPLATES = Environment(
    autoescape=True,
    undefined=StrictUndefined,
    loader=DictLoader({"page": PAGE, "parts": PARTS, "notebook": NOTEBOOK}),
)


def page_html(result: Mapping[str, Any], *, sheets: bool = False) -> str:
    """
    One HTML file of a result.

    Law: whatever names the sites have, the page has the same elements, for every text
    of the result is escaped.

    Parameters
    ----------
    result : mapping
        Content of ``result.json``.
    sheets : bool
        Whether it is laid out for A4 on the screen too: light, without contents.

    Returns
    -------
    str
        A whole document in UTF-8, with its style and figures inside.
    """
    return _TEMPLATES.get_template("page").render(
        view=view_of(result),
        forest=forest(result),
        caterpillars=caterpillars(result),
        contents=() if sheets else _CONTENTS,
        # The one text that is not escaped: it is a constant of this package.
        css=Markup(SHEETS if sheets else CSS),  # noqa: S704 - see above
    )


def notebook_html(result: Mapping[str, Any]) -> str:
    """A part of a page for a notebook, in the notebook's own style."""
    return _TEMPLATES.get_template("notebook").render(view=view_of(result))
