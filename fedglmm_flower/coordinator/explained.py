"""R2 of a fit to released sums, where the rows' own spread was released."""

from dataclasses import replace

import numpy as np

from fedglmm_flower.errors import FedglmmError
from fedglmm_flower.glmm.explained import explained
from fedglmm_flower.glmm.fitted import FittedModel
from fedglmm_flower.glmm.rows import ModelRows


def shares_of(fitted: FittedModel) -> dict[str, float] | None:
    """
    Marginal and conditional R2 (Nakagawa, Johnson & Schielzeth 2017).

    Pseudo-rows carry a mass.  Where that counts rows, the spread of the linear
    predictor over them is that of the real rows; where it counts trials, exposure or
    amounts it is not, and nothing is told.

    Parameters
    ----------
    fitted : FittedModel
        Of sums or of pseudo-data.

    Returns
    -------
    dict or None
        ``marginal`` and ``conditional``.
    """
    source, asked = fitted.source, fitted.asked
    if asked is None or not fitted.random or not np.isfinite(fitted.estimates).all():
        return None
    if isinstance(source, ModelRows):
        model = asked.model
        if (
            fitted.family not in ("binomial", "poisson")
            or model.trials is not None
            or model.offset is not None
        ):
            return None
        if fitted.family == "binomial":
            ones = np.ones_like(source.trials)
            fitted = replace(
                fitted, source=replace(source, weights=source.trials, trials=ones)
            )
    try:
        found = explained(fitted)
    except (FedglmmError, ArithmeticError):
        return None
    if not np.isfinite([found.marginal, found.conditional]).all():
        return None
    return {"marginal": found.marginal, "conditional": found.conditional}
