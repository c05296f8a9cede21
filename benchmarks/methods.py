"""
Claim: what each way to one model over many sites is off from lme4 on the pooled rows.

Two stages (every site fits, estimates are averaged by inverse variance, with a common
effect or with effects that vary between sites by DerSimonian and Laird), one round,
one round and a Newton step, and the iterative way, on GUSTO-I and on the districts of
the contraception survey, of which many are too small for a fit of their own.

Run: ``python -m benchmarks.methods``; about four minutes of processor time.
"""

import argparse
import re
import sys
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fedglmm_flower import simulate
from fedglmm_flower.errors import FedglmmError
from fedglmm_flower.glmm import FittedModel, fit
from tests.reference.rows import load, method_of

FloatArray = npt.NDArray[np.float64]
CASES = ("gusto", "contraception")
ROUNDS = {
    "one round": "1",
    "one round and a step": "refine:1",
    "one round and three": "refine:3",
    "iterative": "iterative",
}


@dataclass(frozen=True)
class Found:
    """
    What one way estimates.

    Parameters
    ----------
    way : str
        Its name.
    rounds : str
        How often a site is asked.
    used : str
        Sites that could take part, of all.
    estimates : array of shape (p,)
        The intercept first.
    sd : float
        Of the intercepts between sites; NaN where none is estimated.
    """

    way: str
    rounds: str
    used: str
    estimates: FloatArray
    sd: float


@dataclass(frozen=True)
class Case:
    """A reference set with its first model, and lme4's fit of it."""

    name: str

    @property
    def reference(self) -> dict[str, Any]:
        """The fit of lme4 to the pooled rows, by Laplace's approximation."""
        about, _ = load(self.name)
        return next(f for f in about["fits"] if method_of(f) == "laplace")

    @property
    def formula(self) -> str:
        """As it was asked of lme4."""
        return str(self.reference["formula"]).replace("^", "**")

    @property
    def table(self) -> pd.DataFrame:
        """All rows."""
        return load(self.name)[1]

    @property
    def site(self) -> str:
        """The column that names the sites."""
        return str(load(self.name)[0]["site"])


def site_fits(case: Case, names: tuple[str, ...]) -> list[FittedModel]:
    """The model without random effects, at every site that can fit all of it."""
    formula = re.sub(r"\s*\+\s*\([^()]*\|[^()]*\)", "", case.formula)
    found = []
    for _, rows in case.table.groupby(case.site, observed=True):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # separation is told by the errors
                one = fit(formula, rows, family="binomial")
        except FedglmmError:
            continue
        # Without a level of a factor, or any event beside it, a site has another model.
        if one.converged and one.names == names and np.isfinite(one.se).all():
            found.append(one)
    return found


def averaged(fits: list[FittedModel], sites: int) -> list[Found]:
    """Both averages of the site fits, coefficient by coefficient."""
    b = np.array([one.estimates for one in fits])
    v = np.array([one.se for one in fits]) ** 2
    w = 1.0 / v
    common = (w * b).sum(axis=0) / w.sum(axis=0)
    excess = (w * (b - common) ** 2).sum(axis=0) - (len(fits) - 1)
    between = np.maximum(excess / (w.sum(axis=0) - (w**2).sum(axis=0) / w.sum(0)), 0.0)
    w = 1.0 / (v + between)
    varying = (w * b).sum(axis=0) / w.sum(axis=0)
    used = f"{len(fits)} of {sites}"
    tau = float(np.sqrt(between[0]))
    return [
        Found("two stages, common effects", "1", used, common, float("nan")),
        Found("two stages, varying effects", "1", used, varying, tau),
    ]


def federated(case: Case, way: str) -> Found:
    """A whole federation, without the gate: some districts are too small for it."""
    about, table = load(case.name)
    levels = {
        column: tuple(values)
        for column, values in about.get("factors", {}).items()
        if re.search(rf"\b{column}\b", case.formula) and column != case.site
    }
    result = simulate(
        table,
        case.formula,
        "binomial",
        levels=levels,
        rounds=ROUNDS[way],
        disclosure=False,
    ).to_dict()
    rounds = result["diagnostics"].get("refinement", {}).get("rounds", 1)
    sites = len(result["sites"])
    return Found(
        way,
        str(rounds),
        f"{result['n_sites']} of {sites}",
        np.array([row["estimate"] for row in result["fixed"]]),
        float(result["random"][0]["sd"]),
    )


def pooled(case: Case, fitted: FittedModel) -> Found:
    """Our engine on all rows: what more rounds can reach."""
    sites = case.table[case.site].nunique()
    sd = float(fitted.random[0].sd[0])
    return Found(
        "all rows, this engine", "-", f"{sites} of {sites}", fitted.estimates, sd
    )


def markdown(case: Case, found: list[Found]) -> str:
    """One line for each way, beside lme4."""
    theirs = case.reference
    b = np.array([row["estimate"] for row in theirs["fixed"]])
    se = np.array([row["se"] for row in theirs["fixed"]])
    sd = float(theirs["random"][0]["sdcor"])
    lines = [
        "| data | way | rounds | sites | slope, SE | intercept, SE | sd |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for one in found:
        shift = np.abs((one.estimates - b) / se)
        off = "none" if np.isnan(one.sd) else f"{abs(one.sd - sd):.1g}"
        lines.append(
            f"| {case.name} | {one.way} | {one.rounds} | {one.used} | "
            f"{shift[1:].max():.2g} | {shift[0]:.2g} | {off} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Print a table for each case."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.methods")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    for name in parser.parse_args().cases:
        case = Case(name)
        sites = case.table[case.site].nunique()
        whole = fit(case.formula, case.table, family="binomial")
        found = averaged(site_fits(case, whole.names), sites)
        found += [federated(case, way) for way in ROUNDS]
        sys.stdout.write(markdown(case, [*found, pooled(case, whole)]))


if __name__ == "__main__":
    main()
