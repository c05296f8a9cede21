"""Parts that every printed summary shares, of a fitted model or of a result."""

from collections.abc import Mapping, Sequence
from typing import Any


def title(family: str, method: str, *, mixed: bool) -> str:
    """
    What was fitted, and how.

    Examples
    --------
    >>> title("gaussian", "reml", mixed=True)
    'Linear mixed model fit by REML'
    """
    kind = "Linear" if family == "gaussian" else "Generalized linear"
    kind += " mixed model" if mixed else " model"
    if method == "reml":
        return f"{kind} fit by REML"
    if method == "noise_reml":
        return f"{kind} fit under noise by REML"
    by = ""
    if mixed and method == "laplace":
        by = " (Laplace approximation)"
    elif mixed and method.startswith("aghq"):
        nodes = method.partition(":")[2]
        by = f" (adaptive Gauss-Hermite quadrature, {nodes} nodes)"
    return f"{kind} fit by maximum likelihood{by}"


def criteria(
    aic: float, bic: float, loglik: float, df_resid: int | None = None
) -> list[str]:
    """The row of information criteria."""
    heads = ["AIC", "BIC", "logLik", "-2*logLik"]
    values = [f"{v:.2f}" for v in (aic, bic, loglik, -2.0 * loglik)]
    if df_resid is not None:
        heads.append("df.resid")
        values.append(str(df_resid))
    return aligned([heads, values], left=0)


def random_table(
    components: Sequence[Mapping[str, Any]],
    residual_sd: float | None,
    errors: Sequence[str] | None = None,
) -> list[str]:
    """
    Random effects in lme4's layout, correlations beside the later effect.

    Parameters
    ----------
    components : sequence of mapping
        The entries of ``random`` of a result.
    residual_sd : float or None
    errors : sequence of str, optional
        Approximation error of each standard deviation, for a column beside it.
    """
    rows: list[list[str]] = [["Groups", "Name", "Variance", "Std.Dev.", "Corr"]]
    pairs = {
        (row["group"], row["term1"], row["term2"]): row["corr"]
        for row in components
        if row["term2"] is not None
    }
    before: list[tuple[str, str]] = []
    for row in components:
        if row["term2"] is not None:
            continue
        group, name, sd = row["group"], row["term1"], float(row["sd"])
        corr = []
        for place, other in before:
            key = (group, other, name)
            if place == group and key in pairs:
                corr.append("--" if pairs[key] is None else f"{pairs[key]:.2f}")
        shown = "" if before and before[-1][0] == group else group
        rows.append([shown, name, f"{sd**2:.5g}", f"{sd:.5g}", " ".join(corr)])
        before.append((group, name))
    if residual_sd is not None:
        rows.append(["Residual", "", f"{residual_sd**2:.5g}", f"{residual_sd:.5g}", ""])
    if errors is not None:
        texts = ["approx. error", *errors]
        texts += [""] * (len(rows) - len(texts))
        for cells, text in zip(rows, texts, strict=True):
            cells.insert(4, text)
    return aligned(rows, left=2)


def sizes(n_rows: int | None, groups: Mapping[str, int]) -> str:
    """Numbers of observations and of clusters."""
    parts = ["Number of obs: " + ("not told" if n_rows is None else str(n_rows))]
    parts += [f"{group}: {count}" for group, count in groups.items()]
    return ", ".join(parts)


def dispersion(family: str, value: float) -> str:
    """The dispersion by the name that the family's formula gives it."""
    return f"Dispersion ({'phi' if family == 'gamma' else 'theta'}): {value:.5g}"


def aligned(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Columns of equal width; the first ``left`` ones flush left."""
    widths = [max(len(row[j]) for row in rows) for j in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if j < left else cell.rjust(width)
            for j, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((" " + "  ".join(cells)).rstrip())
    return lines
