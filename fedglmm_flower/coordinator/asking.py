"""What sites say at one point after the other, and which need not be asked any more."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from fedglmm_flower.glmm.optimise import definite
from fedglmm_flower.glmm.rows import FloatArray
from fedglmm_flower.glmm.score import Score
from fedglmm_flower.site.scored import Part, Point, ReleasedScore

# The scores of some sites at a point; a site that is lost has none.
AskSites: TypeAlias = Callable[[Point, tuple[str, ...]], Mapping[str, ReleasedScore]]
# Standard errors by which all released sites together may miss.
_FREE: Final = 1e-9


@dataclass(frozen=True)
class _Heard:
    """
    A site's last answer.

    Parameters
    ----------
    phi : array of shape (d,)
        Where.
    score : Score
        What.
    n_rows : int
        Of how many rows.
    third : float
        By how much its parabola missed, in standard errors, for a step of one standard
        error: what is missed grows with the square of the step.  Infinite after one
        answer alone.
    """

    phi: FloatArray
    score: Score
    n_rows: int
    third: float = np.inf


@dataclass
class Asked:
    """
    Sums of scores at one point after the other.

    Parameters
    ----------
    ask : callable
        Asks some sites.
    used : tuple of str
        Sites that the sum is over.
    nodes : int
        Of the quadrature.
    early : bool
        Whether a site is left alone at a point where its parabola is known to tell its
        score to 1e-9 standard errors.

    Attributes
    ----------
    number : int
        Points at which any site was asked.
    n_rows : int
        Rows of the last sum.
    lost : tuple of str
        Sites that did not answer when they were asked.
    spared : int
        Questions that were not asked.
    """

    ask: AskSites
    used: tuple[str, ...]
    nodes: int
    early: bool = False
    number: int = 0
    n_rows: int = 0
    lost: tuple[str, ...] = ()
    spared: int = 0
    _heard: dict[tuple[Part, str], _Heard] = field(default_factory=dict)
    _curve: dict[Part, FloatArray] = field(default_factory=dict)

    def __call__(self, phi: FloatArray, part: Part = "all") -> Score | None:
        """Sum over the sites; None if one of them is lost."""
        # In sorted order, so that the same answers give the same digits.
        sites = sorted(self.used)
        questions = tuple(s for s in sites if not self._known(part, s, phi))
        self.spared += len(sites) - len(questions)
        found = self._answers(questions, phi, part)
        if found is None:
            return None
        told = {s: self._heard[part, s] for s in sites if s not in found}
        scores = [
            as_score(found[s]) if s in found else _extended(told[s], phi) for s in sites
        ]
        total = scores[0]
        for one in scores[1:]:
            total = total + one
        self.n_rows = sum(
            found[s].n_rows if s in found else told[s].n_rows for s in sites
        )
        for s, score in zip(sites, scores, strict=True):
            if s in found:
                self._hear(part, s, phi, score, found[s].n_rows, total)
        self._curve[part] = total.information
        return total

    def value(self, phi: FloatArray) -> float | None:
        """Log-likelihood of the rows that are held out; None if a site is lost."""
        found = self._answers(tuple(sorted(self.used)), phi, "held-out")
        if found is None:
            return None
        self.n_rows = sum(one.n_rows for one in found.values())
        return sum(found[site].value for site in sorted(found))

    def _answers(
        self, sites: tuple[str, ...], phi: FloatArray, part: Part
    ) -> Mapping[str, ReleasedScore] | None:
        if not sites:
            return {}
        self.number += 1
        point = Point(self.number, self.nodes, tuple(map(float, phi)), part)
        answers = self.ask(point, sites)
        self.lost = tuple(site for site in sites if site not in answers)
        return None if self.lost else answers

    def _length(self, part: Part, step: FloatArray) -> float:
        """A step in standard errors."""
        return _root(step @ (definite(self._curve[part]) @ step))

    def _known(self, part: Part, site: str, phi: FloatArray) -> bool:
        last = self._heard.get((part, site))
        if not self.early or last is None or not np.isfinite(last.third):
            return False
        missed = last.third * self._length(part, phi - last.phi) ** 2
        return missed * len(self.used) <= _FREE

    def _hear(
        self,
        part: Part,
        site: str,
        phi: FloatArray,
        score: Score,
        n_rows: int,
        total: Score,
    ) -> None:
        last, third = self._heard.get((part, site)), np.inf
        if self.early and last is not None:
            B = definite(total.information)
            missed = score.gradient - _extended(last, phi).gradient
            size = _root(missed @ np.linalg.solve(B, missed))
            step = phi - last.phi
            length = _root(step @ (B @ step))
            third = size / length**2 if length > 0 else last.third
        self._heard[part, site] = _Heard(phi, score, n_rows, third)


def _root(square: FloatArray) -> float:
    return float(np.sqrt(max(float(square), 0.0)))


def as_score(released: ReleasedScore) -> Score:
    """The arrays of a released score."""
    d = len(released.gradient)
    information = np.zeros((d, d))
    information[np.tril_indices(d)] = released.information
    information += np.tril(information, -1).T
    return Score(released.value, np.array(released.gradient), information)


def _extended(heard: _Heard, phi: FloatArray) -> Score:
    """The parabola of a site's last answer at another point."""
    step, score = phi - heard.phi, heard.score
    bend = score.information @ step
    return Score(
        score.value + float((score.gradient - 0.5 * bend) @ step),
        score.gradient - bend,
        score.information,
    )
