"""The statistics: generalised linear mixed models on rows or cross-products."""

from fedglmm_flower.glmm.fit import fit
from fedglmm_flower.glmm.fitted import FittedModel, RandomEffects
from fedglmm_flower.glmm.generalized import fit_rows
from fedglmm_flower.glmm.linear import fit_products
from fedglmm_flower.glmm.rows import (
    CrossProducts,
    ModelRows,
    ProductTerm,
    RandomTerm,
)
from fedglmm_flower.glmm.verdict import Verdict

__all__ = [
    "CrossProducts",
    "FittedModel",
    "ModelRows",
    "ProductTerm",
    "RandomEffects",
    "RandomTerm",
    "Verdict",
    "fit",
    "fit_products",
    "fit_rows",
]
