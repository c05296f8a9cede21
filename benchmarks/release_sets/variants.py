"""The sets that compete: what each fixes of a site, and how many numbers it takes."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.release_sets.cases import Case
from fedglmm_flower.coordinator.targets import Anchored, Targets
from fedglmm_flower.glmm.anchor import AnchorFrame
from fedglmm_flower.glmm.cumulant import FloatArray, cumulant
from fedglmm_flower.glmm.evaluate import AtomRows, evaluate_monomials
from fedglmm_flower.glmm.expansion import Expansion
from fedglmm_flower.site.measures import measure_on_rows
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.polynomial import Monomial
from fedglmm_flower.study.release import (
    anchor_columns,
    measure_of,
    release_statistics,
)


@dataclass(frozen=True)
class Asked:
    """
    One competitor on one case.

    Parameters
    ----------
    targets : dict
        What it fixes of every site.
    statistics : int
        Numbers sent by a site.
    """

    targets: dict[str, Targets]
    statistics: int


Make = Callable[[Case], Asked]


def plain(order: int) -> Make:
    """All moments to an order."""

    def make(case: Case) -> Asked:
        count = len(release_statistics(case.model, "canonical", order))
        return Asked(case.targets("canonical", order), count)

    return make


def anchored(order: int, *, bend: bool = True) -> Make:
    """Moments to an order, and what the likelihood does at the site's own anchor."""

    def make(case: Case) -> Asked:
        found = case.targets("anchored", order)
        count = len(release_statistics(case.model, "anchored", order))
        if bend:
            return Asked(found, count)
        found = {site: targets.unbent() for site, targets in found.items()}
        return Asked(found, count - len(anchor_columns(case.model)))

    return make


def named(release_set: str, order: int) -> Make:
    """A set that a study can ask for by its name."""

    def make(case: Case) -> Asked:
        count = len(release_statistics(case.model, release_set, order))
        return Asked(case.targets(release_set, order), count)

    return make


class ThirdInIntercept(Expansion):
    """
    The whole third derivative in the direction of the intercept, in place of the bend.

    ``sum m h''' x x'``: how the information changes with the site's effect.
    """

    def values(self, atoms: FloatArray) -> FloatArray:
        """Value, score, information, and ``h'''`` times each monomial."""
        frame, h = self.frame, cumulant(self.frame.model.family)
        f = evaluate_monomials(atoms, frame.monomials, frame.model.factors)
        eta = self.anchor @ (frame.columns @ f) + frame.offset @ f
        known = super().values(atoms)[: -len(frame.columns)]
        return np.concatenate([known, h(eta, 3) * f])

    def slopes(self, atoms: FloatArray, moving: list[int]) -> FloatArray:
        """Derivatives of :meth:`values` in some atoms."""
        frame, h = self.frame, cumulant(self.frame.model.family)
        model = frame.model
        f = evaluate_monomials(atoms, frame.monomials, model.factors)
        eta = self.anchor @ (frame.columns @ f) + frame.offset @ f
        more = np.empty((len(f), len(moving), len(eta)))
        for a, at in enumerate(moving):
            lower = [
                tuple(e - 1 if i == at and e else e for i, e in enumerate(m))
                for m in frame.monomials
            ]
            power = np.array([m[at] for m in frame.monomials], dtype=np.float64)
            df = evaluate_monomials(atoms, lower, model.factors) * power[:, None]
            d_eta = self.anchor @ (frame.columns @ df) + frame.offset @ df
            more[:, a] = h(eta, 4) * d_eta * f + h(eta, 3) * df
        known = super().slopes(atoms, moving)[: -len(frame.columns)]
        return np.concatenate([known, more])


def third(order: int) -> Make:
    """An anchored set with :class:`ThirdInIntercept`."""

    def make(case: Case) -> Asked:
        kind, found = measure_of(case.model), {}
        frame = AnchorFrame(case.model)
        for site, targets in case.targets("anchored", order).items():
            known = targets.anchored
            if known is None:
                found[site] = targets
                continue
            expansion = ThirdInIntercept(frame, known.expansion.anchor, _flat(frame))
            sums = _means(expansion, case.rows[site], kind)
            bend = sums[-len(frame.monomials) :]
            wider = replace(known, expansion=expansion, bend=bend)
            found[site] = replace(targets, anchored=wider)
        count = len(release_statistics(case.model, "anchored", order))
        return Asked(found, count - len(frame.columns) + len(frame.monomials))

    return make


