"""
Claim: one round agrees with the pooled fit on real data, and says how far it is off.

Every stored reference set that is not gaussian and has effects of its sites alone, with
the set that is asked by default, against our own pooled engine.

Run: ``python -m benchmarks.references --results references.jsonl``; what stands in the
results file is not fitted again.
"""

import argparse
import json
import re
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.records import Record, read
from benchmarks.simulation.one import opened
from fedglmm_flower.coordinator.fitting import fit_releases, silent
from fedglmm_flower.errors import FedglmmError
from fedglmm_flower.site.whole_table import Table, TableStudy, study_of_table
from fedglmm_flower.study.offers import write_offer
from tests.reference.rows import load

NAMES = (
    "cbpp",
    "mmmec",
    "salamanders",
    "epil",
    "contraception",
    "chop",
    "toenail",
    "verbagg",
    "gusto",
    "dietox_gamma",
)
# Families and links beside that of the reference itself.
OTHERS = {
    "mmmec": (("nbinom2", "log"),),
    "salamanders": (("nbinom2", "log"),),
    "epil": (("nbinom2", "log"),),
    "contraception": (("binomial", "probit"), ("binomial", "cloglog")),
}
DEFAULT = "default"
# Bounds of shifts in standard errors and of the sd, by the rows of the smallest site.
LOOSE, TIGHT, ROWS_FOR_TIGHT = (0.1, 0.01), (0.02, 0.002), 50


class Question(NamedTuple):
    """A model of a reference set."""

    name: str
    formula: str
    family: str
    link: str


def questions() -> list[Question]:
    """Reference sets with their formulas, families and links."""
    found = []
    for name in NAMES:
        about, _ = load(name)
        formulas = about.get("formulas", about.get("formula", []))
        own = (about["family"].lower(), about["link"])
        for formula in [formulas] if isinstance(formulas, str) else formulas:
            groups = re.findall(r"\|\s*([^()]*?)\s*\)", formula)
            if all(re.match(rf"{about['site']}\b", group) for group in groups):
                for family, link in (own, *OTHERS.get(name, ())):
                    found.append(Question(name, formula, family, link))
    return found


def asked(question: Question, release_set: str) -> TableStudy:
    """The study of a reference set, as a simulation proposes it."""
    name, formula = question.name, question.formula
    about, table = load(name)
    levels = {
        column: values
        for column, values in about.get("factors", {}).items()
        if re.search(rf"\b{column}\b", formula) and column != about["site"]
    }
    wanted, order = release_set.split(":") if ":" in release_set else (None, None)
    return study_of_table(
        Table(table, name),
        formula.replace("^", "**"),
        question.family,
        link=question.link,
        site_column=about["site"],
        trials=None,
        offset=None,
        weights=None,
        levels=levels,
        study=None,
        order=None if order is None else int(order),
        release_set=wanted,
        method="laplace",
    )


