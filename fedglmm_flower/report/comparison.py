"""Tables of compared and of selected models as text."""

from collections.abc import Sequence
from typing import Any

from fedglmm_flower.coordinator.compare import Compared
from fedglmm_flower.coordinator.select import Step
from fedglmm_flower.glmm.printed import aligned
from fedglmm_flower.report.numbers import p_value


def compared_values(models: Sequence[Compared]) -> list[dict[str, Any]]:
    """
    The comparison as plain JSON values, by number of parameters.

    Parameters
    ----------
    models : sequence of Compared
        As :func:`fedglmm_flower.coordinator.compare.compare_models` returns them.
    """
    least = min(one.fitted.aic for one in models)
    return [
        {
            "formula": one.formula,
            "method": one.method,
            "converged": one.fitted.converged,
            "exactness": "exact" if one.is_exact else "approximate",
            "df": one.fitted.df,
            "loglik": one.fitted.loglik,
            "loglik_shift": one.doubt,
            "aic": one.fitted.aic,
            "delta_aic": one.fitted.aic - least,
            "bic": one.fitted.bic,
            "chisq": None if one.test is None else one.test.statistic,
            "chisq_df": None if one.test is None else one.test.df,
            "p": None if one.test is None else one.test.p,
            "p_boundary": None if one.test is None else one.test.p_boundary,
        }
        for one in models
    ]


def comparison_text(models: Sequence[Compared]) -> str:
    """The comparison as text: doubts, models, then the table in anova's order."""
    lines = [f"{k}: {one.formula}" for k, one in enumerate(models, start=1)]
    heads = ("", "npar", "AIC", "delta", "BIC", "logLik", "-2*logLik", "Chisq", "Df")
    rows: list[tuple[str, ...]] = [(*heads, "Pr(>Chisq)")]
    for k, one in enumerate(compared_values(models), start=1):
        tested = one["chisq"] is not None
        rows.append(
            (
                str(k),
                str(one["df"]),
                f"{one['aic']:.2f}",
                f"{one['delta_aic']:.2f}",
                f"{one['bic']:.2f}",
                f"{one['loglik']:.2f}",
                f"{-2 * one['loglik']:.2f}",
                f"{one['chisq']:.4f}" if tested else "",
                str(one["chisq_df"]) if tested else "",
                p_value(one["p"]) if tested else "",
            )
        )
    return "\n".join([*_doubts(models), *lines, "", *aligned(rows, left=1)]) + "\n"


def _doubts(models: Sequence[Compared]) -> list[str]:
    found = [
        f"WARNING: model {k} has not converged; it is not tested"
        for k, one in enumerate(models, start=1)
        if not one.fitted.converged
    ]
    doubts = [one.doubt for one in models if one.doubt is not None]
    if doubts and max(doubts) > 0.005:
        found.append(
            f"Warning: logLik is known to about {max(doubts):.2g} only; smaller "
            "differences say nothing"
        )
    for k, one in enumerate(models, start=1):
        if one.test is not None and one.test.note:
            at = one.test.p_boundary
            beside = "" if at is None else f" = {p_value(at)}"
            note = one.test.note.replace("p_boundary", f"p_boundary{beside}")
            found.append(f"Note on model {k}: {note}")
    return [*found, ""] if found else []


def selection_values(steps: Sequence[Step]) -> list[dict[str, Any]]:
    """The steps of a selection as plain JSON values."""
    return [
        {
            "change": step.change,
            "formula": step.model.formula,
            "df": step.model.fitted.df,
            "aic": step.model.fitted.aic,
            "tried": step.tried,
        }
        for step in steps
    ]


def selection_text(steps: Sequence[Step]) -> str:
    """The path of a selection, and where it ends."""
    rows: list[tuple[str, ...]] = [("Step", "npar", "AIC", "models tried")]
    for step in steps:
        fitted = step.model.fitted
        name = step.change or "start"
        rows.append((name, str(fitted.df), f"{fitted.aic:.2f}", str(step.tried)))
    caution = "p values and intervals of a model selected on the same data are too good"
    end = [f"Selected: {steps[-1].model.formula}", f"Warning: {caution}"]
    return "\n".join([*aligned(rows, left=1), "", *end]) + "\n"
