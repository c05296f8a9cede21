"""Likelihood-ratio and Wald tests, of models and of terms."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from fedglmm_flower.errors import UsageError
from fedglmm_flower.glmm.fitted import FittedModel
from fedglmm_flower.glmm.refit import by_likelihood, contains, refit, terms_of, without

_ROUNDING = 1e-6  # log-likelihood by which a larger model may seem worse


@dataclass(frozen=True)
class Test:
    """
    One chi-square test.

    Attributes
    ----------
    term : str
        What is tested.
    statistic : float
    df : int
    p : float
    """

    term: str
    statistic: float
    df: int
    p: float


def _test(term: str, statistic: float, df: int) -> Test:
    statistic = max(statistic, 0.0)
    return Test(term, statistic, df, float(chi2.sf(statistic, df)))


def compare(one: FittedModel, two: FittedModel) -> Test:
    """
    Likelihood-ratio test of two nested models.

    REML fits with different fixed effects are fitted again by ML, for their criteria
    are of different data.  A variance at zero is on the edge of its range: the p
    value of a test that drops it is then too large (at most twofold for one variance).

    Parameters
    ----------
    one, two : FittedModel
        Of the same rows and family, in any order.

    Raises
    ------
    UsageError
        If the models cannot be nested.
    """
    if (one.family, one.n_rows) != (two.family, two.n_rows):
        raise UsageError(
            f"compare: found {one.family} on {one.n_rows} rows and {two.family} on "
            f"{two.n_rows}; models are compared on the same rows and family"
        )
    if one.method != two.method or one.names != two.names:
        one, two = by_likelihood(one), by_likelihood(two)
    if one.random and two.random and one.method != two.method:
        raise UsageError(
            f"compare: found methods {one.method} and {two.method}; their likelihoods "
            "are approximated differently; fit both by the same method"
        )
    small, large = sorted((one, two), key=lambda m: m.df)
    gain = large.loglik - small.loglik
    if large.df == small.df or gain < -_ROUNDING * (1.0 + abs(large.loglik)):
        raise UsageError(
            "compare: the models are not nested; compare their AIC or BIC instead"
        )
    return _test("models", 2.0 * gain, large.df - small.df)


def drop1(fitted: FittedModel) -> list[Test]:
    """
    Likelihood-ratio test of every term that may be dropped alone.

    A term that is part of an interaction stays (the principle of marginality).
    """
    full = by_likelihood(fitted)
    terms = terms_of(full.names)
    tests = []
    for term, columns in terms.items():
        if any(contains(other, term) for other in terms):
            continue
        less = refit(full, without(full.source, set(columns)))
        tests.append(_test(term, 2.0 * (full.loglik - less.loglik), len(columns)))
    return tests


def anova(fitted: FittedModel, *, wald: bool = False) -> list[Test]:
    """
    Type II test of every term: after all terms that do not contain it.

    Parameters
    ----------
    fitted : FittedModel
    wald : bool
        Wald tests from the one fit, instead of likelihood ratios from refits.
    """
    if wald:
        return _wald(fitted)
    full = by_likelihood(fitted)
    terms = terms_of(full.names)
    tests = []
    for term, columns in terms.items():
        above = {c for t, cs in terms.items() if contains(t, term) for c in cs}
        base = refit(full, without(full.source, above)) if above else full
        less = refit(full, without(full.source, above | set(columns)))
        tests.append(_test(term, 2.0 * (base.loglik - less.loglik), len(columns)))
    return tests


def _wald(fitted: FittedModel) -> list[Test]:
    """Differences of quadratic forms, as ``car::Anova`` takes them."""
    terms = terms_of(fitted.names)
    position = {name: j for j, name in enumerate(fitted.names)}

    def form(columns: list[str]) -> float:
        at = [position[c] for c in columns]
        if not at:
            return 0.0
        b = fitted.estimates[at]
        return float(b @ np.linalg.solve(fitted.covariance[np.ix_(at, at)], b))

    tests = []
    for term, columns in terms.items():
        above = [c for t, cs in terms.items() if contains(t, term) for c in cs]
        statistic = form(columns + above) - form(above)
        tests.append(_test(term, statistic, len(columns)))
    return tests
