"""A fitted model: estimates, their uncertainty, and what to think of them."""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from scipy.special import ndtr, ndtri

from fedglmm_flower.errors import UsageError
from fedglmm_flower.glmm.asked import Asked
from fedglmm_flower.glmm.rows import CrossProducts, FloatArray, ModelRows
from fedglmm_flower.glmm.verdict import Verdict

Theta = Literal["joint", "fixed"]
_TOGETHER = 1e-9  # 1 - |correlation| that rounding leaves of a perfect correlation


@dataclass(frozen=True)
class RandomEffects:
    """
    One random term after the fit.

    Attributes
    ----------
    group : str
    names : tuple of str
    correlated : bool
    sigma : array of shape (q, q)
        Covariance matrix of the effects.
    levels : tuple of str
    modes : array of shape (G, q)
        Conditional modes, BLUPs in a linear model.
    spread : array of shape (G, q, q)
        Conditional covariances given the parameters.
    """

    group: str
    names: tuple[str, ...]
    correlated: bool
    sigma: FloatArray
    levels: tuple[str, ...]
    modes: FloatArray
    spread: FloatArray

    @property
    def sd(self) -> FloatArray:
        """Standard deviations of the effects."""
        return np.sqrt(np.maximum(np.diag(self.sigma), 0.0))

    def correlation(self, i: int, j: int) -> float | None:
        """Correlation of two effects; None where one does not vary."""
        product = float(self.sd[i] * self.sd[j])
        if product == 0.0:
            return None
        r = float(self.sigma[i, j]) / product
        return float(np.sign(r)) if abs(r) > 1.0 - _TOGETHER else r


