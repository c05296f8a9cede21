"""``fedglmm report``: a result that people can read."""

from pathlib import Path
from typing import Annotated

import typer

from fedglmm_flower.errors import UsageError
from fedglmm_flower.study.whole_file import SHARED, write_whole


def report(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run or refit.")],
    form: Annotated[
        str, typer.Option("--format", help="html, md, txt, json or pdf-ready.")
    ] = "html",
    out: Annotated[
        Path | None,
        typer.Option(
            help="File; RUN/report.html for html, RUN/report-pdf-ready.html for "
            "pdf-ready, standard output for the others."
        ),
    ] = None,
) -> int:
    """
    Write the report of a run: one HTML file, Markdown, text or JSON.

    pdf-ready is the HTML file laid out for A4: print it to PDF.
    """
    from fedglmm_flower.report import Result
    from fedglmm_flower.report.forms import PAGES

    text = Result.load(run).report(form)
    if out is None and form in PAGES:
        name = "report.html" if form == "html" else f"report-{form}.html"
        out = (run if run.is_dir() else run.parent) / name
    if out is None:
        typer.echo(text, nl=False)
        return 0
    if out.is_dir():
        raise UsageError(
            f"{out}: is a folder; a file for the report is required; add its name"
        )
    write_whole(out, text.encode(), SHARED)
    typer.echo(str(out))
    return 0
