"""
Claim: Newton steps on the sites' own likelihoods give the pooled fit, and say how far
the one round was from it.

The questions of ``benchmarks.references``, through the sites' scores (without gate and
messages, which change no digit), against our own pooled engine.

Run: ``python -m benchmarks.refinement --results refinement.jsonl``; what stands in the
results file is not fitted again.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.records import Record, read
from benchmarks.references import DEFAULT, NAMES, Question, asked, questions
from benchmarks.simulation.one import opened
from fedglmm_flower.coordinator.combine import Combined
from fedglmm_flower.coordinator.fitting import fit_releases, silent
from fedglmm_flower.coordinator.refine import refine
from fedglmm_flower.errors import FedglmmError
from fedglmm_flower.glmm import FittedModel
from fedglmm_flower.glmm.rows import FloatArray
from fedglmm_flower.site.memory import SiteMemory
from fedglmm_flower.site.policy import NO_DISCLOSURE_CONTROL
from fedglmm_flower.site.scored import Point, ReleasedScore
from fedglmm_flower.site.scoring import score
from fedglmm_flower.site.whole_table import TableStudy

STEPS = (1, 3)
# Standard errors to the pooled fit after three steps, and gain of the first.
NEAR, GAIN = 1e-6, 20.0
ALREADY = 1e-7  # standard errors: nothing is left to gain


class Unrecorded(SiteMemory):
    """A memory that keeps nothing: every case is asked again."""

    def admit(self, *_: object, **__: object) -> None:
        """Let every point pass."""


def measure(question: Question) -> Record:
    """Distances from the pooled fit after each number of steps."""
    record: Record = question._asdict()
    try:
        table = asked(question, DEFAULT)
        study = table.study
        answers = opened(table)
        seed = int(study.digest[:12], 16)
        one = fit_releases(study, answers, "laplace", seed, silent, judged=False)
        pooled = table.pooled_fit(study.sites, "laplace")
    except FedglmmError as error:
        return {**record, "failed": f"{type(error).__name__}: {error}"}
    record |= {
        "exact": one.exact,
        "verdicts": [verdict.name for verdict in pooled.verdicts],
        "one": _distance(one.model, pooled),
        "steps": {},
    }
    combined = Combined(study, answers, {}, one, "laplace", "benchmark", 0.0, seed)
    for steps in STEPS:
        found = refine(combined, Asking(table), steps).to_dict()
        notes = found["diagnostics"]["refinement"]
        estimates = np.array([row["estimate"] for row in found["fixed"]])
        sds = [row["sd"] for row in found["random"] if "sd" in row]
        record["steps"][str(steps)] = {
            "fixed": float(np.abs((estimates - pooled.estimates) / pooled.se).max()),
            "sd": float(np.abs(np.subtract(sds, _sds(pooled))).max(initial=0.0)),
            "se": float(
                np.abs(
                    [
                        row["se"] / s - 1
                        for row, s in zip(found["fixed"], pooled.se, strict=True)
                    ]
                ).max()
            ),
            "loglik": abs(found["loglik"] - pooled.loglik),
            "rounds": notes["rounds"],
            "state": notes["state"],
        }
    return record


class Asking:
    """The sites of a table, asked as functions."""

    def __init__(self, table: TableStudy) -> None:
        study = replace(table.study, rounds=max(STEPS) + 1)
        self.table = replace(table, study=study)

    def __call__(
        self, point: Point, sites: tuple[str, ...]
    ) -> dict[str, ReleasedScore]:
        """Scores of the sites."""
        return {
            site: score(
                self.table.study,
                self.table.source(site),
                NO_DISCLOSURE_CONTROL,
                point,
                site=site,
                asked=Unrecorded(Path()),
            )
            for site in sites
        }


def _sds(fitted: FittedModel) -> FloatArray:
    return np.concatenate([term.sd for term in fitted.random])


def _distance(fitted: FittedModel, pooled: FittedModel) -> dict[str, float]:
    shift = np.abs((fitted.estimates - pooled.estimates) / pooled.se)
    sd = np.abs(_sds(fitted) - _sds(pooled))
    return {"fixed": float(shift.max()), "sd": float(sd.max(initial=0.0))}


def markdown(found: list[Record]) -> str:
    """One line for each question."""
    lines = [
        "| case | formula | one round | 1 step | gain | 3 steps | sd | rounds | kept |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for r in found:
        formula = r["formula"].replace("|", "\\|")
        name = r["link"] if r["family"] == "binomial" else r["family"]
        if "failed" in r:
            lines.append(f"| {r['name']}, {name} | `{formula}` | {r['failed']} |")
            continue
        before = r["one"]["fixed"]
        first, last = r["steps"]["1"], r["steps"]["3"]
        gain = before / max(first["fixed"], 1e-16)
        if r["exact"] or before < ALREADY:
            told, kept = "", "exact after one round"
        else:
            good = last["fixed"] <= NEAR and (gain >= GAIN or first["fixed"] <= NEAR)
            told, kept = f"{gain:,.0f}", "yes" if good else "**no**"
        lines.append(
            f"| {r['name']}, {name} | `{formula}` | {before:.1e} | "
            f"{first['fixed']:.1e} | {told} | {last['fixed']:.1e} | {last['sd']:.0e} | "
            f"{last['rounds']} | {kept} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Fit what is missing, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refinement")
    parser.add_argument("--results", type=Path, default=Path("refinement.jsonl"))
    parser.add_argument("--cases", nargs="+", default=list(NAMES))
    options = parser.parse_args()
    found = read(options.results)
    have = {tuple(r[k] for k in Question._fields) for r in found}
    with threadpool_limits(1):
        for question in questions():
            if tuple(question) in have or question.name not in options.cases:
                continue
            found.append(measure(question))
            with options.results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(found[-1]) + "\n")
    sys.stdout.write(markdown(found))


if __name__ == "__main__":
    main()
