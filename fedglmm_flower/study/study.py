"""The study: the question that all parties agree on, with its digest."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fedglmm_flower.errors import StudyError
from fedglmm_flower.study.canonical import canonical_bytes, digest
from fedglmm_flower.study.columns import Column
from fedglmm_flower.study.families import resolve_link, resolve_method
from fedglmm_flower.study.formula import RandomPart
from fedglmm_flower.study.model import Model, build_model
from fedglmm_flower.study.offers import (
    MAX_OFFERS,
    Offer,
    ladder,
    parse_offer,
    write_offer,
)
from fedglmm_flower.study.release import (
    Statistic,
    effective_order,
    release_statistics,
)

FORMAT = 1


@dataclass(frozen=True)
class Study:
    """
    One question to a consortium, fixed before any site computes.

    Parameters
    ----------
    name : str
        Short name.
    formula : str
        lme4 syntax.
    family, link, method : str
        Model family, link, and the estimator that is planned.
    site_column : str
        Column that names the site, and the group of ``(1 | site)``.
    columns : tuple of Column
        Declared columns, in order.
    sites : tuple of str
        Expected sites, sorted.
    release_set : str
        Set of statistics that is asked first.
    order : int
        Its highest order K of the moments.
    trials, offset, weights : str or None
        Expressions of columns.
    scales : mapping
        Centre and scale of atoms that are no bare column.
    accept : tuple of (str, int)
        Acceptable sets with their orders, the best first: a site sends the first that
        its gate lets out.  Empty for the usual ones after ``release_set`` at
        ``order``; see :func:`~fedglmm_flower.study.offers.ladder`.

    Notes
    -----
    Leaves the coordinator in clear: a study holds no data.
    """

    name: str
    formula: str
    family: str
    link: str
    method: str
    site_column: str
    columns: tuple[Column, ...]
    sites: tuple[str, ...]
    release_set: str = "canonical"
    order: int = 4
    trials: str | None = None
    offset: str | None = None
    weights: str | None = None
    scales: tuple[tuple[str, float, float], ...] = ()
    accept: tuple[Offer, ...] = ()

    def __post_init__(self) -> None:
        resolve_link(self.family, self.link)
        resolve_method(self.family, self.method)
        _distinct("study", [self.name])
        _distinct("column", [column.name for column in self.columns])
        _distinct("site", list(self.sites))
        if self.trials is not None and self.family != "binomial":
            raise StudyError(
                f"study: trials with family {self.family}; trials belong to the "
                "binomial family; remove them or change the family"
            )
        first = parse_offer(write_offer((self.release_set, self.order)))
        if self.family == "gaussian" and self.release_set != "canonical":
            raise StudyError(
                f"study: the {self.release_set} set with family gaussian; the "
                "canonical set is lossless there and smaller; ask for canonical"
            )
        if not self.accept:
            return
        if self.accept[0] != first:
            raise StudyError(
                f"study: {write_offer(first)} and a list of acceptable releases that "
                f"starts with {write_offer(self.accept[0])}; the two must agree; leave "
                "one out"
            )
        if len(set(self.accept)) != len(self.accept) or len(self.accept) > MAX_OFFERS:
            raise StudyError(
                f"study: {len(self.accept)} acceptable releases; at most {MAX_OFFERS} "
                "are required, each once; shorten the list"
            )
        if self.accept == ladder(*first):
            # One study has one form.
            object.__setattr__(self, "accept", ())

    @cached_property
    def model(self) -> Model:
        """The formula, reduced to atoms; checked for what a release supports."""
        model = build_model(
            self.formula,
            self.columns,
            family=self.family,
            link=self.link,
            trials=self.trials,
            offset=self.offset,
            weights=self.weights,
            scales={name: (center, scale) for name, center, scale in self.scales},
        )
        for part in model.formula.random:
            _check_group(part, self.site_column)
        varying = [c.name for effect in model.random for c in effect.columns]
        twice = sorted({name for name in varying if varying.count(name) > 1})
        if twice:
            raise StudyError(
                f"study: {twice[0]!r} varies by site in two random parts; once is "
                "required, with 'site' or the name of its column; remove one"
            )
        return model

    @cached_property
    def offers(self) -> tuple[Offer, ...]:
        """Acceptable releases; a gaussian one is lossless and has no other."""
        if self.family == "gaussian":
            return (("canonical", effective_order(self.model, self.order)),)
        return self._asked

    @property
    def _asked(self) -> tuple[Offer, ...]:
        return self.accept or ladder(self.release_set, self.order)

    def statistics(
        self, order: int, release_set: str | None = None
    ) -> tuple[Statistic, ...]:
        """The sums of a release of this study at an order, in canonical order."""
        return release_statistics(self.model, release_set or self.release_set, order)

    @cached_property
    def plain(self) -> Mapping[str, Any]:
        """The study as plain JSON values."""
        return {
            "format": FORMAT,
            "name": self.name,
            "formula": self.formula,
            "family": self.family,
            "link": self.link,
            "method": self.method,
            "site_column": self.site_column,
            "trials": self.trials,
            "offset": self.offset,
            "weights": self.weights,
            "release": {"accept": [write_offer(offer) for offer in self._asked]},
            "sites": list(self.sites),
            "columns": {column.name: _plain(column) for column in self.columns},
            "atoms": {
                name: {"center": center, "scale": scale}
                for name, center, scale in self.scales
            },
        }

    @cached_property
    def canonical_bytes(self) -> bytes:
        """Canonical JSON; what travels, and what the digest is of."""
        return canonical_bytes(self.plain)

    @cached_property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of the canonical bytes."""
        return digest(self.canonical_bytes)


def _plain(column: Column) -> dict[str, Any]:
    if column.kind == "categorical":
        return {"kind": column.kind, "unit": column.unit, "levels": list(column.levels)}
    bounds = [column.low, column.high]
    return {
        "kind": column.kind,
        "unit": column.unit,
        "bounds": None if bounds == [None, None] else bounds,
        "center": float(column.center),
        "scale": float(column.scale),
    }


def _distinct(what: str, names: list[str]) -> None:
    for name in names:
        if not name.strip() or any(ord(c) < 32 for c in name) or len(name) > 200:
            raise StudyError(
                f"study: {what} name {name!r}; a name of 1 to 200 printable characters "
                "is required; rename it"
            )
    if len(set(names)) != len(names):
        raise StudyError(
            f"study: a {what} is declared twice; every {what} may stand once; remove "
            "the repetition"
        )


def _check_group(part: RandomPart, site_column: str) -> None:
    if part.group in ((site_column,), ("site",)):
        return
    if part.group[0] in (site_column, "site"):
        found = f"clusters inside sites ({part.name})"
        cure = (
            f"use (1 | {site_column}), or fit a table that may be seen as a whole with "
            "glmm.fit"
        )
    else:
        found = f"the group {part.name!r}"
        cure = (
            f"use (1 | {site_column}); where data may be pooled, glmm.fit takes groups "
            "nested in sites and lme4 crossed ones"
        )
    raise StudyError(
        f"study: {found} in the formula; this version releases one summary for each "
        f"{site_column!r}; {cure}"
    )
