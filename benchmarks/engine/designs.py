"""The designs: seeded rows, and the formula that made them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

FIXED = "y ~ x1 + x2 + x3 + x4 + x5"
_BETA = np.array([0.5, -0.4, 0.3, 0.0, 0.6])


@dataclass(frozen=True)
class Design:
    """
    One question and the size of its table.

    Parameters
    ----------
    name : str
    family : {"binomial", "poisson", "gaussian"}
    random : str
        Random part of the formula.
    groups, each : int
        Groups, and rows of each.
    method : str
        Estimator, as the engine names it.
    """

    name: str
    family: str
    random: str
    groups: int
    each: int
    method: str = "laplace"

    @property
    def formula(self) -> str:
        """In lme4's syntax."""
        return f"{FIXED} + {self.random}"

    def rows(self) -> pd.DataFrame:
        """Four normal columns, one of zeros and ones, and group effects of sd 0.7."""
        rng = np.random.default_rng(self.groups)
        n = self.groups * self.each
        g = np.repeat(np.arange(self.groups), self.each)
        X = rng.normal(size=(n, 5))
        X[:, 4] = X[:, 4] > 0.5
        eta = -0.5 + X @ _BETA + 0.7 * rng.normal(size=self.groups)[g]
        frame = pd.DataFrame(X, columns=[f"x{k}" for k in range(1, 6)]).assign(g=g)
        if "x1 |" in self.random:
            eta += 0.3 * rng.normal(size=self.groups)[g] * X[:, 0]
        if "/" in self.random:
            c = np.arange(n) * 10 // self.each
            eta += 0.4 * rng.normal(size=10 * self.groups)[c]
            frame = frame.assign(c=c)
        if self.family == "binomial":
            return frame.assign(y=(rng.random(n) < 1 / (1 + np.exp(-eta))).astype(int))
        if self.family == "poisson":
            return frame.assign(y=rng.poisson(np.exp(0.6 * eta)))
        return frame.assign(y=eta + rng.normal(size=n))


DESIGNS = (
    Design("logistic, 100 x 1,000", "binomial", "(1 | g)", 100, 1000),
    Design("logistic, 1,000 x 200", "binomial", "(1 | g)", 1000, 200),
    Design("Poisson, 100 x 1,000", "poisson", "(1 | g)", 100, 1000),
    Design("Poisson, 1,000 x 200", "poisson", "(1 | g)", 1000, 200),
    Design("logistic, slope, 100 x 1,000", "binomial", "(1 + x1 | g)", 100, 1000),
    Design("logistic, nested, 100 x 10 x 100", "binomial", "(1 | g/c)", 100, 1000),
    Design("logistic, AGHQ 7, 100 x 1,000", "binomial", "(1 | g)", 100, 1000, "aghq:7"),
    Design(
        "linear, slope, REML, 1,000 x 200",
        "gaussian",
        "(1 + x1 | g)",
        1000,
        200,
        "reml",
    ),
)
