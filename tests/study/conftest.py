"""Two studies: GUSTO's five predictors, and one with every kind of part."""

import pytest

from fedglmm_flower.study import Column, Study

GUSTO = Study(
    name="gusto",
    formula="day30 ~ age10 + sysbp10 + pulse10 + hf + pmi + (1 | grpl)",
    family="binomial",
    link="logit",
    method="laplace",
    site_column="grpl",
    columns=(
        Column("age10", "continuous", center=6.0, scale=1.2),
        Column("day30", "binary", low=0.0, high=1.0),
        Column("hf", "binary", low=0.0, high=1.0),
        Column("pmi", "categorical", ("no", "yes")),
        Column("pulse10", "continuous", low=0.0, high=25.0),
        Column("sysbp10", "continuous", low=0.0),
    ),
    sites=("1", "2"),
)


@pytest.fixture
def gusto() -> Study:
    """Three continuous and two 0/1 predictors."""
    return GUSTO


def small(formula: str, family: str = "gaussian", **changes) -> Study:
    """A study of two sites over columns of every kind."""
    link = {"gaussian": "identity", "binomial": "logit", "poisson": "log"}[family]
    parts = {
        "name": "small",
        "formula": formula,
        "family": family,
        "link": link,
        "method": "reml" if family == "gaussian" else "laplace",
        "site_column": "hospital",
        "columns": (
            Column("e", "continuous", unit="years", low=0.5),
            Column("f", "categorical", ("a", "b", "c")),
            Column("n", "continuous"),
            Column("w", "continuous"),
            Column("x", "continuous", center=2.0, scale=3.0),
            Column("y", "continuous"),
            Column("z", "binary", low=0.0, high=1.0),
        ),
        "sites": ("north", "south"),
        **changes,
    }
    return Study(**parts)
