"""What can be made of the folder of a finished run, wherever it was made."""

import json
from pathlib import Path

import pytest

from tests.command import fedglmm


def use_again(run: Path, keys: Path, smaller: str, out: Path) -> None:
    """
    Refit, compare, export and report a run, as its coordinator does.

    Parameters
    ----------
    run, keys : Path
        The folder of the run, and the coordinator's keys.
    smaller : str
        A model of the released columns that is a part of the run's.
    out : Path
        A folder for what is made, which does not exist.
    """
    before = json.loads((run / "result.json").read_text(encoding="utf-8"))
    formula, held = before["study"]["formula"], ("--keys", keys)
    again = fedglmm("coordinator", "refit", run, formula, *held, "--out", out, "--json")
    assert again.status == 0, again.err
    for ours, theirs in zip(
        json.loads(again.out)["fixed"], before["fixed"], strict=True
    ):
        assert ours["estimate"] == pytest.approx(theirs["estimate"], rel=1e-12)
    compared = fedglmm("coordinator", "compare", run, smaller, formula, *held, "--json")
    assert compared.status == 0, compared.err
    models = json.loads(compared.out)
    assert [one["formula"] for one in models] == [smaller, formula]
    assert models[1]["p"] is not None
    exported = fedglmm("coordinator", "export", run, *held, "--out", out / "r")
    assert exported.out == f"{out / 'r' / 'refit.R'}\n", exported.err
    assert (out / "r" / "pseudo-data.csv").exists()
    for folder in (run, out):
        told = fedglmm("report", folder, "--out", out / "page.html")
        assert told.status == 0, told.err
        assert "Converged" in (out / "page.html").read_text(encoding="utf-8")
