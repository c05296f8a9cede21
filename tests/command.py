"""The ``fedglmm`` command as a function, and a small table for it."""

import contextlib
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fedglmm_flower.cli.main import main

# where: what was found; what is required (and) what to do
LINE = re.compile(r"fedglmm: error \[([a-z-]+)\]: (.+)\n")
SECRET = "SECRETCELL"  # no message may show it
SITES = ("a", "b", "c", "d")


@dataclass(frozen=True)
class Ended:
    """What a command left: exit status, standard output and standard error."""

    status: int
    out: str
    err: str

    @property
    def line(self) -> tuple[str, str]:
        """Code and detail of an error, if standard error is exactly one such line."""
        found = LINE.fullmatch(self.err)
        assert found is not None, self.err
        code, detail = found.groups()
        assert ": " in detail
        assert "; " in detail
        return code, detail


def fedglmm(*arguments: object) -> Ended:
    """Run the command in this process."""
    out, err = io.StringIO(), io.StringIO()
    status: object = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code
    assert isinstance(status, int)
    return Ended(status, out.getvalue(), err.getvalue())


def small_table() -> pd.DataFrame:
    """Four hospitals of 60 patients that pass the default gate."""
    rng = np.random.default_rng(7)
    n = 240
    hospital = np.repeat(SITES, n // 4)
    x = rng.normal(5, 2, n).round(3)
    g = np.tile(["u", "v", "w"], n // 3)
    shift = np.repeat([0.4, -0.3, 0.2, -0.5], n // 4)
    eta = -1 + 0.2 * x + 0.3 * (g == "v") + shift
    p = 1 / (1 + np.exp(-eta))
    trials = rng.integers(1, 6, n)
    return pd.DataFrame(
        {
            "hospital": hospital,
            "x": x,
            "g": g,
            "b": np.tile([0, 1], n // 2),
            "y": (eta + rng.normal(0, 1, n)).round(4),
            "e": (rng.random(n) < p).astype(int),
            "c": rng.poisson(np.exp(0.1 * x + shift)),
            "k": rng.binomial(trials, p),
            "n of trials": trials,
            "expo-sure": rng.uniform(1, 3, n).round(3),
        }
    )


GAUSSIAN = ("--formula", "y ~ x + g + (1 | hospital)", "--family", "gaussian")
BINOMIAL = ("--formula", "e ~ x + g + (1 | hospital)", "--family", "binomial")
POISSON = ("--formula", "c ~ x + g + (1 | hospital)", "--family", "poisson")
OPEN = ("--no-disclosure",)


def simulate(folder: Path, table: pd.DataFrame | bytes, *options: object) -> Ended:
    """Run ``fedglmm simulate`` on a table; results replace ``folder / "out"``."""
    data = folder / "data.csv"
    if isinstance(table, bytes):
        data.write_bytes(table)
    else:
        table.to_csv(data, index=False)
    again = ("--overwrite", "--out", folder / "out")
    return fedglmm("simulate", data, *options, *again)


def put(column: str, value: str | float) -> pd.DataFrame:
    """The table with one cell of row 8 changed."""
    table = small_table().astype(object)
    table.loc[7, column] = value
    return table


def question(formula: str, family: str) -> tuple[str, ...]:
    """Options that ask a question."""
    return ("--formula", formula, "--family", family)


def refused(ended: Ended, status: int, code: str, *words: str) -> None:
    """One line, of this code, with these words, and this status."""
    found, detail = ended.line

    assert (ended.status, found) == (status, code)
    assert ended.out == ""
    assert SECRET not in detail
    for word in words:
        assert word in detail


def listed(folder: Path) -> dict[str, dict[str, object]]:
    """Entries of a result's sites, by site."""
    return {entry["site"]: entry for entry in result_of(folder)["sites"]}


def result_of(folder: Path) -> dict[str, Any]:
    """The result.json of ``folder / "out"``."""
    text = (folder / "out" / "result.json").read_text(encoding="utf-8")
    values: dict[str, Any] = json.loads(text)
    return values


def numbers(result: dict[str, Any]) -> dict[str, Any]:
    """Everything but times and the name of the run."""
    provenance = {k: v for k, v in result["provenance"].items() if k != "run_id"}
    return {**result, "timing": None, "provenance": provenance}
