"""
Families with two measures: canonical and anchored sets, error against numbers sent.

Run: ``python -m benchmarks.release_sets.clouds --results clouds.jsonl``.  What stands
in the results file is not measured again.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr
from threadpoolctl import threadpool_limits

from benchmarks.records import read
from benchmarks.release_sets.cases import Case, table_study
from benchmarks.release_sets.fitting import drawn, shift_of
from benchmarks.release_sets.table import set_table
from fedglmm_flower.coordinator.targets import Targets, targets_of
from fedglmm_flower.errors import FedglmmError
from fedglmm_flower.glmm.anchor import AnchorFrame
from fedglmm_flower.site import ClusterRelease
from fedglmm_flower.site.summarise import summarise
from fedglmm_flower.study.offers import Offer
from fedglmm_flower.study.release import release_statistics
from tests.reference.rows import load

_REAL = {
    "contraception, probit": ("contraception", 0, "binomial", "probit"),
    "contraception, cloglog": ("contraception", 0, "binomial", "cloglog"),
    "salamanders, NB2": ("salamanders", 1, "nbinom2", "log"),
    "epil, NB2": ("epil", 0, "nbinom2", "log"),
}
_SIMULATED = {
    "simulated, probit": ("binomial", "probit"),
    "simulated, cloglog": ("binomial", "cloglog"),
    "simulated, NB2": ("nbinom2", "log"),
}
NAMES = (*_REAL, *_SIMULATED)
HIGHEST = 5
# How far a public anchor is off, in standard deviations of every column.
AWAY = 0.3
_OFFERS: tuple[Offer, ...] = (("anchored", HIGHEST), ("canonical", HIGHEST))


def case(name: str) -> Case:
    """A case by its name."""
    if name in _REAL:
        reference, which, family, link = _REAL[name]
        about, frame = load(reference)
        formulas = about.get("formulas", about["formula"])
        formula = formulas if isinstance(formulas, str) else formulas[which]
        formula, site = formula.replace("^", "**"), about["site"]
        levels = {c: f for c, f in about["factors"].items() if c != site}
        levels = {c: f for c, f in levels.items() if c in formula}
    else:
        family, link = _SIMULATED[name]
        frame, formula, site, levels = (
            simulated(family, link),
            "y ~ x + (1 | g)",
            "g",
            {},
        )
    asked = table_study(frame, formula, family, site, levels, _OFFERS, link=link)
    return Case(name, asked, HIGHEST)


def simulated(family: str, link: str, seed: int = 5) -> pd.DataFrame:
    """Twenty sites of 200 rows and one strong, skewed column."""
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(20), 200)
    x = rng.gamma(3.0, 1.0, len(g)) / np.sqrt(3.0) + rng.normal(0, 0.3, 20)[g]
    effect = rng.normal(0, 0.5, 20)[g]
    if family == "nbinom2":
        mean = np.exp(-1.0 + 0.9 * x + effect)
        y = rng.poisson(mean * rng.gamma(1.5, 1 / 1.5, len(g)))
    else:
        eta = -2.0 + 1.2 * x + effect
        p = ndtr(eta) if link == "probit" else -np.expm1(-np.exp(eta))
        y = (rng.random(len(g)) < p).astype(int)
    return pd.DataFrame({"g": [f"s{k:02}" for k in g], "x": x, "y": y})


def at_public(one: Case, order: int) -> dict[str, Targets]:
    """What a public anchor fixes, off the pooled fit by :data:`AWAY`."""
    model = one.model
    frame = AnchorFrame(model)
    turn = np.where(np.arange(len(frame.columns)) % 2, -AWAY, AWAY)
    anchor = one.pooled.estimates + frame.transform.T @ turn
    names = [column.name for column in model.fixed]
    study = replace(
        one.table.study,
        release_set="public",
        order=order,
        accept=(("public", order),),
        anchor=tuple(sorted(zip(names, map(float, anchor), strict=True))),
    )
    statistics, found = study.statistics(order), {}
    for site in study.sites:
        moments = summarise(study, one.table.source(site), site=site)
        at = dict(zip(moments.statistics, moments.values, strict=True))
        values = tuple(float(at[s]) for s in statistics)
        cluster = ClusterRelease((), moments.n_rows, values)
        found[site] = targets_of(
            model, statistics, cluster, site, public=study.anchor_values
        )
    return found


def measured(one: Case, label: str) -> dict[str, Any]:
    """Numbers sent and shifts of one set."""
    kind, _, tail = label.partition(" K=")
    order = int(tail[0])
    name = {"plain": "canonical"}.get(kind, kind)
    sent = release_statistics(one.model, name, order)
    count = len(sent)
    targets = at_public(one, order) if name == "public" else one.targets(name, order)
    if "no bend" in label:
        targets = {site: t.unbent() for site, t in targets.items()}
        count -= sum(s.role == "bend" for s in sent)
    shift = shift_of(one, targets, drawn(one, targets, 2))
    return {"statistics": count, **vars(shift)}


SETS = (
    *(f"plain K={k}" for k in (2, 3, 4, 5)),
    *(f"anchored K={k}" for k in (1, 2, 3, 4)),
    *(f"anchored K={k}, no bend" for k in (2, 3)),
    *(f"public K={k}" for k in (2, 3)),
)


def main() -> None:
    """Measure what is missing, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.release_sets.clouds")
    parser.add_argument("--results", type=Path, default=Path("clouds.jsonl"))
    parser.add_argument("--cases", nargs="+", default=list(NAMES))
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    options = parser.parse_args()
    found = read(options.results)
    have = {(r["case"], r["label"]) for r in found}
    with threadpool_limits(1):
        for name in options.cases:
            wanted = [s for s in options.sets if (name, s) not in have]
            one = case(name) if wanted else None
            for label in wanted:
                assert one is not None  # noqa: S101 - something is wanted of it
                record: dict[str, Any] = {"case": name, "label": label}
                try:
                    record |= measured(one, label)
                except FedglmmError as error:
                    record["failed"] = str(error)
                found.append(record)
                with options.results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
    found = [r for r in found if r["case"] in options.cases]
    found.sort(key=lambda r: (NAMES.index(r["case"]), SETS.index(r["label"])))
    sys.stdout.write("\n".join(set_table(found, options.cases)) + "\n")


if __name__ == "__main__":
    main()
