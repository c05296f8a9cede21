"""Reference models as arrays, built with formulaic and apart from ``study/``."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from formulaic import model_matrix

from fedglmm_flower.glmm import ModelRows, RandomTerm

HERE = Path(__file__).parent
# Too large to be kept twice.
GUSTO = HERE.parent.parent / "examples" / "gusto"


@cache
def load(name: str) -> tuple[dict[str, Any], pd.DataFrame]:
    """A reference set: its description with fits, and its table."""
    folder = GUSTO if name == "gusto" else HERE
    about: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    table = pd.read_csv(folder / f"{name}.csv")
    for column, levels in about.get("factors", {}).items():
        table[column] = pd.Categorical(table[column].astype(str), levels)
    return about, table


def method_of(fit: dict[str, Any]) -> str:
    """The name here of a reference fit's method."""
    name = str(fit["method"])
    if name.startswith("AGQ"):
        return "aghq:" + name.split()[1]
    return name.lower() if name in ("REML", "ML") else "laplace"


def _random(formula: str, table: pd.DataFrame) -> tuple[RandomTerm, ...]:
    terms = []
    for inside in re.findall(r"\(([^()|]*\|[^()]*)\)", formula):
        left, right = (part.strip() for part in inside.split("|"))
        Z = model_matrix(left, table)
        names = tuple(str(c) for c in Z.columns)
        pieces = [p.strip() for p in re.split("[/:]", right)]
        depths = range(1, len(pieces) + 1) if "/" in right else [len(pieces)]
        for depth in depths:
            keys = table[pieces[:depth]].astype(str).agg(":".join, axis=1)
            codes, levels = pd.factorize(keys)
            terms.append(
                RandomTerm(
                    ":".join(pieces[:depth]),
                    names,
                    codes.astype(np.intp),
                    tuple(levels),
                    np.asarray(Z, dtype=np.float64),
                )
            )
    return tuple(terms)


def reference_rows(name: str, formula: str) -> ModelRows:
    """The rows of one reference formula; basis functions are the columns."""
    _, table = load(name)
    n = len(table)
    left, right = formula.replace("^", "**").split("~", 1)
    offset = re.search(r"\+ offset\((.*?\))\)", right)
    plain = re.sub(r"\+ (offset\(.*?\)\)|\([^()]*\|[^()]*\))", "", right)
    X = model_matrix(plain.strip(), table, ensure_full_rank=True)
    trials = np.ones(n)
    if left.startswith("cbind"):
        response = table["incidence"].to_numpy(np.float64)
        trials = table["size"].to_numpy(np.float64)
    else:
        column = table[left.strip()]
        if isinstance(column.dtype, pd.CategoricalDtype):
            response = (column.cat.codes == 1).to_numpy(np.float64)
        else:
            response = column.to_numpy(np.float64)
    logs = np.zeros(n)
    if offset:
        logs = np.log(table["expected"].to_numpy(np.float64))
    columns = np.asarray(X, dtype=np.float64)
    return ModelRows(
        tuple(str(c) for c in X.columns),
        columns,
        np.eye(columns.shape[1]),
        response,
        np.ones(n),
        trials,
        logs,
        _random(formula, table),
        None,
        n,
    )
