"""The front door of the engine: a formula and a table."""

import pandas as pd

from fedglmm_flower.glmm.fitted import FittedModel
from fedglmm_flower.glmm.on_table import fit_table
from fedglmm_flower.glmm.propose import Question, propose_columns
from fedglmm_flower.study.expression import column_or_expression
from fedglmm_flower.study.families import resolve_link, resolve_method
from fedglmm_flower.study.formula import parse_formula
from fedglmm_flower.study.model import build_model


def fit(
    formula: str,
    data: pd.DataFrame,
    *,
    family: str,
    link: str | None = None,
    method: str | None = None,
    trials: str | None = None,
    offset: str | None = None,
    weights: str | None = None,
) -> FittedModel:
    """
    Fit a generalized linear mixed model to a table.

    Parameters
    ----------
    formula : str
        lme4 syntax, as ``y ~ x + (1 | site)``.
    data : DataFrame
        One row for each observation.  Rows with a missing value in a used column are
        dropped.  Categorical columns follow pandas' category order, text columns the
        alphabet; the first level is the reference.
    family : {"gaussian", "binomial", "poisson", "gamma", "nbinom2"}
        Response distribution.
    link : str, optional
        Canonical unless said otherwise; log for gamma and nbinom2.
    method : str, optional
        ``reml`` (default) or ``ml`` for gaussian; ``laplace`` (default) or
        ``aghq:K`` for the others.
    trials, offset, weights : str, optional
        Column or expression.  With trials, the response is the count of events;
        weights multiply each row's log-likelihood.

    Returns
    -------
    FittedModel
        ``to_dict()`` gives plain JSON.

    Raises
    ------
    FormulaError, StudyError, DataError, FitError
        If the formula, the table or the two together cannot be used.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {"y": [1.0, 2.0, 4.0, 3.0], "x": [0.0, 1.0, 2.0, 3.0], "g": list("aabb")}
    ... )
    >>> model = fit("y ~ x", table, family="gaussian")
    >>> [round(float(b), 6) for b in model.estimates]
    [1.3, 0.8]
    """
    parsed = parse_formula(formula)
    chosen = resolve_link(family, link)
    names = list(data.columns)
    trials, offset, weights = (
        None if text is None else column_or_expression(str(text), names)
        for text in (trials, offset, weights)
    )
    question = Question(parsed, family, chosen, trials, offset, weights, {})
    columns, scales = propose_columns(question, data)
    model = build_model(
        parsed,
        columns,
        family=family,
        link=chosen,
        trials=trials,
        offset=offset,
        weights=weights,
        scales={name: (center, scale) for name, center, scale in scales},
    )
    groups = {name: name for part in parsed.random for name in part.group}
    return fit_table(
        model,
        data,
        groups=groups,
        method=resolve_method(family, method),
        whole_counts=False,
    )
