"""The forms of a report, by name."""

import json
from collections.abc import Mapping
from typing import Any, Final

from fedglmm_flower.errors import DataError, UsageError
from fedglmm_flower.report.markdown import page_markdown
from fedglmm_flower.report.page import page_html
from fedglmm_flower.report.text import summary_text

FORMS: Final = ("html", "md", "txt", "json", "pdf-ready")
PAGES: Final = ("html", "pdf-ready")  # written to a file unless said otherwise


def rendered(result: Mapping[str, Any], form: str) -> str:
    """
    A report of ``result.json``.

    Parameters
    ----------
    result : mapping
        Its content.
    form : {"html", "md", "txt", "json", "pdf-ready"}
        The last is HTML laid out for sheets of A4.

    Raises
    ------
    UsageError
        For another form.
    DataError
        If the result lacks a part, as one of another version or edited by hand.
    """
    if form not in FORMS:
        raise UsageError(
            f"report: found format {form!r}; one of {', '.join(FORMS)} is required; "
            "choose one of them"
        )
    try:
        if form in PAGES:
            return page_html(result, sheets=form == "pdf-ready")
        if form == "md":
            return page_markdown(result)
        if form == "txt":
            return summary_text(result)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(
            f"report: result.json lacks a part or has one of another kind "
            f"({type(error).__name__}); a whole result of this version is required; "
            "run the fit again"
        ) from None
    return json.dumps(result, indent=1, ensure_ascii=False) + "\n"