def public(order: int, away: float) -> Make:
    """
    One public anchor for all sites, off the truth; no bend, and the score is sent.

    Parameters
    ----------
    order : int
    away : float
        How far each coefficient of the anchor is from the pooled one, in standard
        deviations of its column, up and down in turn.
    """

    def make(case: Case) -> Asked:
        frame = AnchorFrame(case.model)
        p, kind = len(frame.columns), measure_of(case.model)
        turn = np.where(np.arange(p) % 2, -away, away)
        anchor = case.pooled.estimates + frame.transform.T @ turn
        plain_one = Expansion(frame, anchor, _flat(frame))
        found = {}
        for site, targets in case.targets("canonical", order).items():
            means = _means(plain_one, case.rows[site], kind)
            value, score, information = np.split(means[:-p], [1, 1 + p])
            known = Anchored(plain_one, float(value[0]), score, information, None)
            found[site] = replace(targets, anchored=known)
        count = len(release_statistics(case.model, "canonical", order))
        return Asked(found, count + 1 + p + len(frame.monomials))

    return make


def tables(order: int, base: Make | None = None) -> Make:
    """Every cell of the factors with its continuous moments to an order."""

    def keep(model: Model, monomial: Monomial, _degree: int) -> bool:
        pairs = zip(monomial, model.factors, strict=True)
        return sum(e for e, factor in pairs if not factor) <= order

    return _some(keep, base)


def narrow(order: int, wide: int, base: Make | None = None) -> Make:
    """
    A high order for columns alone and in pairs, a low one for products of three.

    Parameters
    ----------
    order : int
        Highest order of products that involve at most two atoms.
    wide : int
        Highest order of the others.
    base : callable or None
        Where what is known at the anchor is taken from.
    """

    def keep(_model: Model, monomial: Monomial, degree: int) -> bool:
        return degree <= (order if sum(map(bool, monomial)) <= 2 else wide)

    return _some(keep, base)


def _some(keep: Callable[[Model, Monomial, int], bool], base: Make | None) -> Make:
    """Those of all moments that a rule keeps, and the rest of another set."""

    def make(case: Case) -> Asked:
        model, degrees = case.model, case.degrees
        found = case.targets("canonical", case.order)
        other = plain(2)(case) if base is None else base(case)
        chosen = {}
        kept = 0
        for site, targets in found.items():
            moments = {
                m: v for m, v in targets.moments.items() if keep(model, m, degrees[m])
            }
            kept = len(moments)
            chosen[site] = replace(
                targets, moments=moments, anchored=other.targets[site].anchored
            )
        least = len(next(iter(other.targets.values())).moments)
        return Asked(chosen, other.statistics - least + kept)

    return make


def _flat(frame: AnchorFrame) -> FloatArray:
    """No spread: what is not asked needs none."""
    return np.zeros((len(frame.columns), len(frame.columns)))


def _means(expansion: Expansion, rows: AtomRows, kind: str) -> FloatArray:
    measure = measure_on_rows(rows, kind)
    return np.asarray(expansion.values(rows.values) @ measure / measure.sum())


VARIANTS: dict[str, Make] = {
    **{f"plain K={k}": plain(k) for k in (2, 3, 4, 5, 6)},
    **{f"anchored K={k}": anchored(k) for k in (1, 2, 3, 4, 5)},
    "anchored K=2, no bend": anchored(2, bend=False),
    "anchored K=3, no bend": anchored(3, bend=False),
    "anchored K=2, third derivative": third(2),
    "public anchor K=2, off by 0.3": public(2, 0.3),
    "public anchor K=3, off by 0.3": public(3, 0.3),
    "tables, moments to 2": tables(2),
    "tables, moments to 3": tables(3),
    "tables, moments to 4": tables(4),
    "pairs to 4, others to 2": narrow(4, 2),
    "pairs to 4, others to 3": narrow(4, 3),
    "pairs to 5, others to 3": narrow(5, 3),
    "anchored, tables, moments to 2": tables(2, anchored(2)),
    "anchored, pairs to 3, others to 2": narrow(3, 2, anchored(2)),
    "anchored, pairs to 4, others to 2": narrow(4, 2, anchored(2)),
    **{f"anchored-pairs:{k}": named("anchored-pairs", k) for k in (3, 4, 5)},
}