@dataclass(frozen=True)
class FittedModel:
    """
    A fitted (generalised) linear mixed model.

    Attributes
    ----------
    family, link, method : str
    names : tuple of str
        Fixed effects in formula order.
    estimates : array of shape (p,)
    covariance : array of shape (p, p)
        Of the fixed effects.  Linear models hold theta fixed, as lme4 does;
        generalised ones take the joint Hessian over all parameters.
    covariance_fixed_theta : array of shape (p, p)
        With the covariance parameters held fixed.
    random : tuple of RandomEffects
    dispersion : float or None
        phi for gamma, theta for nbinom2.
    residual_sd : float or None
        Gaussian models only.
    loglik : float
        With all constants; the REML criterion's value for method "reml".
    df : int
        Number of parameters, as lme4 counts them.
    n_rows : int
    verdicts : tuple of Verdict
    icc : float or None
        Share of the random effects in the variance on the latent scale.
    eta_range : tuple of two floats, or None
        Of the fitted linear predictor.
    point : array
        The maximum in the engine's own coordinates.
    source : ModelRows or CrossProducts
        What was fitted, for tests and intervals that fit again.
    asked : Asked or None
        The question, where a formula was fitted: predictions of new tables and
        marginal means need it.
    diverging : tuple of str
        Fixed effects without a finite estimate, under separation.  Their variances
        are NaN, and `wald` has None for everything but where the optimiser stopped.
    """

    family: str
    link: str
    method: str
    names: tuple[str, ...]
    estimates: FloatArray
    covariance: FloatArray
    covariance_fixed_theta: FloatArray
    random: tuple[RandomEffects, ...]
    dispersion: float | None
    residual_sd: float | None
    loglik: float
    df: int
    n_rows: int
    verdicts: tuple[Verdict, ...]
    icc: float | None
    eta_range: tuple[float, float] | None
    point: FloatArray = field(repr=False, compare=False)
    source: ModelRows | CrossProducts = field(repr=False, compare=False)
    asked: Asked | None = field(default=None, repr=False, compare=False)
    diverging: tuple[str, ...] = ()

    @property
    def se(self) -> FloatArray:
        """Standard errors of the fixed effects."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))

    @property
    def aic(self) -> float:
        """Akaike's criterion."""
        return -2.0 * self.loglik + 2.0 * self.df

    @property
    def bic(self) -> float:
        """Schwarz's criterion; n counts rows."""
        return -2.0 * self.loglik + float(np.log(self.n_rows)) * self.df

    @property
    def converged(self) -> bool:
        """Whether the estimates are those of a maximum."""
        return all(v.fitted for v in self.verdicts)

    @property
    def warnings(self) -> list[str]:
        """What there is to doubt, as paragraphs; a plain maximum has none."""
        return [
            v.about(self.diverging) for v in self.verdicts if v is not Verdict.CONVERGED
        ]

    def covariance_of(self, theta: Theta = "joint") -> FloatArray:
        """
        Covariance of the fixed effects, shape (p, p).

        Parameters
        ----------
        theta : {"joint", "fixed"}
            ``joint`` counts the uncertainty of the covariance parameters and the
            dispersion, as the Hessian of lme4 and glmmTMB does; ``fixed`` takes them as
            known (lme4's ``use.hessian = FALSE``).  A linear model has them known
            either way, as lme4 has.

        Raises
        ------
        UsageError
            For another word.
        """
        if theta not in ("joint", "fixed"):
            raise UsageError(f"theta: found {theta!r}; write joint or fixed")
        return self.covariance if theta == "joint" else self.covariance_fixed_theta

    def wald(self, level: float = 0.95, theta: Theta = "joint") -> list[dict[str, Any]]:
        """
        Fixed effects with Wald tests and intervals.

        Parameters
        ----------
        level : float
            Of the intervals.
        theta : {"joint", "fixed"}
            See `covariance_of`.
        """
        quantile = float(ndtri(0.5 + 0.5 * level))
        rows: list[dict[str, Any]] = []
        errors = np.sqrt(np.maximum(np.diag(self.covariance_of(theta)), 0.0))
        for name, b, s in zip(self.names, self.estimates, errors, strict=True):
            usable = bool(np.isfinite(s) and s > 0)
            z = float(b / s) if usable else None
            rows.append(
                {
                    "name": name,
                    "estimate": float(b),
                    "se": float(s) if usable else None,
                    "approx_error": None,
                    "z": z,
                    "p": None if z is None else float(2.0 * ndtr(-abs(z))),
                    "ci_low": float(b - quantile * s) if usable else None,
                    "ci_high": float(b + quantile * s) if usable else None,
                }
            )
        return rows

    def variance_components(self) -> list[dict[str, Any]]:
        """Standard deviations and correlations of the random effects."""
        rows: list[dict[str, Any]] = []
        for term in self.random:
            for name, sd in zip(term.names, term.sd, strict=True):
                row = {"group": term.group, "term1": name, "term2": None}
                rows.append({**row, "sd": float(sd)})
            if not term.correlated:
                continue
            for i, first in enumerate(term.names):
                for j in range(i + 1, len(term.names)):
                    pair = {"term1": first, "term2": term.names[j]}
                    corr = term.correlation(i, j)
                    rows.append({"group": term.group, **pair, "corr": corr})
        return rows

    def ranef(self) -> list[dict[str, Any]]:
        """Conditional modes of the random effects, with conditional sd."""
        rows: list[dict[str, Any]] = []
        for term in self.random:
            sd = np.sqrt(np.maximum(np.diagonal(term.spread, axis1=1, axis2=2), 0.0))
            for level, b, s in zip(term.levels, term.modes, sd, strict=True):
                rows.extend(
                    {
                        "group": term.group,
                        "level": level,
                        "term": name,
                        "estimate": float(b[j]),
                        "sd": float(s[j]),
                    }
                    for j, name in enumerate(term.names)
                )
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, with the keys of ``result.json``."""
        return {
            "family": self.family,
            "link": self.link,
            "method": self.method,
            "converged": self.converged,
            "n_rows": self.n_rows,
            "fixed": self.wald(),
            "random": self.variance_components(),
            "dispersion": self.dispersion,
            "residual_sd": self.residual_sd,
            "loglik": self.loglik,
            "aic": self.aic,
            "bic": self.bic,
            "icc": self.icc,
            "ranef": self.ranef(),
            "eta_range": None if self.eta_range is None else list(self.eta_range),
            "warnings": self.warnings,
        }
