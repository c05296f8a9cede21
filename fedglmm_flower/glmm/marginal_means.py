"""Estimated marginal means of factor levels, as R's emmeans gives them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from fedglmm_flower.errors import UsageError
from fedglmm_flower.glmm.fitted import FittedModel, Theta
from fedglmm_flower.glmm.predict import response_mean
from fedglmm_flower.glmm.reference_grid import ReferenceGrid
from fedglmm_flower.glmm.rows import FloatArray
from fedglmm_flower.glmm.satterthwaite import satterthwaite

Weights = Literal["equal", "proportional", "outer"]
_STEP = 1e-5


@dataclass(frozen=True)
class MarginalMeans:
    """
    Means of the linear predictor over a reference grid, one for each combination.

    Attributes
    ----------
    factors : tuple of str
    levels : tuple of tuple of str
        One level of each factor, m combinations.
    linear : array of shape (m, p)
        Weights of the coefficients: ``estimates = linear @ beta + offset``.
    estimates, se, df, low, high : arrays of shape (m,)
        On the link scale; `df` is infinite where the normal distribution is used.
    mean, mean_se, mean_low, mean_high : arrays of shape (m,)
        On the scale of the response, for a cluster of effect zero; errors by the delta
        method, limits carried over from the link scale.
    level : float
        Of the intervals.
    fitted : FittedModel
    theta : {"joint", "fixed"}
    """

    factors: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    linear: FloatArray
    estimates: FloatArray
    se: FloatArray
    df: FloatArray
    low: FloatArray
    high: FloatArray
    mean: FloatArray
    mean_se: FloatArray
    mean_low: FloatArray
    mean_high: FloatArray
    level: float
    fitted: FittedModel = field(repr=False, compare=False)
    theta: Theta = "joint"

    def table(self, scale: Literal["link", "response"] = "link") -> pd.DataFrame:
        """One line for each combination."""
        levels = zip(*self.levels, strict=True)
        keys = dict(zip(self.factors, map(list, levels), strict=True))
        if scale == "link":
            numbers = (self.estimates, self.se, self.df, self.low, self.high)
        else:
            numbers = (
                self.mean, self.mean_se, self.df, self.mean_low, self.mean_high
            )  # fmt: skip
        names = ("mean", "se", "df", "low", "high")
        return pd.DataFrame({**keys, **dict(zip(names, numbers, strict=True))})


def marginal_means(
    fitted: FittedModel,
    factors: str | Sequence[str],
    *,
    at: Mapping[str, Any] | None = None,
    weights: Weights = "equal",
    offset: float = 0.0,
    level: float = 0.95,
    theta: Theta = "joint",
) -> MarginalMeans:
    """
    Estimated marginal means of a factor, or of combinations of several.

    The linear predictor is taken at every combination of the model's factor levels,
    with each covariate at its mean, and averaged over the other factors (Searle, Speed
    & Milliken 1980).  A 0/1 column counts as a factor.  An expression such as
    ``log(x)`` is held at its own mean, where emmeans takes the logarithm of the mean:
    sums of a federation tell the former only.

    Parameters
    ----------
    fitted : FittedModel
        Fitted by a formula.
    factors : str or sequence of str
        What the means are of.
    at : mapping, optional
        Covariates to the number they are held at; factors to the level or levels that
        the grid is kept to.
    weights : {"equal", "proportional", "outer"}
        How the other factors are averaged: evenly, by how often their combinations
        occur, or by the product of how often each level occurs.  Rows are counted
        with their weights; of a federated fit, trials and exposure are counted.
    offset : float
        Added on the link scale; 0 is one unit of exposure.
    level : float
        Of the intervals: normal, or t with Satterthwaite's degrees of freedom for
        gaussian models.
    theta : {"joint", "fixed"}
        See `FittedModel.covariance_of`.

    Raises
    ------
    UsageError
        If a factor is not in the model, or the fit does not tell a mean it needs.

    Examples
    --------
    >>> from fedglmm_flower.glmm import fit
    >>> table = pd.DataFrame({"y": [1.0, 2.0, 4.0, 3.0, 7.0, 6.0], "f": list("aabbcc")})
    >>> means = marginal_means(fit("y ~ f", table, family="gaussian"), "f")
    >>> means.table()[["f", "mean"]].round(6).values.tolist()
    [['a', 1.5], ['b', 3.5], ['c', 6.5]]
    """
    wanted = (factors,) if isinstance(factors, str) else tuple(factors)
    grid = ReferenceGrid(fitted, at)
    names = [grid.model.atoms[j].name for j in grid.factors]
    unknown = [name for name in wanted if name not in names]
    if unknown or not wanted:
        raise UsageError(
            f"marginal means: found {(unknown or ['no factor'])[0]!r}; the factors of "
            f"the fixed part are {', '.join(names) or 'none'}"
        )
    places = [names.index(name) for name in wanted]
    levels, linear = _averages(grid, places, weights)
    V = fitted.covariance_of(theta)
    estimates = linear @ fitted.estimates + offset
    se = np.sqrt(np.maximum(np.einsum("mp,pq,mq->m", linear, V, linear), 0.0))
    df = degrees_of(fitted, linear)
    half = stdtrit(df, 0.5 + 0.5 * level) * se
    mean_at = response_mean(fitted, np.zeros(1))
    slope = (mean_at(estimates + _STEP) - mean_at(estimates - _STEP)) / (2 * _STEP)
    low, high = estimates - half, estimates + half
    return MarginalMeans(
        factors=wanted,
        levels=levels,
        linear=linear,
        estimates=estimates,
        se=se,
        df=df,
        low=low,
        high=high,
        mean=mean_at(estimates),
        mean_se=np.abs(slope) * se,
        mean_low=mean_at(low),
        mean_high=mean_at(high),
        level=level,
        fitted=fitted,
        theta=theta,
    )


def degrees_of(fitted: FittedModel, linear: FloatArray) -> FloatArray:
    """Degrees of freedom of linear functions of the coefficients."""
    if fitted.family == "gaussian":
        return satterthwaite(fitted, linear)
    return np.full(len(linear), np.inf)


def _averages(
    grid: ReferenceGrid, places: Sequence[int], weights: Weights
) -> tuple[tuple[tuple[str, ...], ...], FloatArray]:
    """Combinations of the wanted factors, and their weights of the coefficients."""
    if weights not in ("equal", "proportional", "outer"):
        raise UsageError(
            f"weights: found {weights!r}; write equal, proportional or outer"
        )
    others = [i for i in range(len(grid.factors)) if i not in places]
    share: dict[tuple[int, ...], float] = {}
    sums: dict[tuple[int, ...], FloatArray] = {}
    totals: dict[tuple[int, ...], float] = {}
    for codes in grid.combinations():
        rest = tuple(codes[i] for i in others)
        if rest not in share:
            if weights == "equal":
                share[rest] = 1.0
            elif weights == "proportional":
                share[rest] = grid.share(others, rest)
            else:
                each = [grid.share([i], [c]) for i, c in zip(others, rest, strict=True)]
                share[rest] = float(np.prod(each))
        key = tuple(codes[i] for i in places)
        part = share[rest] * grid.columns(codes)
        sums[key] = sums[key] + part if key in sums else part
        totals[key] = totals.get(key, 0.0) + share[rest]
    # The last factor named varies slowest, as emmeans lists them.
    keys = sorted(sums, key=lambda key: key[::-1])
    atoms = [grid.model.atoms[grid.factors[i]] for i in places]
    levels = tuple(
        tuple(atom.levels[c] for atom, c in zip(atoms, key, strict=True))
        for key in keys
    )
    return levels, np.array([sums[key] / totals[key] for key in keys])