def measure(question: Question, release_set: str) -> Record:
    """Distance from the pooled fit, with all that the accuracy is judged by."""
    record: Record = {
        "case": question.name,
        "formula": question.formula,
        "family": question.family,
        "link": question.link,
        "set": release_set,
    }
    began = time.process_time()
    try:
        table = asked(question, release_set)
        study = table.study
        answers = opened(table)
        seed = int(study.digest[:12], 16)
        one = fit_releases(study, answers, "laplace", seed, silent)
        pooled = table.pooled_fit(study.sites, "laplace")
    except FedglmmError as error:
        return {**record, "failed": f"{type(error).__name__}: {error}"}
    sds = np.concatenate([term.sd for term in one.model.random])
    record |= {
        "asked": write_offer(study.offers[0]),
        "statistics": max(len(a.released.clusters[0].values) for a in answers.values()),
        "sites": len(answers),
        "least_rows": min(a.n_rows for a in answers.values()),
        "without_anchor": sum(
            a.released.release_set != study.release_set for a in answers.values()
        ),
        "exact": one.exact,
        "residual": one.residual,
        "names": list(pooled.names),
        "estimates": one.model.estimates.tolist(),
        "se": np.nan_to_num(one.model.se).tolist(),
        "sd": sds.tolist(),
        "pooled": pooled.estimates.tolist(),
        "pooled_se": np.nan_to_num(pooled.se).tolist(),
        "pooled_sd": np.concatenate([t.sd for t in pooled.random]).tolist(),
        "loglik": [one.model.loglik, pooled.loglik],
    }
    accuracy = one.accuracy
    if accuracy is not None:
        parts = {
            "shift": accuracy.order_shift,
            "spread": accuracy.seed_spread,
            "sd_shift": accuracy.sd_shift,
            "sd_spread": accuracy.sd_spread,
            "start_shift": accuracy.start_shift,
            "sd_start_shift": accuracy.sd_start_shift,
            "approx_error": accuracy.error,
            "sd_error": accuracy.sd_error,
        }
        record |= {k: None if v is None else v.tolist() for k, v in parts.items()}
        record["missed"] = accuracy.missed
    return {**record, "seconds": round(time.process_time() - began, 1)}


def markdown(found: list[Record]) -> str:
    """One line for each fit of the default set."""
    heads = "case | formula | set | numbers | sites | rows, smallest | shift, SE | sd"
    lines = [
        f"| {heads} | residual | bounds, SE and sd |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    place = {question: i for i, question in enumerate(questions())}
    found = [r for r in found if r["set"] == DEFAULT]
    for r in sorted(found, key=lambda r: place[_question(r)]):
        formula = r["formula"].replace("|", "\\|")
        if "failed" in r:
            lines.append(f"| {r['case']} | `{formula}` | {r['failed']} |")
            continue
        steps = np.subtract(r["estimates"], r["pooled"])
        shift = float(np.abs(steps / np.array(r["pooled_se"])).max())
        sd = float(np.abs(np.subtract(r["sd"], r["pooled_sd"])).max())
        bounds = TIGHT if r["least_rows"] >= ROWS_FOR_TIGHT else LOOSE
        if r["exact"]:
            kept = bool(np.abs(steps).max() < 1e-8 and sd < 1e-8)
        else:
            kept = shift <= bounds[0] and sd <= bounds[1]
        if r["case"] == "chop":
            kept = kept and float(np.abs(steps).max()) <= 0.002
        said = "exact" if r["exact"] else f"{bounds[0]:g}, {bounds[1]:g}"
        lines.append(
            f"| {r['case']}, {_named(r)} | `{formula}` | {r['asked']} | "
            f"{r['statistics']} | "
            f"{r['sites']} | {r['least_rows']} | {shift:.2g} | {sd:.1e} | "
            f"{r['residual']:.0e} | {said}: {'kept' if kept else '**missed**'} |"
        )
    return "\n".join([*lines, ""])


def _named(record: Record) -> str:
    family, link = str(record["family"]), str(record["link"])
    return link if family == "binomial" else family


def _question(record: Record) -> Question:
    return Question(*(record[k] for k in ("case", "formula", "family", "link")))


def main() -> None:
    """Fit what is missing, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.references")
    parser.add_argument("--results", type=Path, default=Path("references.jsonl"))
    parser.add_argument("--sets", nargs="+", default=[DEFAULT])
    parser.add_argument("--cases", nargs="+", default=list(NAMES))
    options = parser.parse_args()
    found = read(options.results)
    have = {(_question(r), r["set"]) for r in found}
    with threadpool_limits(1):
        for release_set in options.sets:
            for question in questions():
                known = (question, release_set) in have
                if known or question.name not in options.cases:
                    continue
                found.append(measure(question, release_set))
                with options.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(found[-1]) + "\n")
    sys.stdout.write(markdown(found))


if __name__ == "__main__":
    main()
