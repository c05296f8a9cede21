"""A linear mixed model of estimates, each with its own information.

Block ``c`` tells of its coefficients ``t_c = X b + Z_c u`` by an information matrix
``M_c`` and a vector ``h_c``: its estimate is ``M_c^-1 h_c`` with covariance
``M_c^-1``.  Variances of ``u`` are REML's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Term:
    """
    One random term.

    Parameters
    ----------
    columns : array of shape (p, q)
        How its effects move the coefficients.
    labels : tuple of str
        Level of each block.
    correlated : bool
    """

    columns: FloatArray
    labels: tuple[str, ...]
    correlated: bool

    @property
    def size(self) -> int:
        """Number of parameters of its covariance factor."""
        q = int(self.columns.shape[1])
        return q * (q + 1) // 2 if self.correlated else q

    def factor(self, values: FloatArray) -> FloatArray:
        """Lower factor of its covariance, shape (q, q)."""
        q = self.columns.shape[1]
        if not self.correlated:
            return np.diag(values)
        out = np.zeros((q, q))
        out[np.tril_indices(q)] = values
        return out


@dataclass(frozen=True)
class Mixed:
    """
    The fit.

    Parameters
    ----------
    fixed : array of shape (f,)
    covariance : array of shape (f, f)
    sigmas : tuple of array
        Covariance of the effects of each term.
    effects : tuple of mapping
        Of each term, level to conditional mean and covariance.
    blocks : array of shape (blocks, p)
        Coefficients of each block at the conditional means.
    factors : array
        Parameters of the covariance factors, to start another fit from.
    """

    fixed: FloatArray
    covariance: FloatArray
    sigmas: tuple[FloatArray, ...]
    effects: tuple[dict[str, tuple[FloatArray, FloatArray]], ...]
    blocks: FloatArray
    factors: FloatArray


@dataclass(frozen=True)
class _Site:
    """Products of one site that do not depend on the variances."""

    owners: list[tuple[int, str]]  # term and level of each effect
    starts: list[int]
    maps: list[FloatArray]
    blocks: list[int]
    xx: FloatArray
    xz: FloatArray
    zz: FloatArray
    xh: FloatArray
    zh: FloatArray
    hh: float

    @property
    def places(self) -> Iterator[tuple[int, str, int, int]]:
        """Term, level, and where its effects start and end."""
        for (k, label), a, b in zip(
            self.owners, self.starts, self.starts[1:], strict=False
        ):
            yield k, label, a, b


@dataclass(frozen=True)
class _Reduced:
    """Sums over sites with the random effects integrated out."""

    xx: FloatArray
    xh: FloatArray
    hh: float
    logs: float
    halves: list[FloatArray]


class MixedProblem:
    """
    Blocks of several sites; those of one site may share effects.

    Parameters
    ----------
    informations : array of shape (blocks, p, p)
    vectors : array of shape (blocks, p)
    design : array of shape (p, f)
        How fixed effects move the coefficients.
    terms : sequence of Term
    sites : sequence of sequence of int
        Blocks of each site.
    """

    def __init__(
        self,
        informations: FloatArray,
        vectors: FloatArray,
        design: FloatArray,
        terms: Sequence[Term],
        sites: Sequence[Sequence[int]],
    ) -> None:
        self.terms, self.design, self.count = terms, design, len(vectors)
        self._parts = [
            self._part(informations, vectors, list(blocks)) for blocks in sites
        ]

    def _part(
        self, informations: FloatArray, vectors: FloatArray, blocks: list[int]
    ) -> _Site:
        owners: list[tuple[int, str]] = []
        starts = [0]
        for k, term in enumerate(self.terms):
            for label in dict.fromkeys(term.labels[c] for c in blocks):
                owners.append((k, label))
                starts.append(starts[-1] + term.columns.shape[1])
        x = self.design
        p, f, q = *x.shape, starts[-1]
        xx, xz, zz = np.zeros((f, f)), np.zeros((f, q)), np.zeros((q, q))
        xh, zh, hh = np.zeros(f), np.zeros(q), 0.0
        maps = []
        for c in blocks:
            z = np.zeros((p, q))
            for (k, label), a, b in zip(owners, starts, starts[1:], strict=False):
                if self.terms[k].labels[c] == label:
                    z[:, a:b] = self.terms[k].columns
            m, h = informations[c], vectors[c]
            xx += x.T @ m @ x
            xz += x.T @ m @ z
            zz += z.T @ m @ z
            xh += x.T @ h
            zh += z.T @ h
            hh += float(h @ np.linalg.solve(m, h))
            maps.append(z)
        return _Site(owners, starts, maps, blocks, xx, xz, zz, xh, zh, hh)

    def _factors(self, values: FloatArray) -> list[FloatArray]:
        out, at = [], 0
        for term in self.terms:
            out.append(term.factor(values[at : at + term.size]))
            at += term.size
        return out

    def _reduced(self, values: FloatArray) -> _Reduced:
        factors = self._factors(values)
        f = self.design.shape[1]
        xx, xh, hh, logs = np.zeros((f, f)), np.zeros(f), 0.0, 0.0
        halves = []
        for site in self._parts:
            q = site.starts[-1]
            root = np.zeros((q, q))
            for k, _, a, b in site.places:
                root[a:b, a:b] = factors[k]
            low = np.linalg.cholesky(np.eye(q) + root.T @ site.zz @ root)
            half = np.linalg.solve(low, root.T)
            zx, zh = half @ site.xz.T, half @ site.zh
            xx += site.xx - zx.T @ zx
            xh += site.xh - zx.T @ zh
            hh += site.hh - float(zh @ zh)
            logs += 2.0 * float(np.log(np.diag(low)).sum())
            halves.append(half)
        return _Reduced(xx, xh, hh, logs, halves)

    def criterion(self, values: FloatArray) -> float:
        """Twice the negative restricted log-likelihood, without constants."""
        one = self._reduced(values)
        b = np.linalg.solve(one.xx, one.xh)
        return float(one.logs + np.linalg.slogdet(one.xx)[1] + one.hh - one.xh @ b)

    def solve(self, start: FloatArray | None = None) -> Mixed:
        """
        Fit variances and effects.

        Parameters
        ----------
        start : array, optional
            Parameters of the covariance factors.

        Raises
        ------
        LinAlgError
            If the information does not determine the fixed effects.
        """
        size = sum(term.size for term in self.terms)
        values = np.zeros(0)
        if size:
            values = self._start() if start is None else start.copy()
            if size == 1:
                found = minimize(
                    self.criterion, values, method="BFGS", options={"gtol": 1e-5}
                )
            else:
                found = minimize(
                    self.criterion,
                    values,
                    method="Nelder-Mead",
                    options={"xatol": 1e-4, "fatol": 1e-5, "maxiter": 200 * size},
                )
            values = np.asarray(found.x, dtype=np.float64)
        return self.at(values)

    def _start(self) -> FloatArray:
        parts = []
        for term in self.terms:
            q = term.columns.shape[1]
            eye = 0.3 * np.eye(q)
            parts.append(eye[np.tril_indices(q)] if term.correlated else np.diag(eye))
        return np.concatenate(parts)

    def at(self, values: FloatArray) -> Mixed:
        """Effects at given parameters of the covariance factors."""
        one = self._reduced(values)
        covariance = np.asarray(np.linalg.inv(one.xx), dtype=np.float64)
        fixed = covariance @ one.xh
        effects: list[dict[str, tuple[FloatArray, FloatArray]]] = [
            {} for _ in self.terms
        ]
        blocks = np.zeros((self.count, len(self.design)))
        for site, half in zip(self._parts, one.halves, strict=True):
            spread = half.T @ half
            u = spread @ (site.zh - site.xz.T @ fixed)
            # The fixed effects are estimated too.
            moved = spread @ site.xz.T
            spread = spread + moved @ covariance @ moved.T
            for k, label, a, b in site.places:
                effects[k][label] = (u[a:b], spread[a:b, a:b])
            for c, z in zip(site.blocks, site.maps, strict=True):
                blocks[c] = self.design @ fixed + z @ u
        return Mixed(
            fixed,
            covariance,
            tuple(factor @ factor.T for factor in self._factors(values)),
            tuple(effects),
            blocks,
            values,
        )
