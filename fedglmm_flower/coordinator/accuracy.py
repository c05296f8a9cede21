"""How far a one-round estimate may be from the pooled one, from the release alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedglmm_flower.coordinator.targets import Targets
from fedglmm_flower.glmm import FittedModel
from fedglmm_flower.study.offers import Offer
from fedglmm_flower.study.products import split_set

FloatArray = npt.NDArray[np.float64]

# What follows is measured over simulated designs and real tables, so that nine true
# distances of ten lie inside the stated one (docs/release-sets.md).
# Error of a set in steps to it from the one below.  Plain moments gain less from the
# first orders; the anchored set below holds most of what the one above does.
_ANCHORED = 0.7
# What is open shows from another start; some of it alike from both.
_OPEN = 2.0
# What pairs lack of the products of many columns, the set below lacks as well.
_ANCHORED_PAIRS = 2.0
_CANONICAL, _CANONICAL_HIGH = 1.0, 0.5  # to the second order, and beyond
# Where a column is this heavy-tailed at some site (fourth standardised moment; three
# is normal), moments converge slowly or not at all, and steps tell too little.
HEAVY = 8.0
_HEAVY = 2.0
_HEAVY_ANCHORED = 3.0
CHANCE = 2.0
# An anchored release is of the model it was made for; another may be further off than
# its own steps tell.
FOR_ANOTHER = 3.0
# Sums that a site's pseudo-data miss, as a share of the standard errors.
MISSED = 0.2
# Standard deviations of random effects: steps, and a part of those of coefficients.
_SD_STEPS, _SD_COMMON = 1.5, 0.07
# Pseudo-data are made to this precision.
ROUNDING = 1e-6


def share_of_step(offers: Iterable[Offer], tails: float = 3.0) -> float:
    """
    Error of a fit as a share of the step to it, by the weakest set that is used.

    Parameters
    ----------
    offers : iterable of (str, int)
        Sets and orders that were used.
    tails : float
        Typical fourth standardised moment of the heaviest-tailed column.

    Examples
    --------
    >>> share_of_step([("canonical", 4), ("canonical", 3)])
    0.5
    """
    return max(_share(offer, heavy=tails > HEAVY) for offer in offers)


def _share(offer: Offer, *, heavy: bool) -> float:
    (base, products), order = split_set(offer[0]), offer[1]
    if base not in ("canonical", "joint"):
        if heavy:
            return _HEAVY_ANCHORED
        return _ANCHORED_PAIRS if products == "pairs" else _ANCHORED
    # Of pairs the products of many columns are those of the order below.
    known = order - 1 if products == "pairs" else order
    share = _CANONICAL if known <= 2 else _CANONICAL_HIGH
    return max(_HEAVY, share) if heavy else share


def heaviest_tails(targets: Iterable[Targets], factors: Sequence[bool]) -> float:
    """
    Median over sites of the largest fourth standardised moment of a column.

    Where third moments are the highest, at least what they imply: no distribution has
    a fourth standardised moment below ``skewness^2 + 1``.  Three where there are none.
    """
    found = []
    for one in targets:
        largest = 3.0
        for at, factor in enumerate(factors):
            unit = [tuple(k * (i == at) for i in range(len(factors))) for k in range(5)]
            # A factor has no fourth moment, but may have a fifth level.
            if factor or any(u not in one.moments for u in unit[1:4]):
                continue
            m1, m2, m3 = (one.moments[u] for u in unit[1:4])
            variance = m2 - m1**2
            if variance <= 1e-9 * (1 + m1**2):
                continue
            third = m3 - 3 * m1 * m2 + 2 * m1**3
            largest = max(largest, third**2 / variance**3 + 1.0)
            if unit[4] in one.moments:
                m4 = one.moments[unit[4]]
                fourth = m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4
                largest = max(largest, fourth / variance**2)
        found.append(largest)
    return float(np.median(found)) if found else 3.0


def missed_share(rows: FloatArray, residuals: FloatArray) -> float:
    """
    Size of missed sums against the information of all sites together.

    A site of ``n`` rows that misses a normalised mean by ``r`` has a sum off by
    ``n r``; signs differ from site to site, and the information of ``N`` rows has the
    root ``sqrt(N)``.

    Parameters
    ----------
    rows, residuals : arrays of shape (sites,)

    Examples
    --------
    >>> missed_share(np.array([100.0, 100.0]), np.array([0.0, 0.01])).__round__(3)
    0.071
    """
    return float(np.sqrt(((rows * residuals) ** 2).sum() / rows.sum()))


@dataclass(frozen=True)
class Accuracy:
    """
    Diagnostics of an approximate fit.

    Parameters
    ----------
    order_shift : array of shape (p,) or None
        Estimate minus that of the set below, from the same release; None where no set
        below is informative.
    seed_spread : array of shape (p,)
        Half the difference between two halves of the draws.
    se : array of shape (p,)
        Standard errors of the fit.
    loglik_shift : float or None
        Log-likelihood minus that of the set below.
    sd_shift : array of shape (q,) or None
        As ``order_shift``, of the standard deviations of the random effects.
    sd_spread : array of shape (q,)
        As ``seed_spread``.
    sd_se : array of shape (q,)
        What the number of levels alone leaves unknown of them: ``sd / sqrt(2 levels)``.
    share : float
        See :func:`share_of_step`.
    missed : float
        See :func:`missed_share`.
    start_shift : array of shape (p,) or None
        Estimate minus that from pseudo-data with a skewed start: what the released
        sums leave open moves it.  None for plain moments.
    sd_start_shift : array of shape (q,) or None
        The same of the standard deviations of the random effects.
    """

    order_shift: FloatArray | None
    seed_spread: FloatArray
    se: FloatArray
    loglik_shift: float | None
    sd_shift: FloatArray | None
    sd_spread: FloatArray
    sd_se: FloatArray
    share: float
    missed: float
    start_shift: FloatArray | None = None
    sd_start_shift: FloatArray | None = None

    @property
    def error(self) -> FloatArray | None:
        """
        Cautious size of the approximation error, shape (p,).

        The step from the set below is mostly the error of that one.  A single
        coefficient may hardly move by luck, so that the root mean square of all steps,
        in units of standard errors, counts as much as its own.  To these come what
        another start shows to be open, what is left to chance, and what the
        pseudo-data of some sites miss.
        """
        if self.order_shift is None:
            return None
        step = self.share * np.hypot(self.order_shift, self._common * self.se)
        if self.start_shift is not None:
            common = _rms(self.start_shift, self.se) * self.se
            step = np.hypot(step, _OPEN * np.hypot(self.start_shift, common))
        return self._together(step, self.seed_spread, self.se)

    @property
    def sd_error(self) -> FloatArray | None:
        """The same of the standard deviations of the random effects, shape (q,)."""
        if self.sd_shift is None:
            return None
        common = _SD_COMMON * self.sd_se
        step = self.share * np.hypot(_SD_STEPS * self.sd_shift, common * self._common)
        if self.start_shift is not None and self.sd_start_shift is not None:
            open_ones = np.hypot(
                _SD_STEPS * self.sd_start_shift,
                common * _rms(self.start_shift, self.se),
            )
            step = np.hypot(step, _OPEN * open_ones)
        return self._together(step, self.sd_spread, self.sd_se)

    @property
    def _common(self) -> float:
        """Root mean square of the steps of coefficients, in standard errors."""
        return 0.0 if self.order_shift is None else _rms(self.order_shift, self.se)

    def _together(
        self, systematic: FloatArray, spread: FloatArray, scale: FloatArray
    ) -> FloatArray:
        chance = CHANCE * spread
        rest = np.hypot(MISSED * self.missed, ROUNDING) * scale
        return np.asarray(np.hypot(np.hypot(systematic, chance), rest))


def accuracy_of(
    fit: FittedModel,
    lower: FittedModel | None,
    halves: tuple[FittedModel, FittedModel] | None,
    *,
    skewed: FittedModel | None = None,
    share: float,
    missed: float,
) -> Accuracy:
    """
    Compare the fit with that of the set below and with those of its halves.

    What has not converged says nothing about accuracy and is left out.

    Parameters
    ----------
    fit : FittedModel
        What is reported.
    lower : FittedModel or None
        From the set below.
    halves : pair of FittedModel or None
        From halves of the draws.
    skewed : FittedModel or None
        From pseudo-data with a skewed start.
    share : float
        See :func:`share_of_step`.
    missed : float
        See :func:`missed_share`.
    """
    spread = np.zeros(len(fit.estimates))
    sds = _sds(fit)
    sd_spread = np.zeros(len(sds))
    if not fit.converged or (lower is not None and not lower.converged):
        lower = None
    if fit.converged and halves is not None and all(h.converged for h in halves):
        spread = np.abs(halves[0].estimates - halves[1].estimates) / 2
        sd_spread = np.abs(_sds(halves[0]) - _sds(halves[1])) / 2
    if not fit.converged or (skewed is not None and not skewed.converged):
        skewed = None
    levels = [len(term.levels) for term in fit.random for _ in term.sd]
    return Accuracy(
        order_shift=None if lower is None else fit.estimates - lower.estimates,
        seed_spread=spread,
        se=np.nan_to_num(fit.se),
        loglik_shift=None if lower is None else fit.loglik - lower.loglik,
        sd_shift=None if lower is None else sds - _sds(lower),
        sd_spread=sd_spread,
        sd_se=sds / np.sqrt(2.0 * np.maximum(levels, 1)),
        share=share,
        missed=missed,
        start_shift=None if skewed is None else fit.estimates - skewed.estimates,
        sd_start_shift=None if skewed is None else sds - _sds(skewed),
    )


def _rms(steps: FloatArray, se: FloatArray) -> float:
    """Root mean square of steps in units of standard errors."""
    return float(np.sqrt(np.mean((steps / np.where(se > 0, se, np.inf)) ** 2)))


def _sds(fit: FittedModel) -> FloatArray:
    """Standard deviations of all random effects."""
    return np.array([float(sd) for term in fit.random for sd in term.sd])
