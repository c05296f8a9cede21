"""Pairwise contrasts of marginal means, with p values for many comparisons."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd
import scipy  # scipy.stats loads where it is used: it takes a third of a second
from scipy.special import stdtr, stdtrit

from fedglmm_flower.errors import UsageError
from fedglmm_flower.glmm.marginal_means import MarginalMeans, degrees_of
from fedglmm_flower.glmm.rows import FloatArray

Adjust = Literal["none", "tukey", "holm", "bonferroni"]
_ASYMPTOTIC = 1e6  # degrees of freedom that stand for infinitely many


@dataclass(frozen=True)
class Contrasts:
    """
    Differences of marginal means on the link scale.

    Attributes
    ----------
    names : tuple of str
    estimates, se, df, statistic, p, low, high : arrays of shape (m,)
        `p`, `low` and `high` are adjusted for the number of comparisons.
    adjust : str
    ratios : bool
        Whether `exp` of a difference is a ratio: of odds, or of means.
    """

    names: tuple[str, ...]
    estimates: FloatArray
    se: FloatArray
    df: FloatArray
    statistic: FloatArray
    p: FloatArray
    low: FloatArray
    high: FloatArray
    adjust: str
    ratios: bool

    def table(self, scale: Literal["link", "response"] = "link") -> pd.DataFrame:
        """
        One line for each contrast.

        On the response scale differences are ratios of odds (logit) or means (log).

        Raises
        ------
        UsageError
            If differences of the link are no ratios.
        """
        numbers = [self.estimates, self.se, self.low, self.high]
        if scale == "response":
            if not self.ratios:
                raise UsageError(
                    "contrasts: differences on this link are no ratios; read them on "
                    "the link scale, or compare the means of marginal_means"
                )
            ratio = np.exp(self.estimates)
            numbers = [ratio, ratio * self.se, np.exp(self.low), np.exp(self.high)]
        return pd.DataFrame(
            {
                "contrast": self.names,
                "estimate": numbers[0],
                "se": numbers[1],
                "df": self.df,
                "low": numbers[2],
                "high": numbers[3],
                "statistic": self.statistic,
                "p": self.p,
            }
        )


def pairwise(
    means: MarginalMeans,
    *,
    by: str | Sequence[str] = (),
    adjust: Adjust = "tukey",
    level: float | None = None,
) -> Contrasts:
    """
    All differences between marginal means, as ``pairs(emmeans(...))``.

    Parameters
    ----------
    means : MarginalMeans
    by : str or sequence of str
        Factors within whose levels comparisons stay; each level is a family of
        comparisons of its own.
    adjust : {"tukey", "holm", "bonferroni", "none"}
        p values that hold for a whole family.  Limits go with them; Holm's, which
        have none, are Bonferroni's.
    level : float, optional
        Of the intervals; that of the means unless given.

    Raises
    ------
    UsageError
        If a factor of `by` is not among those of the means.

    Examples
    --------
    >>> from fedglmm_flower.glmm import fit, marginal_means
    >>> table = pd.DataFrame({"y": [1.0, 2.0, 4.0, 3.0, 7.0, 6.0], "f": list("aabbcc")})
    >>> means = marginal_means(fit("y ~ f", table, family="gaussian"), "f")
    >>> pairwise(means).table()[["contrast", "estimate"]].round(6).values.tolist()
    [['a - b', -2.0], ['a - c', -5.0], ['b - c', -3.0]]
    """
    within = (by,) if isinstance(by, str) else tuple(by)
    unknown = [name for name in within if name not in means.factors]
    if unknown:
        raise UsageError(
            f"contrasts: by {unknown[0]!r}; the means are of {', '.join(means.factors)}"
        )
    if adjust not in ("tukey", "holm", "bonferroni", "none"):
        raise UsageError(
            f"adjust: found {adjust!r}; write tukey, holm, bonferroni or none"
        )
    level = means.level if level is None else level
    families: dict[tuple[str, ...], list[int]] = {}
    for i, combination in enumerate(means.levels):
        named = dict(zip(means.factors, combination, strict=True))
        families.setdefault(tuple(named[f] for f in within), []).append(i)
    parts = [_family(means, m, within, adjust, level) for m in families.values()]

    def joined(key: str) -> FloatArray:
        return np.concatenate([getattr(part, key) for part in parts])

    return replace(
        parts[0],
        names=tuple(name for part in parts for name in part.names),
        estimates=joined("estimates"),
        se=joined("se"),
        df=joined("df"),
        statistic=joined("statistic"),
        p=joined("p"),
        low=joined("low"),
        high=joined("high"),
    )


def _family(
    means: MarginalMeans,
    members: Sequence[int],
    within: tuple[str, ...],
    adjust: Adjust,
    level: float,
) -> Contrasts:
    """Contrasts of one family of comparisons."""
    pairs = list(combinations(members, 2))
    free = [k for k, name in enumerate(means.factors) if name not in within]

    def label(i: int) -> str:
        return " ".join(means.levels[i][k] for k in free)

    names = [f"{label(i)} - {label(j)}" for i, j in pairs]
    if within and members:
        held = [k for k, name in enumerate(means.factors) if name in within]
        place = ", ".join(
            f"{means.factors[k]} = {means.levels[members[0]][k]}" for k in held
        )
        names = [f"{name} | {place}" for name in names]
    shape = (len(pairs), means.linear.shape[1])
    linear = np.array([means.linear[i] - means.linear[j] for i, j in pairs])
    linear = linear.reshape(shape)
    V = means.fitted.covariance_of(means.theta)
    estimates = linear @ means.fitted.estimates
    se = np.sqrt(np.maximum(np.einsum("mp,pq,mq->m", linear, V, linear), 0.0))
    df = degrees_of(means.fitted, linear)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = estimates / se
    p, critical = _adjusted(statistic, df, len(members), adjust, level)
    half = critical * se
    return Contrasts(
        tuple(names),
        estimates,
        se,
        df,
        statistic,
        p,
        estimates - half,
        estimates + half,
        adjust=adjust,
        ratios=means.fitted.link in ("log", "logit"),
    )


def _adjusted(
    statistic: FloatArray, df: FloatArray, means: int, adjust: Adjust, level: float
) -> tuple[FloatArray, FloatArray]:
    """P values and the critical values of a family."""
    size = len(statistic)
    absolute = np.abs(statistic)
    if adjust == "tukey" and means > 2:
        nu = np.minimum(df, _ASYMPTOTIC)
        studentized_range = scipy.stats.studentized_range
        p = studentized_range.sf(np.sqrt(2) * absolute, means, nu)
        critical = studentized_range.ppf(level, means, nu) / np.sqrt(2)
        return np.asarray(p), np.asarray(critical)
    single = np.asarray(2.0 * stdtr(df, -absolute), dtype=np.float64)
    many = 1 if adjust in ("none", "tukey") else size
    tail = 0.5 * (1.0 - level) / max(many, 1)
    critical = np.asarray(stdtrit(df, 1.0 - tail), dtype=np.float64)
    if adjust == "holm":
        order = np.argsort(single)
        steps = single[order] * (size - np.arange(size))
        p = np.empty(size)
        p[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
        return p, critical
    return np.minimum(many * single, 1.0), critical
