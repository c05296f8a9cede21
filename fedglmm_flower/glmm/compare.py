"""Likelihood-ratio and Wald tests, of models and of terms."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtrc

from fedglmm_flower.errors import UsageError
from fedglmm_flower.glmm.fitted import FittedModel, Theta
from fedglmm_flower.glmm.refit import by_likelihood, contains, refit, terms_of, without
from fedglmm_flower.glmm.rows import FloatArray

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
        Of the chi-square distribution.
    p_boundary : float or None
        Where exactly one random effect is tested: of the even mixture of chi-square
        distributions with df - 1 and df degrees (Self & Liang 1987; Stram & Lee 1994,
        case 3), which allows for a variance that cannot be negative.
    note : str
        What to know before reading `p`; empty where there is nothing.
    """

    term: str
    statistic: float
    df: int
    p: float
    p_boundary: float | None = None
    note: str = ""


def _test(term: str, statistic: float, df: int) -> Test:
    statistic = max(statistic, 0.0)
    return Test(term, statistic, df, float(chdtrc(df, statistic)))


def compare(one: FittedModel, two: FittedModel) -> Test:
    """
    Likelihood-ratio test of two nested models.

    REML fits with different fixed effects are fitted again by ML, for their criteria
    are of different data.  A variance at zero is on the edge of its range: the p
    value of a test that drops it is then too large (at most twofold for one variance).
    The test says so, and gives the p value of the mixture where one random effect is
    all that differs.

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
    return _at_boundary(_test("models", 2.0 * gain, large.df - small.df), small, large)


def _at_boundary(test: Test, small: FittedModel, large: FittedModel) -> Test:
    """The test, with what it means that variances end at zero."""
    more = _effects(large) - _effects(small)
    if not more:
        return test
    if len(more) > 1 or small.names != large.names or _effects(small) - _effects(large):
        note = (
            "several parameters differ, and a variance among them ends at zero: p is "
            "conservative (too large); the bootstrap of the smaller model is exact"
        )
        return replace(test, note=note)
    beside = 0.0 if test.statistic > 0 else 1.0  # chi-square of no degrees: 0 for sure
    if test.df > 1:
        beside = float(chdtrc(test.df - 1, test.statistic))
    note = (
        "one random effect is tested, whose variance ends at zero: p is conservative "
        "(too large); p_boundary is that of the even mixture of chi-square "
        f"distributions with {test.df - 1} and {test.df} degrees of freedom"
    )
    return replace(test, p_boundary=0.5 * (beside + test.p), note=note)


def _effects(fitted: FittedModel) -> set[tuple[str, str]]:
    """Random effects by group and column."""
    return {(term.group, name) for term in fitted.random for name in term.names}


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


def anova(
    fitted: FittedModel, *, wald: bool = False, theta: Theta = "joint"
) -> list[Test]:
    """
    Type II test of every term: after all terms that do not contain it.

    Parameters
    ----------
    fitted : FittedModel
    wald : bool
        Wald tests from the one fit, instead of likelihood ratios from refits.
    theta : {"joint", "fixed"}
        Covariance that Wald tests take; see `FittedModel.covariance_of`.
    """
    if wald:
        return _wald(fitted, fitted.covariance_of(theta))
    full = by_likelihood(fitted)
    terms = terms_of(full.names)
    tests = []
    for term, columns in terms.items():
        above = {c for t, cs in terms.items() if contains(t, term) for c in cs}
        base = refit(full, without(full.source, above)) if above else full
        less = refit(full, without(full.source, above | set(columns)))
        tests.append(_test(term, 2.0 * (base.loglik - less.loglik), len(columns)))
    return tests


def _wald(fitted: FittedModel, covariance: FloatArray) -> list[Test]:
    """Differences of quadratic forms, as ``car::Anova`` takes them."""
    terms = terms_of(fitted.names)
    position = {name: j for j, name in enumerate(fitted.names)}

    def form(columns: list[str]) -> float:
        at = [position[c] for c in columns]
        if not at:
            return 0.0
        b = fitted.estimates[at]
        return float(b @ np.linalg.solve(covariance[np.ix_(at, at)], b))

    tests = []
    for term, columns in terms.items():
        above = [c for t, cs in terms.items() if contains(t, term) for c in cs]
        statistic = form(columns + above) - form(above)
        tests.append(_test(term, statistic, len(columns)))
    return tests
