"""A result in Markdown, for a wiki or a repository."""

import re
from collections.abc import Mapping
from typing import Any

from fedglmm_flower.report.tables import Table
from fedglmm_flower.report.view import View, view_of

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&])")


def page_markdown(result: Mapping[str, Any]) -> str:
    """
    A result in GitHub's Markdown.

    Parameters
    ----------
    result : mapping
        Content of ``result.json``.
    """
    view = view_of(result)
    parts = [f"# {_plain(view.heading)}", _plain(view.model), *_verdict(view)]
    parts += ["## Question", _plain(view.question), _code(view.formula)]
    parts += [_code("\n".join(view.equation))]
    parts += ["## Fixed effects", _table(view.fixed)]
    parts += ["## Variation between sites", _table(view.random)]
    parts += ["## Sites", _table(view.sites), "## Privacy"]
    if view.privacy is None:
        parts.append("No noise was added.")
    else:
        parts.append(_table(view.privacy))
        parts += [] if view.budgets is None else [_table(view.budgets)]
    parts += ["## Diagnostics", _table(view.diagnostics)]
    parts += ["## Provenance", _table(view.provenance)]
    for what, command in view.commands:
        parts += [f"{_plain(what)}:", _code(command)]
    return "\n\n".join(parts) + "\n"


def _verdict(view: View) -> list[str]:
    accuracy = f"{view.accuracy[:1].upper()}{view.accuracy[1:]}"
    texts = [f"**{_plain(view.verdict)}.** {_plain(accuracy)}."]
    found = [f"- {_plain(text)}" for text in (*view.warnings, *view.absent)]
    return texts + (["\n".join(found)] if found else [])


def _plain(text: str) -> str:
    r"""
    Text that is not markup, on one line.

    Examples
    --------
    >>> print(_plain("a|b <script>"))
    a\|b \<script\>
    """
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    """A fenced block, with a fence longer than any in the text."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text}\n{fence}"


def _table(table: Table) -> str:
    heads = [_plain(head) for head in table.heads]
    ruler = ["---"] + ["---:"] * (len(heads) - 1)
    rows = [[_plain(cell) for cell in row] for row in table.rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ruler, *rows))
