"""One hospital's table and the studies that are asked of it."""

import numpy as np
import pandas as pd
import pytest

from fedglmm_flower.site import FrameSource, Policy
from fedglmm_flower.site.moments import Moments
from fedglmm_flower.site.summarise import summarise
from fedglmm_flower.study import Column, Study
from fedglmm_flower.study.families import resolve_link

COLUMNS = (
    Column("age", "continuous", low=0.0, high=120.0, center=60.0, scale=10.0),
    Column("cost", "continuous", low=0.0, center=4.0, scale=2.0),
    Column("count", "continuous", low=0.0),
    Column("died", "binary"),
    Column("exposure", "continuous", low=0.0),
    Column("female", "binary"),
    Column("stage", "categorical", ("I", "II", "III")),
    Column("trials", "continuous", low=0.0),
    Column("weight", "continuous"),
)
LENIENT = Policy(
    min_rows=1,
    rows_per_statistic=1e-9,
    min_cell=3,
    dominance_one=1.0,
    dominance_two=1.0,
)


def ask(formula: str, family: str = "gaussian", **changes) -> Study:
    """A study of the table."""
    parts = {
        "name": "asked",
        "formula": formula,
        "family": family,
        "link": resolve_link(family, None),
        "method": "reml" if family == "gaussian" else "laplace",
        "site_column": "hospital",
        "columns": COLUMNS,
        "sites": ("north", "south"),
        **changes,
    }
    return Study(**parts)


STUDIES = {
    "gaussian": ask("cost ~ age*stage + offset(exposure) + (1 | hospital)"),
    "gaussian, weights": ask("cost ~ age + female + (1 | hospital)", weights="weight"),
    "gaussian, log": ask("log(exposure) ~ log(cost + 1)", scales=(("x", 0.0, 1.0),)),
    "logit": ask("died ~ age + I(age**2) + stage:female + (1 | hospital)", "binomial"),
    "logit, trials": ask(
        "cbind(count, trials - count) ~ age*female + offset(log(exposure))",
        "binomial",
        weights="weight",
        order=3,
    ),
    "poisson": ask("count ~ age + stage + (1 | hospital)", "poisson", order=3),
    "poisson, exposure": ask(
        "count ~ age*stage + offset(log(exposure))", "poisson", weights="weight"
    ),
    "probit": ask("died ~ age*female + (1 | hospital)", "binomial", link="probit"),
    "cloglog, trials": ask(
        "cbind(count, trials - count) ~ age + stage + offset(log(exposure))",
        "binomial",
        link="cloglog",
        weights="weight",
        order=3,
    ),
    "gamma": ask("cost ~ age + stage + (1 | hospital)", "gamma", order=3),
    "gamma, exposure": ask(
        "cost ~ age*stage + offset(log(exposure))", "gamma", weights="weight"
    ),
    "nbinom2": ask(
        "trials ~ age*female + offset(log(exposure))", "nbinom2", weights="weight"
    ),
}


def patients(n: int, seed: int = 7) -> pd.DataFrame:
    """Complete rows with values of every kind."""
    rng = np.random.default_rng(seed)
    trials = rng.integers(1, 9, n)
    return pd.DataFrame(
        {
            "age": rng.normal(60, 10, n).clip(20, 99).round(2),
            "cost": rng.gamma(4, 1, n).round(3),
            "count": rng.binomial(trials, 0.4).astype(float),
            "died": rng.integers(0, 2, n),
            "exposure": rng.uniform(0.5, 2, n).round(3),
            "female": rng.integers(0, 2, n),
            "stage": rng.choice(["I", "II", "III"], n),
            "trials": trials,
            "weight": rng.choice([0.5, 1.0, 2.0], n),
            "hospital": "north",
        }
    )


def moments_of(study: Study, frame: pd.DataFrame) -> Moments:
    """Sums of a table in memory."""
    return summarise(study, FrameSource(frame), site="north")


@pytest.fixture
def table() -> pd.DataFrame:
    """Four hundred patients."""
    return patients(400)


@pytest.fixture(scope="session")
def server():
    """A real PostgreSQL, or a skip that says what is missing."""
    pytest.importorskip("psycopg")
    from tests.site.postgres import running

    with running() as started:
        yield started
