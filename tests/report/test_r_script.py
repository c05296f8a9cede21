"""What R is given: rows with the fit's own estimates, and a script without names."""

import io
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.errors import UsageError
from fedglmm_flower.glmm import fit
from fedglmm_flower.glmm.generalized import fit_rows
from fedglmm_flower.glmm.reduce import cross_products
from fedglmm_flower.glmm.rows import ModelRows
from fedglmm_flower.report.pseudo_rows import rows_behind
from fedglmm_flower.report.r_script import export_for_r, r_string
from fedglmm_flower.report.responses_in_range import in_range
from tests.command import (
    BINOMIAL,
    OPEN,
    fedglmm,
    question,
    refused,
    simulate,
    small_table,
)

# What Rscript does with one script, for several: packages take longer than the fits.
ONE_AFTER_THE_OTHER = """
for (path in commandArgs(TRUE)) {
  place <- new.env()
  place$commandArgs <- function(...) paste0("--file=", path)
  sink(paste0(path, ".txt"))
  source(path, local = place, print.eval = TRUE)
  sink()
}
"""
EVIL = '"); system("touch pwned"); c("\\\'{}%'
ASKED = {
    "logistic": question("e ~ x * g + (1 | hospital)", "binomial"),
    "trials": question(
        "cbind(k, `n of trials` - k) ~ x + (1 + x || hospital)", "binomial"
    ),
    "probit": (*question("e ~ x + (1 | hospital)", "binomial"), "--link", "probit"),
    "exposure": question(
        "c ~ x + g + offset(log(`expo-sure`)) + (1 | hospital)", "poisson"
    ),
    "slopes": question("y ~ x + I(x**2) + g + (1 + x || hospital)", "gaussian"),
    "by ml": (*question("y ~ x + (1 | hospital)", "gaussian"), "--method", "ml"),
}


@pytest.fixture(scope="module")
def printed(tmp_path_factory) -> dict[str, tuple[Path, str]]:
    """The run of each question, and what R says of its script."""
    if shutil.which("Rscript") is None:
        pytest.skip("needs R")
    code = 'quit(status = !requireNamespace("glmmTMB", quietly = TRUE))'
    if subprocess.run(["Rscript", "-e", code], check=False).returncode:
        pytest.skip("needs glmmTMB for R")
    # With a space in its name, which Rscript hands on in other characters.
    root, scripts = tmp_path_factory.mktemp("for R"), []
    for name, asked in ASKED.items():
        (root / name).mkdir()
        ended = simulate(root / name, small_table(), *asked, *OPEN)
        assert ended.status == 0, ended.err
        ended = fedglmm("coordinator", "export", root / name / "out", "--to", "r")
        assert (ended.status, ended.err) == (0, "")
        scripts.append(ended.out.strip())
    first, *others = scripts
    done = subprocess.run(
        ["Rscript", first], capture_output=True, text=True, check=True
    )
    subprocess.run(["Rscript", "-e", ONE_AFTER_THE_OTHER, *others], check=True)
    said = [done.stdout, *(Path(f"{path}.txt").read_text() for path in others)]
    runs = [root / name / "out" for name in ASKED]
    return dict(zip(ASKED, zip(runs, said, strict=True), strict=True))


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("formula", ["y ~ x + g + (1 + x | hospital)", "y ~ 0 + g + x"])
def test_rows_are_made_with_the_sums_of_a_gaussian_fit(formula, weights):
    """Cross-products, numbers of rows and weights of each cluster agree."""
    table = small_table().assign(w=np.tile([1.0, 2.0, 0.5], 80))
    fitted = fit(formula, table, family="gaussian", weights=weights)
    assert isinstance(fitted.source, ModelRows)
    source = cross_products(fitted.source)
    rows = rows_behind(replace(fitted, source=source))
    scaled = (rows.response - source.response_center) / source.response_scale
    stacked = np.column_stack([rows.basis, scaled])
    together = (stacked * rows.weights[:, None]).T @ stacked

    np.testing.assert_allclose(together, source.products.sum(axis=0), atol=1e-8)
    assert rows.n_rows == len(rows.response) == 240
    assert rows.weights.sum() == pytest.approx(source.weight_sums.sum())
    for term, other in zip(rows.random, source.random, strict=True):
        assert len(np.unique(term.index)) == len(np.unique(other.index))


def test_responses_out_of_range_are_replaced_by_others_with_the_same_sums():
    """The estimates stay; R would refuse a negative count."""
    fitted = fit("c ~ x + (1 | hospital)", small_table(), family="poisson")
    source = fitted.source
    assert isinstance(source, ModelRows)
    X = source.basis @ source.coefficients.T
    moved = source.response.copy()
    mine = source.random[0].index == 0
    # Along what the columns of one cluster do not see.
    free = np.linalg.svd(X[mine].T)[2][-1]
    moved[mine] += 40.0 * free
    assert moved.min() < 0
    bent = replace(fitted, source=replace(source, response=moved, constant=0.0))
    rows = rows_behind(bent)
    again = fit_rows(rows, family="poisson", link="log", method="laplace")

    assert rows.response.min() >= 0
    np.testing.assert_allclose(again.estimates, fitted.estimates, atol=1e-6)


