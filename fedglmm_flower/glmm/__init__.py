"""The statistics: generalised linear mixed models on rows or cross-products."""

from fedglmm_flower.glmm.bootstrap import Bootstrap, bootstrap
from fedglmm_flower.glmm.compare import Test, anova, compare, drop1
from fedglmm_flower.glmm.contrasts import Contrasts, pairwise
from fedglmm_flower.glmm.explained import Explained, explained
from fedglmm_flower.glmm.fit import fit
from fedglmm_flower.glmm.fitted import FittedModel, RandomEffects
from fedglmm_flower.glmm.generalized import fit_rows
from fedglmm_flower.glmm.intervals import Interval, profile_intervals
from fedglmm_flower.glmm.linear import fit_products
from fedglmm_flower.glmm.marginal_means import MarginalMeans, marginal_means
from fedglmm_flower.glmm.predict import Prediction, predict
from fedglmm_flower.glmm.rows import (
    CrossProducts,
    ModelRows,
    ProductTerm,
    RandomTerm,
)
from fedglmm_flower.glmm.satterthwaite import satterthwaite
from fedglmm_flower.glmm.sd_intervals import sd_intervals
from fedglmm_flower.glmm.summary import summary
from fedglmm_flower.glmm.verdict import Verdict

__all__ = [
    "Bootstrap",
    "Contrasts",
    "CrossProducts",
    "Explained",
    "FittedModel",
    "Interval",
    "MarginalMeans",
    "ModelRows",
    "Prediction",
    "ProductTerm",
    "RandomEffects",
    "RandomTerm",
    "Test",
    "Verdict",
    "anova",
    "bootstrap",
    "compare",
    "drop1",
    "explained",
    "fit",
    "fit_products",
    "fit_rows",
    "marginal_means",
    "pairwise",
    "predict",
    "profile_intervals",
    "satterthwaite",
    "sd_intervals",
    "summary",
]
