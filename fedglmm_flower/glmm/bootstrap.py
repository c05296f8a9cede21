"""Parametric bootstrap: draw from the fitted model, fit again."""

from dataclasses import dataclass, replace

import numpy as np

from fedglmm_flower.errors import FitError, UsageError
from fedglmm_flower.glmm.families import family_class
from fedglmm_flower.glmm.fitted import FittedModel
from fedglmm_flower.glmm.intervals import Interval
from fedglmm_flower.glmm.refit import refit
from fedglmm_flower.glmm.rows import FloatArray, ModelRows


@dataclass(frozen=True)
class Bootstrap:
    """
    Estimates of simulated data sets.

    Attributes
    ----------
    names : tuple of str
        Fixed effects, then ``"sd GROUP TERM"``, ``"corr GROUP TERM,TERM"``,
        ``"dispersion"`` and ``"residual sd"``.
    original : array of shape (q,)
    draws : array of shape (B, q)
        Undefined correlations are NaN.
    failed : int
        Simulated sets without a converged fit; they are not in `draws`.
    """

    names: tuple[str, ...]
    original: FloatArray
    draws: FloatArray
    failed: int

    def intervals(self, level: float = 0.95) -> list[Interval]:
        """Percentile intervals."""
        tail = 0.5 * (1.0 - level)
        low, high = np.nanquantile(self.draws, [tail, 1.0 - tail], axis=0)
        rows = zip(self.names, self.original, low, high, strict=True)
        return [Interval(n, float(e), float(a), float(b)) for n, e, a, b in rows]


def bootstrap(fitted: FittedModel, draws: int = 500, *, seed: int) -> Bootstrap:
    """
    Parametric bootstrap of all parameters.

    Parameters
    ----------
    fitted : FittedModel
        Of real rows of weight 1; pseudo-data are not rows to be drawn again.
    draws : int
    seed : int
    """
    rows = fitted.source
    if not isinstance(rows, ModelRows) or rows.constant is not None:
        raise UsageError(
            "bootstrap: the model was fitted to sums or pseudo-data; simulating needs "
            "the rows themselves; use Wald or profile intervals"
        )
    if not (rows.weights == 1.0).all():
        raise UsageError(
            "bootstrap: weights other than 1 say how often a row counts, not how it "
            "is drawn; repeat the rows instead"
        )
    rng = np.random.default_rng(seed)
    names, original = parameters(fitted)
    found, failed = [], 0
    for _ in range(draws):
        drawn = replace(rows, response=simulate(fitted, rows, rng))
        try:
            again = refit(fitted, drawn)
        except FitError:
            failed += 1
            continue
        if again.converged:
            found.append(parameters(again)[1])
        else:
            failed += 1
    if not found:
        raise FitError("bootstrap: no simulated data set could be fitted")
    return Bootstrap(names, original, np.array(found), failed)


def parameters(fitted: FittedModel) -> tuple[tuple[str, ...], FloatArray]:
    """Names and values of all parameters."""
    named: list[tuple[str, float | None]] = [
        (name, float(b)) for name, b in zip(fitted.names, fitted.estimates, strict=True)
    ]
    for row in fitted.variance_components():
        if row["term2"] is None:
            named.append((f"sd {row['group']} {row['term1']}", row["sd"]))
        else:
            pair = f"{row['term1']},{row['term2']}"
            named.append((f"corr {row['group']} {pair}", row["corr"]))
    named.append(("dispersion", fitted.dispersion))
    named.append(("residual sd", fitted.residual_sd))
    absent = {
        label
        for label, value in (
            ("dispersion", fitted.dispersion),
            ("residual sd", fitted.residual_sd),
        )
        if value is None
    }
    kept = [(n, np.nan if v is None else v) for n, v in named if n not in absent]
    return tuple(n for n, _ in kept), np.array([v for _, v in kept], dtype=np.float64)


def simulate(
    fitted: FittedModel, rows: ModelRows, rng: np.random.Generator
) -> FloatArray:
    """Responses drawn from the model, with new random effects."""
    eta = rows.basis @ (rows.coefficients.T @ fitted.estimates) + rows.offset
    for term, effect in zip(rows.random, fitted.random, strict=True):
        values, vectors = np.linalg.eigh(effect.sigma)
        half = vectors * np.sqrt(np.maximum(values, 0.0))
        b = rng.standard_normal((len(term.levels), len(values))) @ half.T
        eta = eta + (term.Z * b[term.index]).sum(axis=1)
    if fitted.family == "gaussian":
        return eta + float(fitted.residual_sd or 0.0) * rng.standard_normal(len(eta))
    one = np.ones(1)
    mean = family_class(fitted.family, fitted.link)(one, one, one, 0.0).inverse(eta)
    dispersion = float(fitted.dispersion or 1.0)
    if fitted.family == "binomial":
        return rng.binomial(rows.trials.astype(np.int64), mean).astype(np.float64)
    if fitted.family == "gamma":
        return rng.gamma(1.0 / dispersion, dispersion * mean)
    if fitted.family == "nbinom2":
        mean = rng.gamma(dispersion, mean / dispersion)
    return rng.poisson(mean).astype(np.float64)
