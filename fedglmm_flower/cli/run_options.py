"""Arguments and options that several commands on runs share."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

FinishedRun: TypeAlias = Annotated[
    Path, typer.Argument(help="Folder of a finished run.")
]
Keys: TypeAlias = Annotated[
    Path | None, typer.Option(help="Folder of keys; RUN/keys by default.")
]
Quorum: TypeAlias = Annotated[
    int | None, typer.Option(min=1, help="Fewest sites to fit from.")
]
RunsSeed: TypeAlias = Annotated[
    int | None, typer.Option(min=0, help="Seed; the run's by default.")
]
Method: TypeAlias = Annotated[
    str | None, typer.Option(help="reml, ml, laplace or aghq:K.")
]
Bootstrap: TypeAlias = Annotated[
    int, typer.Option(min=0, help="Draws of the bootstrap under noise, as 200.")
]
AsResultJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Print result.json instead of a summary.")
]
