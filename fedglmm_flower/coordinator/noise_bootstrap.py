"""Parametric bootstrap of a fit under noise: fresh effects, rows, responses and noise.

It holds what the analytic covariance leaves out: that the population and the spread of
the random effects are estimated from noisy sums themselves, and what noise and clipping
do to the estimates on average, which is taken off.  It looks at releases alone, so that
it costs no privacy.
"""

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from fedglmm_flower.coordinator.noise_fit import (
    NoisyFit,
    NoisySums,
    fit_noisy,
    simulated,
)
from fedglmm_flower.errors import FitError

FloatArray = npt.NDArray[np.float64]
DRAWS: Final = 200
# With more failures the draws that are left are not what would be seen again.
MOST_FAILED: Final = 0.2
_ALONE: Final = 20


@dataclass(frozen=True)
class Bootstrap:
    """
    Draws of the estimates.

    Parameters
    ----------
    fixed : array of shape (draws, f)
    sds : array of shape (draws, effects)
        Standard deviations of the random effects, term after term.
    failed : int
        Draws without an estimate.
    """

    fixed: FloatArray
    sds: FloatArray
    failed: int

    @property
    def usable(self) -> bool:
        """Whether enough draws have an estimate."""
        draws = len(self.fixed) + self.failed
        return draws > 1 and self.failed <= MOST_FAILED * draws

    @property
    def covariance(self) -> FloatArray:
        """Covariance of the fixed effects."""
        return np.atleast_2d(np.cov(self.fixed, rowvar=False))

    def corrected(self, estimates: FloatArray) -> FloatArray:
        """Estimates less their mean error in the draws."""
        return np.asarray(2.0 * estimates - self.fixed.mean(axis=0))

    def corrected_sds(self, sds: FloatArray) -> FloatArray:
        """The same for standard deviations, as factors; zero stays zero."""
        middle = np.median(self.sds, axis=0)
        factor = np.where(middle > 0, sds / np.where(middle > 0, middle, 1.0), 1.0)
        return np.asarray(sds * np.clip(factor, 0.5, 2.0))


def sds_of(fit: NoisyFit) -> FloatArray:
    """Standard deviations of the random effects, term after term."""
    return np.concatenate(
        [np.zeros(0), *(np.sqrt(np.diag(sigma)) for sigma in fit.mixed.sigmas)]
    )


def bootstrap(
    sums: NoisySums,
    fit: NoisyFit,
    *,
    draws: int,
    seed: int,
    tick: Callable[[str, int, int], None],
    store: Path | None = None,
    workers: int | None = None,
) -> Bootstrap:
    """
    Draw and fit again.

    Parameters
    ----------
    sums, fit
        What was fitted.
    draws : int
    seed : int
        A draw depends on it, on its number and on the fit, and on no other draw.
    tick : callable
        Told of progress.
    store : path, optional
        File that keeps finished draws, so that an interrupted call goes on.
    workers : int, optional
        Processes; as many as there are cores when left out, one for a few draws.
    """
    key = _key(fit, seed)
    known = _read(store, key)
    missing = [b for b in range(draws) if b not in known]
    tick("bootstrap", draws - len(missing), draws)
    count = workers or (os.cpu_count() or 1)
    one = partial(_draw, sums, fit, seed)
    for b, found in _run(one, missing, count if len(missing) > _ALONE else 1):
        known[b] = found
        if store is not None:
            with store.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, "draw": b, "found": found}) + "\n")
        tick("bootstrap", len([b for b in known if b < draws]), draws)
    kept = [known[b] for b in range(draws)]
    good = [row for row in kept if row is not None]
    f = len(fit.mixed.fixed)
    table = np.array(good).reshape(len(good), f + len(sds_of(fit)))
    return Bootstrap(table[:, :f], table[:, f:], len(kept) - len(good))


def _run(
    one: "partial[list[float] | None]", missing: list[int], workers: int
) -> Iterator[tuple[int, list[float] | None]]:
    if workers < 2:
        for b in missing:
            yield b, one(b)
        return
    # Spawned: a process that has spoken to a network must not be forked.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        size = max(1, min(10, len(missing) // (4 * workers)))
        yield from zip(missing, pool.map(one, missing, chunksize=size), strict=True)


def _draw(sums: NoisySums, fit: NoisyFit, seed: int, b: int) -> list[float] | None:
    rng = np.random.default_rng([seed, b])
    with threadpool_limits(1):
        try:
            found = fit_noisy(
                simulated(sums, fit, rng), fit.mixed.fixed, fit.mixed.factors
            )
        except FitError:
            return None
    if not found.converged:
        return None
    return [*found.mixed.fixed.tolist(), *sds_of(found).tolist()]


def _key(fit: NoisyFit, seed: int) -> str:
    text = repr((fit.mixed.fixed.tolist(), fit.mixed.factors.tolist(), seed))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read(store: Path | None, key: str) -> dict[int, list[float] | None]:
    """Draws of the same fit; a line that a crash cut off is left out."""
    if store is None or not store.exists():
        return {}
    found = {}
    for line in store.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row.get("key") == key:
            found[int(row["draw"])] = row["found"]
    return found
