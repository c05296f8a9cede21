"""Fit under noise: each site's noise-aware step, and a mixed model of the sites.

Given its coefficients ``t`` a site's sums are about normal: mean ``n m(t)``, covariance
``n V + n^2 c W + S`` with the response's and the columns' spread ``V``, how much more
columns differ between sites than by chance ``c W``, and the noise ``S``.  The number of
rows is left open: it is known with noise only.  Around its present coefficients each
site therefore tells of better ones by an information matrix that holds the noise, and
the sites are put together by :mod:`~fedglmm_flower.coordinator.noise_mixed`; both steps
are repeated until nothing moves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from fedglmm_flower.coordinator.noise_mixed import Mixed, MixedProblem, Term
from fedglmm_flower.coordinator.noise_population import Records, nearest
from fedglmm_flower.errors import FitError

FloatArray = npt.NDArray[np.float64]
_MOST: Final = 40
_MET: Final = 1e-5
_LONGEST: Final = 1.0
# Columns differ between sites at least by this share of their variance.
_LEAST_APART: Final = 1e-3
# How long records are is estimated too: a count may say a little more than there are.
_ABOVE: Final = 1.1


@dataclass(frozen=True)
class NoisySums:
    """
    Noisy sums of all blocks in the coordinates that carry the noise.

    Parameters
    ----------
    sums : tuple of array
        Of each block, in the used coordinates of its records; the count is last.
    variances : array of shape (blocks,)
        Variance of the noise of each coordinate.
    most : array of shape (blocks,)
        Records that there can be; infinite where that is not told.
    kinds : tuple of int
        Which of ``records`` each block belongs to.
    records : tuple of Records
        What a record adds, one for each kind of release.
    design : array of shape (p, f)
        Standardised coefficients of the fixed effects.
    terms : tuple of Term
    sites : tuple of tuple of int
        Blocks of each site.
    owners : tuple of str
        Name of each block's site.
    """

    sums: tuple[FloatArray, ...]
    variances: FloatArray
    most: FloatArray
    kinds: tuple[int, ...]
    records: tuple[Records, ...]
    design: FloatArray
    terms: tuple[Term, ...]
    sites: tuple[tuple[int, ...], ...]
    owners: tuple[str, ...]


@dataclass(frozen=True)
class NoisyFit:
    """
    A fit.

    Parameters
    ----------
    mixed : Mixed
        Estimates, effects and covariances; standard errors hold the noise.
    shares : tuple of array
        The population of each kind of release.
    rows : array of shape (blocks,)
        Estimated rows of each block.
    apart : float
        How much more columns differ between sites than by chance, as a share of their
        variance.
    plain : array of shape (f, f)
        Covariance of the fixed effects had there been no noise.
    converged : bool
    """

    mixed: Mixed
    shares: tuple[FloatArray, ...]
    rows: FloatArray
    apart: float
    plain: FloatArray
    converged: bool


def fit_noisy(
    sums: NoisySums, start: FloatArray, factors: FloatArray | None = None
) -> NoisyFit:
    """
    Fit the model to noisy sums.

    Parameters
    ----------
    sums : NoisySums
    start : array of shape (f,)
        Fixed effects to start from, such as the public anchor.
    factors : array, optional
        Parameters of the random effects' covariance to start from.

    Raises
    ------
    FitError
        If the noise leaves nothing to estimate from.
    """
    fixed = start
    blocks = np.tile(sums.design @ start, (len(sums.sums), 1))
    converged = False
    shares: tuple[FloatArray, ...] = ()
    mixed = None
    for step in range(_MOST):
        center = sums.design @ fixed
        if step < 4 or step % 5 == 0:
            shares = _populations(sums, center)
            rows = _rows(sums, shares, center)
            spreads = [
                one.spread(q, center)
                for one, q in zip(sums.records, shares, strict=True)
            ]
            apart = _apart(sums, shares, center, rows, spreads)
        told, vectors, plain = _informations(sums, shares, blocks, rows, apart, spreads)
        try:
            problem = MixedProblem(told, vectors, sums.design, sums.terms, sums.sites)
            mixed = problem.solve(factors)
        except np.linalg.LinAlgError:
            raise FitError(
                "privacy: the noise leaves nothing to estimate from; more rows a site "
                "or a larger epsilon are required; see 'fedglmm privacy plan'"
            ) from None
        factors = np.where(np.abs(mixed.factors) < 1e-2, 1e-2, mixed.factors)
        moves = mixed.blocks - blocks
        size = np.abs(moves).max()
        blocks = blocks + moves * min(1.0, _LONGEST / max(size, 1e-12))
        shift = np.abs(mixed.fixed - fixed) / np.sqrt(np.diag(mixed.covariance))
        fixed = mixed.fixed if size < _LONGEST else _fixed_of(blocks, sums.design)
        if not np.isfinite(fixed).all():
            raise FitError(
                "privacy: the estimates run away; more rows a site or a larger "
                "epsilon are required; see 'fedglmm privacy plan'"
            )
        if step > 3 and shift.max() < 1e-3 and size < 1e-2:
            converged = True
            break
    assert mixed is not None  # noqa: S101 - at least one step was made
    same = MixedProblem(plain, vectors, sums.design, sums.terms, sums.sites)
    without = same.at(mixed.factors).covariance
    return NoisyFit(mixed, shares, rows, apart, without, converged)


def _fixed_of(blocks: FloatArray, design: FloatArray) -> FloatArray:
    found: FloatArray = np.linalg.lstsq(design, blocks.mean(axis=0), rcond=None)[0]
    return found


def _populations(sums: NoisySums, center: FloatArray) -> tuple[FloatArray, ...]:
    """Each kind of release from its own sums."""
    found = []
    for k, records in enumerate(sums.records):
        mine = [c for c, kind in enumerate(sums.kinds) if kind == k]
        pooled = np.sum([sums.sums[c] for c in mine], axis=0)
        variance = np.full(len(pooled), float(sums.variances[mine].sum()))
        found.append(nearest(records, center, pooled, variance))
    return tuple(found)


def _rows(
    sums: NoisySums, shares: Sequence[FloatArray], center: FloatArray
) -> FloatArray:
    """Rows of each block: by its noisy count, not far above what there can be."""
    counted = [
        float(records.moments(q, center)[0][-1])
        for records, q in zip(sums.records, shares, strict=True)
    ]
    found = [s[-1] / counted[k] for s, k in zip(sums.sums, sums.kinds, strict=True)]
    return np.asarray(np.clip(found, 5.0, np.maximum(_ABOVE * sums.most, 5.0)))


def _apart(
    sums: NoisySums,
    shares: Sequence[FloatArray],
    center: FloatArray,
    rows: FloatArray,
    spreads: Sequence[tuple[FloatArray, FloatArray]],
) -> float:
    """Excess variance of columns between sites: the largest of any coordinate."""
    worst = _LEAST_APART
    for k, (records, q) in enumerate(zip(sums.records, shares, strict=True)):
        mine = [c for c, kind in enumerate(sums.kinds) if kind == k]
        if len(mine) < 2:
            continue
        mean, _ = records.moments(q, center)
        columns, response = spreads[k]
        at = np.flatnonzero(records.of_columns)[:-1]
        n = rows[mine][:, None]
        rates = np.array([sums.sums[c][at] for c in mine]) / n
        total = np.sum((rates - mean[at]) ** 2, axis=0) / (len(mine) - 1)
        base = np.diag(columns)[at]
        # The number of rows is noisy itself, and moves every rate with it.
        blur = sums.variances[mine][:, None] * (1 + (mean[at] / mean[-1]) ** 2) / n**2
        chance = np.mean(blur + np.diag(columns + response)[at] / n, axis=0)
        excess = (total - chance) / np.maximum(base, 1e-12)
        # Coordinates that hardly vary, or that the noise covers, cannot tell.
        told = (base > 1e-8 * base.max()) & (chance < base)
        if told.any():
            worst = max(worst, float(excess[told].max()))
    return min(worst, 10.0)


def _informations(
    sums: NoisySums,
    shares: Sequence[FloatArray],
    blocks: FloatArray,
    rows: FloatArray,
    apart: float,
    spreads: Sequence[tuple[FloatArray, FloatArray]],
    beyond: Sequence[FloatArray] | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """
    Of each block: information and vector under noise, information without.

    The vector is that of the sums, or of what records add beyond what is expected.
    """
    p = blocks.shape[1]
    told, plain = np.zeros((len(blocks), p, p)), np.zeros((len(blocks), p, p))
    vectors = np.zeros((len(blocks), p))
    for c, k in enumerate(sums.kinds):
        n, (columns, response) = rows[c], spreads[k]
        mean, slopes = sums.records[k].moments(shares[k], blocks[c])
        sampled = n * (columns + response) + n**2 * apart * columns
        # A flat law of the number of rows.
        sampled = sampled + n**2 * 10.0 * np.outer(mean, mean)
        slopes = n * slopes
        missed = sums.sums[c] - n * mean if beyond is None else n * beyond[k]
        solved = _solved(sampled, sums.variances[c], slopes, missed)
        told[c] = slopes.T @ solved[:, :p]
        start = told[c] @ blocks[c] if beyond is None else 0.0
        vectors[c] = start + slopes.T @ solved[:, p]
        bare = _solved(sampled, 1e-9 * np.trace(sampled) / len(sampled), slopes, missed)
        plain[c] = slopes.T @ bare[:, :p]
    ridge = 1e-9 * np.eye(p)
    told = (told + told.transpose(0, 2, 1)) / 2 + ridge
    plain = (plain + plain.transpose(0, 2, 1)) / 2 + ridge
    return told, vectors, plain


def moved(sums: NoisySums, fit: NoisyFit, beyond: Sequence[FloatArray]) -> FloatArray:
    """
    How far fixed effects move if records of each kind add so much more on average.

    Parameters
    ----------
    sums : NoisySums
        What was fitted.
    fit : NoisyFit
        The fit.
    beyond : sequence of array of shape (coordinates,)
        Of each kind of release.

    Returns
    -------
    array of shape (f,)
    """
    center = sums.design @ fit.mixed.fixed
    pairs = zip(sums.records, fit.shares, strict=True)
    spreads = [records.spread(q, center) for records, q in pairs]
    told, vectors, _ = _informations(
        sums, fit.shares, fit.mixed.blocks, fit.rows, fit.apart, spreads, beyond
    )
    problem = MixedProblem(told, vectors, sums.design, sums.terms, sums.sites)
    return problem.at(fit.mixed.factors).fixed


def _solved(
    sampled: FloatArray, variance: float, slopes: FloatArray, missed: FloatArray
) -> FloatArray:
    inner = sampled + variance * np.eye(len(sampled))
    return np.asarray(np.linalg.solve(inner, np.column_stack([slopes, missed])))


def simulated(sums: NoisySums, fit: NoisyFit, rng: np.random.Generator) -> NoisySums:
    """
    Sums that a fit expects: fresh effects, rows, responses and noise.

    Parameters
    ----------
    sums : NoisySums
        Whose blocks, sites and noise.
    fit : NoisyFit
        The truth of the simulation.
    rng : Generator
    """
    effects = _drawn_effects(sums, fit, rng)
    found = []
    for c, k in enumerate(sums.kinds):
        records, q = sums.records[k], fit.shares[k]
        weights = rng.gamma(np.maximum(q / fit.apart, 1e-12))
        share = q if weights.sum() == 0 else weights / weights.sum()
        counts = rng.multinomial(round(fit.rows[c]), share)
        at = sums.design @ fit.mixed.fixed + effects[c]
        chances, _ = records.chances(at)
        chances = np.maximum(chances, 0.0) / np.maximum(chances.sum(axis=0), 1e-300)
        drawn = rng.multinomial(counts, chances.T)
        total = np.einsum("kdr,rk->d", records.added, drawn, optimize=True)
        noise = rng.normal(0.0, np.sqrt(sums.variances[c]), len(total))
        found.append(total + noise)
    return replace(sums, sums=tuple(found))


def _drawn_effects(
    sums: NoisySums, fit: NoisyFit, rng: np.random.Generator
) -> FloatArray:
    out = np.zeros((len(sums.sums), len(sums.design)))
    for term, sigma in zip(sums.terms, fit.mixed.sigmas, strict=True):
        drawn: Mapping[str, FloatArray] = {
            label: rng.multivariate_normal(np.zeros(len(sigma)), sigma)
            for label in dict.fromkeys(term.labels)
        }
        for c, label in enumerate(term.labels):
            out[c] += term.columns @ drawn[label]
    return out
