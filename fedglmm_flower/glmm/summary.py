"""The printed summary, in lme4's order; what to doubt comes first."""

import re
import textwrap

import numpy as np
from scipy.special import stdtr

from fedglmm_flower.glmm.fitted import FittedModel, Theta
from fedglmm_flower.glmm.printed import (
    aligned,
    criteria,
    dispersion,
    random_table,
    sizes,
    title,
)
from fedglmm_flower.glmm.residuals import scaled_residuals
from fedglmm_flower.glmm.rows import CrossProducts, IntArray
from fedglmm_flower.glmm.satterthwaite import satterthwaite
from fedglmm_flower.glmm.verdict import Verdict

_WIDTH = 79
_MOST_CORRELATED = 12  # coefficients beyond which their correlations fill the screen


def summary(
    fitted: FittedModel, formula: str | None = None, *, theta: Theta = "joint"
) -> str:
    """
    A fitted model as text: what to doubt first, then lme4's order.

    Parameters
    ----------
    fitted : FittedModel
    formula : str, optional
        Shown when given; that of the fit otherwise.
    theta : {"joint", "fixed"}
        Covariance of the fixed effects; see `FittedModel.covariance_of`.

    Examples
    --------
    >>> import pandas as pd
    >>> from fedglmm_flower.glmm import fit
    >>> table = pd.DataFrame({"y": [1.0, 2.0, 4.0, 3.0], "x": [0.0, 1.0, 2.0, 3.0]})
    >>> print(summary(fit("y ~ x", table, family="gaussian")).splitlines()[0])
    Linear model fit by REML
    """
    lines = [title(fitted.family, fitted.method, mixed=bool(fitted.random))]
    lines.append(f"Family: {fitted.family} ({fitted.link})")
    if formula is None and fitted.asked is not None:
        formula = fitted.asked.model.formula.text
    if formula is not None:
        lines.append(f"Formula: {formula}")
    for verdict in fitted.verdicts:
        if verdict is not Verdict.CONVERGED:
            text = f"{verdict.name}: {verdict.about(fitted.diverging)}"
            lines += ["", *textwrap.wrap(text, _WIDTH)]
    rest = fitted.n_rows - fitted.df
    lines += ["", *criteria(fitted.aic, fitted.bic, fitted.loglik, rest)]
    lines += _residuals(fitted)
    if fitted.random:
        table = random_table(fitted.variance_components(), fitted.residual_sd)
        lines += ["", "Random effects:", *table]
    elif fitted.residual_sd is not None:
        lines += ["", f"Residual standard deviation: {fitted.residual_sd:.5g}"]
    lines += ["", _sizes(fitted)]
    if fitted.dispersion is not None:
        lines += ["", dispersion(fitted.family, fitted.dispersion)]
    lines += ["", "Fixed effects:", *_fixed(fitted, theta)]
    lines += _correlations(fitted, theta)
    return "\n".join(lines)


def _residuals(fitted: FittedModel) -> list[str]:
    """Quartiles of scaled residuals; nothing where no row is at hand."""
    residuals = scaled_residuals(fitted)
    if residuals is None or not np.isfinite(residuals).all():
        return []
    quantiles = np.quantile(residuals, [0.0, 0.25, 0.5, 0.75, 1.0])
    heads = ("Min", "1Q", "Median", "3Q", "Max")
    cells = [f"{q:.4f}" for q in quantiles]
    return ["", "Scaled residuals:", *aligned([heads, cells], left=0)]


def _correlations(fitted: FittedModel, theta: Theta) -> list[str]:
    """Lower triangle of the correlations of the fixed effects."""
    p = len(fitted.names)
    V = fitted.covariance_of(theta)
    sd = np.sqrt(np.diag(V))
    if not 2 <= p <= _MOST_CORRELATED or not (sd > 0).all():
        return []
    r = V / np.outer(sd, sd)
    rows = [["", *map(_short, fitted.names[:-1])]]
    for i in range(1, p):
        cells = [f"{r[i, j]:.3f}" if j < i else "" for j in range(p - 1)]
        rows.append([fitted.names[i], *cells])
    return ["", "Correlation of fixed effects:", *aligned(rows, left=1)]


def _short(name: str) -> str:
    """A name that fits over a column of correlations."""
    plain = re.sub(r"\[T\.([^\]]*)\]", r"\1", name)
    return plain if len(plain) <= 9 else f"{plain[:5]}~{plain[-3:]}"


def _sizes(fitted: FittedModel) -> str:
    groups = {term.group: len(term.levels) for term in fitted.random}
    text = sizes(fitted.n_rows, groups)
    if not fitted.random:
        return text
    counts = _rows_per_cluster(fitted)
    if counts is None:
        return text
    low, middle, high = counts.min(), np.median(counts), counts.max()
    group = fitted.random[0].group
    return f"{text}\nRows per {group}: min {low:g}, median {middle:g}, max {high:g}"


def _rows_per_cluster(fitted: FittedModel) -> IntArray | None:
    source = fitted.source
    if isinstance(source, CrossProducts):
        counts = np.bincount(source.random[0].index, source.n_rows)
    elif source.constant is None:
        counts = np.bincount(source.random[0].index)
    else:  # pseudo-rows say nothing of how many real rows a site has
        return None
    return np.asarray(counts[counts > 0], dtype=np.intp)


def _fixed(fitted: FittedModel, theta: Theta) -> list[str]:
    if fitted.family == "gaussian":
        return aligned(_with_degrees(fitted), left=1)
    rows: list[tuple[str, ...]] = [("", "Estimate", "Std. Error", "z value", "p")]
    for row in fitted.wald(theta=theta):
        if row["z"] is None:
            rows.append((row["name"], f"{row['estimate']:.6g}", "-", "-", "-"))
            continue
        cells = (f"{row['estimate']:.6g}", f"{row['se']:.6g}", f"{row['z']:.3f}")
        rows.append((row["name"], *cells, _p(row["p"])))
    return aligned(rows, left=1)


def _with_degrees(fitted: FittedModel) -> list[tuple[str, ...]]:
    """Satterthwaite's degrees of freedom and their p values."""
    rows: list[tuple[str, ...]] = [("", "Estimate", "Std. Error", "df", "t value", "p")]
    degrees = satterthwaite(fitted)
    for row, df in zip(fitted.wald(), degrees, strict=True):
        p = float(2.0 * stdtr(df, -abs(row["z"])))
        numbers = (f"{row['estimate']:.6g}", f"{row['se']:.6g}", f"{df:.1f}")
        rows.append((row["name"], *numbers, f"{row['z']:.3f}", _p(p)))
    return rows


def _p(p: float) -> str:
    return "<1e-16" if p < 1e-16 else f"{p:.3g}"
