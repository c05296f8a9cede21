"""Models of one release beside each other: likelihood-ratio tests and AIC."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from fedglmm_flower.coordinator.fitting import Fitted
from fedglmm_flower.coordinator.reopened import Reopened
from fedglmm_flower.coordinator.submodel import submodel
from fedglmm_flower.errors import UsageError
from fedglmm_flower.glmm.compare import Test, compare
from fedglmm_flower.glmm.fitted import FittedModel


@dataclass(frozen=True)
class Compared:
    """
    One model among others.

    Parameters
    ----------
    formula, method : str
    fitted : FittedModel
    doubt : float or None
        Shift of logLik from the order below: smaller differences say nothing.  None
        where the fit is exact, or nothing can be told.
    is_exact : bool
        Whether the fit is that of the pooled rows.
    test : Test or None
        Against the model before, where that is a part of this one.
    """

    formula: str
    method: str
    fitted: FittedModel
    doubt: float | None
    is_exact: bool
    test: Test | None = None


def compare_models(again: Reopened, formulas: Sequence[str]) -> list[Compared]:
    """
    Fit models to one release, with no new round.

    Gaussian models are fitted by ML: REML criteria of different fixed effects are of
    different data.  All fits see the same pseudo-data, so that what these miss is much
    the same in all of them.

    Parameters
    ----------
    again : Reopened
        The releases.
    formulas : sequence of str
        Two or more models of released columns.

    Returns
    -------
    list of Compared
        By number of parameters, each tested against the one before if that is nested.

    Raises
    ------
    UsageError
        If there is only one model, or their likelihoods do not compare.
    FedglmmError
        If the release does not hold what a model needs, or it cannot be fitted.
    """
    if len(set(formulas)) < 2:
        raise UsageError(
            f"compare: found {len(set(formulas))} model; two different ones are "
            "required; add a formula, or name --select forward or backward"
        )
    found = [fit_one(again, formula) for formula in dict.fromkeys(formulas)]
    if len({one.formula.partition("~")[0].strip() for one in found}) > 1:
        raise UsageError(
            "compare: the models have different responses; likelihoods of one response "
            "are required; compare them one response at a time"
        )
    found.sort(key=lambda one: (one.fitted.df, -one.fitted.loglik))
    return [found[0]] + [_tested(small, large) for small, large in pairwise(found)]


def fit_one(again: Reopened, formula: str, *, judged: bool = True) -> Compared:
    """One model by maximum likelihood, or by the run's approximation of it."""
    released = again.released
    method = "ml" if released.family == "gaussian" else None
    part = submodel(released, formula, method=method)
    fitted = again.fit(part, judged=judged)
    return Compared(
        formula, fitted.model.method, fitted.model, _doubt(fitted), fitted.exact
    )


def _doubt(fitted: Fitted) -> float | None:
    shift = None if fitted.accuracy is None else fitted.accuracy.loglik_shift
    return None if shift is None else abs(shift)


def _tested(small: Compared, large: Compared) -> Compared:
    one, two = small.fitted, large.fitted
    is_part = set(one.names) <= set(two.names) and _effects(one) <= _effects(two)
    if not is_part or one.df == two.df or not (one.converged and two.converged):
        return large
    if one.random and two.random and one.method != two.method:
        return large
    try:
        test = compare(one, two)
    except UsageError:
        return large
    return Compared(large.formula, large.method, two, large.doubt, large.is_exact, test)


def _effects(fitted: FittedModel) -> set[tuple[str, ...]]:
    """Random effects and, where they are estimated, their correlations."""
    found: set[tuple[str, ...]] = set()
    for term in fitted.random:
        found |= {(term.group, name) for name in term.names}
        if term.correlated:
            found |= {
                (term.group, a, b) for a in term.names for b in term.names if a < b
            }
    return found
