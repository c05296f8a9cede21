"""The study: the question that all parties agree on, with its digest."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fedglmm_flower.errors import StudyError
from fedglmm_flower.study.anchor_reach import require_reasonable
from fedglmm_flower.study.canonical import canonical_bytes, digest
from fedglmm_flower.study.columns import Column
from fedglmm_flower.study.families import resolve_link, resolve_method
from fedglmm_flower.study.grouping import check_groups
from fedglmm_flower.study.joint import JOINT, joint_model
from fedglmm_flower.study.model import Model, build_model
from fedglmm_flower.study.offers import (
    MAX_OFFERS,
    Offer,
    ladder,
    parse_offer,
    write_offer,
)
from fedglmm_flower.study.products import split_set
from fedglmm_flower.study.release import (
    Statistic,
    anchor_columns,
    effective_order,
    release_statistics,
)

FORMAT = 1
MAX_ROUNDS = 1000
HELD_OUT = 0.3  # share of the rows that judge a penalty (Li et al. 2022)


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
    clusters : tuple of str
        Columns that name clusters inside a site: what the formula groups by besides
        the site.  Their labels are data, and no part of a study.

    anchor : tuple of (name, coefficient)
        Public anchor of the ``public`` set, sorted by name: a coefficient on the raw
        scale for each fixed column, and for columns that only vary if it is not 0.
    rounds : int
        Points at which a site may be asked for its likelihood after the one round; 0
        for one round alone.
    held_out : float
        Share of a site's rows that may be held out to judge a penalty, up to a half; 0
        for none.

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
    clusters: tuple[str, ...] = ()
    anchor: tuple[tuple[str, float], ...] = ()
    rounds: int = 0
    held_out: float = 0.0

    def __post_init__(self) -> None:
        resolve_link(self.family, self.link)
        resolve_method(self.family, self.method)
        _distinct("study", [self.name])
        _distinct("column", [column.name for column in self.columns])
        _distinct("site", list(self.sites))
        _distinct("cluster column", list(self.clusters))
        if self.trials is not None and self.family != "binomial":
            raise StudyError(
                f"study: trials with family {self.family}; trials belong to the "
                "binomial family; remove them or change the family"
            )
        self._check_rounds()
        first = parse_offer(write_offer((self.release_set, self.order)))
        base, products = split_set(self.release_set)
        if self.family == "gaussian" and (base == "anchored" or products != "all"):
            raise StudyError(
                f"study: the {self.release_set} set with family gaussian; the "
                "canonical set is lossless there and smaller; ask for canonical"
            )
        if len({name == JOINT for name, _ in self._asked}) > 1:
            raise StudyError(
                "study: the joint set and others are acceptable; either joint sets "
                "alone or none are required, for they describe other columns; leave "
                "one kind out"
            )
        sets = {split_set(name)[0] for name, _ in self._asked}
        if ("public" in sets) != bool(self.anchor) or sets >= {"public", "anchored"}:
            raise StudyError(
                "study: the public set goes with a public anchor, and the anchored set "
                "with none; give the anchor in [release.anchor] with the public set, "
                "or leave both out"
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
        check_groups(model.random, self.site_column, self.clusters, self.method)
        return model

    @cached_property
    def moment_model(self) -> Model:
        """The model whose columns are multiplied: with the response in a joint set."""
        return joint_model(self.model) if self.is_joint else self.model

    @property
    def is_joint(self) -> bool:
        """Whether any released column can respond later."""
        return self.release_set == JOINT

    def _check_rounds(self) -> None:
        if not 0 <= self.rounds <= MAX_ROUNDS:
            raise StudyError(
                f"study: {self.rounds} rounds after the first; 0 to {MAX_ROUNDS} are "
                "possible; correct 'rounds'"
            )
        if not 0 <= self.held_out <= 0.5:
            raise StudyError(
                f"study: a share of {self.held_out} of the rows held out; 0 to 0.5 is "
                "required; correct 'held_out'"
            )

    @cached_property
    def anchor_values(self) -> tuple[float, ...] | None:
        """The public anchor in the order of the anchor's columns."""
        if not self.anchor:
            return None
        given = dict(self.anchor)
        names = [column.name for column in anchor_columns(self.model)]
        missing = [c.name for c in self.model.fixed if c.name not in given]
        unknown = sorted(set(given) - set(names))
        if missing or unknown:
            what = f"lacks {missing[0]!r}" if missing else f"has {unknown[0]!r}"
            raise StudyError(
                f"study: the public anchor {what}; a coefficient for each of "
                f"{', '.join(names)} is required and for nothing else; correct it"
            )
        return tuple(given.get(name, 0.0) for name in names)

    def check_anchor(self) -> None:
        """
        Refuse a public anchor that is none.

        Raises
        ------
        StudyError
            If a column lacks a coefficient, or what follows is no prediction.
        """
        if self.anchor_values is not None:
            columns = anchor_columns(self.model)
            require_reasonable(self.model, columns, self.anchor_values)

    @cached_property
    def offers(self) -> tuple[Offer, ...]:
        """Acceptable releases; a gaussian one is lossless and has no other."""
        if self.family == "gaussian" and not self.is_joint:
            return (("canonical", effective_order(self.model, self.order)),)
        return self._asked

    @property
    def _asked(self) -> tuple[Offer, ...]:
        return self.accept or ladder(self.release_set, self.order)

    def statistics(
        self, order: int, release_set: str | None = None
    ) -> tuple[Statistic, ...]:
        """The sums of a release of this study at an order, in canonical order."""
        name = release_set or self.release_set
        return release_statistics(self.moment_model, name, order)

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
            # Only where there are any: other studies keep their digest.
            **({"clusters": list(self.clusters)} if self.clusters else {}),
            **({"rounds": self.rounds} if self.rounds else {}),
            **({"held_out": float(self.held_out)} if self.held_out else {}),
            "trials": self.trials,
            "offset": self.offset,
            "weights": self.weights,
            "release": {
                "accept": [write_offer(offer) for offer in self._asked],
                **({"anchor": dict(self.anchor)} if self.anchor else {}),
            },
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
