"""The printed summary, in lme4's order; what to doubt comes first."""

import textwrap

import numpy as np
from scipy.stats import t as student

from fedglmm_flower.glmm.fitted import FittedModel
from fedglmm_flower.glmm.rows import CrossProducts, IntArray
from fedglmm_flower.glmm.satterthwaite import satterthwaite
from fedglmm_flower.glmm.verdict import Verdict

_WIDTH = 79


def summary(fitted: FittedModel, formula: str | None = None) -> str:
    """
    A fitted model as text.

    Parameters
    ----------
    fitted : FittedModel
    formula : str, optional
        Shown when given.
    """
    lines = [_title(fitted), f"Family: {fitted.family} ({fitted.link})"]
    if formula is not None:
        lines.append(f"Formula: {formula}")
    for verdict in fitted.verdicts:
        if verdict is not Verdict.CONVERGED:
            text = f"{verdict.name}: {verdict.about(fitted.diverging)}"
            lines += ["", *textwrap.wrap(text, _WIDTH)]
    lines += ["", _criteria(fitted)]
    if fitted.random:
        lines += ["", "Random effects:", *_random(fitted)]
    lines += ["", _sizes(fitted)]
    if fitted.dispersion is not None:
        name = "phi" if fitted.family == "gamma" else "theta"
        lines += ["", f"Dispersion ({name}): {fitted.dispersion:.5g}"]
    lines += ["", "Fixed effects:", *_fixed(fitted)]
    return "\n".join(lines)


def _title(fitted: FittedModel) -> str:
    if fitted.family == "gaussian":
        kind = "Linear mixed model" if fitted.random else "Linear model"
        by = "REML" if fitted.method == "reml" else "maximum likelihood"
        return f"{kind} fit by {by}"
    if not fitted.random:
        return "Generalized linear model fit by maximum likelihood"
    by = "Laplace approximation"
    if fitted.method.startswith("aghq"):
        by = f"adaptive Gauss-Hermite quadrature, {fitted.method.split(':')[1]} nodes"
    return f"Generalized linear mixed model fit by maximum likelihood ({by})"


def _criteria(fitted: FittedModel) -> str:
    heads = ("AIC", "BIC", "logLik", "df.resid")
    values = (
        f"{fitted.aic:.1f}",
        f"{fitted.bic:.1f}",
        f"{fitted.loglik:.1f}",
        str(fitted.n_rows - fitted.df),
    )
    return "\n".join(_table([heads, values], left=0))


def _random(fitted: FittedModel) -> list[str]:
    rows: list[tuple[str, ...]] = [("Groups", "Name", "Variance", "Std.Dev.", "Corr")]
    for term in fitted.random:
        for i, name in enumerate(term.names):
            corr = []
            for j in range(i if term.correlated else 0):
                r = term.correlation(j, i)
                corr.append("--" if r is None else f"{r:.2f}")
            sd = float(term.sd[i])
            group = term.group if i == 0 else ""
            rows.append((group, name, f"{sd**2:.5g}", f"{sd:.5g}", " ".join(corr)))
    if fitted.residual_sd is not None:
        s = fitted.residual_sd
        rows.append(("Residual", "", f"{s**2:.5g}", f"{s:.5g}", ""))
    return _table(rows, left=2)


def _sizes(fitted: FittedModel) -> str:
    parts = [f"Number of obs: {fitted.n_rows}"]
    groups = {term.group: len(term.levels) for term in fitted.random}
    parts += [f"{group}: {count}" for group, count in groups.items()]
    text = ", ".join(parts)
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


def _fixed(fitted: FittedModel) -> list[str]:
    if fitted.family == "gaussian":
        return _table(_with_degrees(fitted), left=1)
    rows: list[tuple[str, ...]] = [("", "Estimate", "Std. Error", "z value", "p")]
    for row in fitted.wald():
        if row["z"] is None:
            rows.append((row["name"], f"{row['estimate']:.6g}", "-", "-", "-"))
            continue
        cells = (f"{row['estimate']:.6g}", f"{row['se']:.6g}", f"{row['z']:.3f}")
        rows.append((row["name"], *cells, _p(row["p"])))
    return _table(rows, left=1)


def _with_degrees(fitted: FittedModel) -> list[tuple[str, ...]]:
    """Satterthwaite's degrees of freedom and their p values."""
    rows: list[tuple[str, ...]] = [("", "Estimate", "Std. Error", "df", "t value", "p")]
    degrees = satterthwaite(fitted)
    for row, df in zip(fitted.wald(), degrees, strict=True):
        p = float(2.0 * student.sf(abs(row["z"]), df))
        numbers = (f"{row['estimate']:.6g}", f"{row['se']:.6g}", f"{df:.1f}")
        rows.append((row["name"], *numbers, f"{row['z']:.3f}", _p(p)))
    return rows


def _p(p: float) -> str:
    return "<1e-16" if p < 1e-16 else f"{p:.3g}"


def _table(rows: list[tuple[str, ...]], left: int) -> list[str]:
    """Columns padded to their width; the first few flush left."""
    widths = [max(len(row[j]) for row in rows) for j in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if j < left else cell.rjust(width)
            for j, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((" " + "  ".join(cells)).rstrip())
    return lines