def test_responses_on_the_edge_of_the_range_are_approached():
    """A level without events, and a cluster without any: sums that only zeros have."""
    rng = np.random.default_rng(11)
    columns = np.column_stack([np.ones(60), rng.normal(size=60), np.arange(60) % 3 > 1])
    mass, top = rng.uniform(0.5, 2.0, 60), rng.uniform(0.5, 2.0, 60)
    response = np.where(columns[:, 2] > 0, 0.0, rng.uniform(0.0, 1.0, 60) * top)
    for given in (response, 0.0 * response, top):
        for limit in (top, None):
            sums = columns.T @ (mass * given)
            found, missed = in_range(columns, mass, limit, sums)
            assert missed < 1e-6
            np.testing.assert_allclose(columns.T @ (mass * found), sums, atol=1e-5)
            assert found.min() >= 0
            assert limit is None or (found <= limit).all()


def test_sums_that_no_responses_have_are_missed():
    """More events in one level than rows: nothing is close."""
    columns = np.column_stack([np.ones(60), np.arange(60) % 3 > 1])
    sums = np.array([30.0, 25.0])

    assert in_range(columns, np.ones(60), np.ones(60), sums)[1] > 1e-3


@pytest.mark.parametrize("family", ["gamma", "nbinom2"])
def test_families_whose_sums_no_rows_carry_are_refused(family):
    """Rather than written as rows that fit to something else."""
    table = small_table().assign(a=lambda t: np.exp(t["y"]), c2=lambda t: t["c"] + 1)
    asked = f"{'a' if family == 'gamma' else 'c2'} ~ x + (1 | hospital)"
    fitted = fit(asked, table, family=family)

    with pytest.raises(UsageError, match="gaussian, binomial or poisson is required"):
        export_for_r(fitted)


def test_no_name_becomes_code():
    """Columns go by number; every name is an escaped string, or a cell."""
    table = small_table().rename(columns={"x": "x'\"\\é\n"[:1] + "1"})
    table["hospital"] = table["hospital"].replace({"a": EVIL, "b": "=1+1"})
    fitted = fit("e ~ x1 + (1 | hospital)", table, family="binomial")
    found = export_for_r(replace(fitted, names=("Intercept", EVIL)))
    code = re.sub(r'"(?:[^"\\]|\\.)*"', "", found.script)

    assert "pwned" in found.script
    assert "pwned" not in code
    cells = pd.read_csv(io.StringIO(found.table))
    assert set(cells["g1"]) == {EVIL, "'=1+1", "c", "d"}
    assert r_string("\0\n\U0001f600") == '"\\u000a\\U0001f600"'


@pytest.mark.slow
@pytest.mark.parametrize("name", ASKED)
def test_r_finds_the_same_estimates(name, printed):
    """To 1e-4 standard errors; standard errors to 1 %, sds to 1e-3."""
    run, said = printed[name]
    fixed, _, rest = said.partition("\nStandard deviations")
    shift = re.search(r"shift of an estimate: (\S+) standard errors", rest)
    sds = re.findall(r"^ +hospital \S+ +(\S+) +(\S+)$", rest, re.MULTILINE)

    assert shift is not None, said
    assert float(shift[1]) < 1e-4
    assert len(fixed.splitlines()) > 3
    assert sds
    for theirs, ours in sds:
        assert float(theirs) == pytest.approx(float(ours), abs=1e-3)
    errors = [float(line.split()[-5]) for line in fixed.splitlines()[2:]]
    table = pd.read_json(run / "result.json", typ="series")
    for theirs, row in zip(errors, table["fixed"], strict=True):
        assert theirs == pytest.approx(row["se"], rel=0.01)


def test_the_command_writes_a_new_folder(tmp_path):
    """And refuses what it cannot do in one line, before it writes."""
    assert simulate(tmp_path, small_table(), *BINOMIAL, *OPEN).status == 0
    run = tmp_path / "out"
    other = "e ~ g + (1 | hospital)"
    first = fedglmm("coordinator", "export", run, other, "--out", tmp_path / "r")

    assert (first.status, first.out) == (0, f"{tmp_path / 'r' / 'refit.R'}\n")
    assert "x4" not in (tmp_path / "r" / "pseudo-data.csv").read_text()[:200]
    for options, words in (
        (("--to", "sas"), "r is required"),
        (("--out", tmp_path / "r"), "a new folder is required"),
    ):
        ended = fedglmm("coordinator", "export", run, *options)
        refused(ended, 2, "usage", words)
    assert not (run / "r").exists()
