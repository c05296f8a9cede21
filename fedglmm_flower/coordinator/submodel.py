"""A model of columns that were released for another one: what it takes of the sums."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from fedglmm_flower.coordinator.blocks import Block, blocks_of
from fedglmm_flower.coordinator.joint import joint_targets, require_response
from fedglmm_flower.coordinator.opening import Opened
from fedglmm_flower.coordinator.pooling import PseudoSite
from fedglmm_flower.coordinator.targets import Targets
from fedglmm_flower.errors import StudyError
from fedglmm_flower.study.expression import Expression
from fedglmm_flower.study.families import resolve_link, resolve_method
from fedglmm_flower.study.model import Model, ModelColumn
from fedglmm_flower.study.offers import Offer
from fedglmm_flower.study.polynomial import Monomial, divisors
from fedglmm_flower.study.products import split_set
from fedglmm_flower.study.release import moment_degrees, response_degrees
from fedglmm_flower.study.study import Study


@dataclass(frozen=True)
class Submodel:
    """
    A question that a release answers though it was made for another.

    Parameters
    ----------
    released : Study
        What the sites were asked.
    study : Study
        What is asked now: same columns, sites and response.
    """

    released: Study
    study: Study

    @property
    def is_another(self) -> bool:
        """Whether the sites were asked for something else."""
        return self.study.digest != self.released.digest

    @property
    def model(self) -> Model:
        """The model that is fitted."""
        return self.study.model

    @property
    def atoms(self) -> list[int]:
        """Where its atoms stand among the released ones."""
        names = [atom.name for atom in self.released.moment_model.atoms]
        return [names.index(atom.name) for atom in self.model.atoms]

    def released_monomial(self, monomial: Monomial) -> Monomial:
        """A moment function of this model among those of the release."""
        out = list(self.released.moment_model.constant)
        for at, exponent in zip(self.atoms, monomial, strict=True):
            out[at] = exponent
        return tuple(out)

    def targets(self, targets: Targets, offer: Offer) -> Targets:
        """
        The sums that belong to this model.

        Parameters
        ----------
        targets : Targets
            Released sums of one site.
        offer : (str, int)
            Set and order of its release.

        Returns
        -------
        Targets
            A selection of the same numbers.  What is known at the anchor of the
            released model is left out: it describes that model's likelihood.
        """
        moments, responses = targets.moments, targets.responses
        (_, products), order = split_set(offer[0]), offer[1]
        kept = {
            m: moments[self.released_monomial(m)]
            for m in moment_degrees(self.model, order, products)
            if self.released_monomial(m) in moments
        }
        if self.released.is_joint:
            return joint_targets(self.released, self.model, targets, kept)
        answered = {
            m: responses[self.released_monomial(m)]
            for m in response_degrees(self.model, order, products)
            if self.released_monomial(m) in responses
        }
        return replace(targets, moments=kept, responses=answered, anchored=None)

    def blocks(self, opened: Mapping[str, Opened]) -> dict[Block, Targets]:
        """The sums of every cluster that belong to this model."""
        return {
            block: self.targets(targets, opened[block[0]].offer)
            for block, targets in blocks_of(opened).items()
        }

    def draws(
        self, draws: Mapping[Block, list[PseudoSite]]
    ) -> dict[Block, list[PseudoSite]]:
        """Pseudo-data of the released model, in terms of this one's atoms."""
        at = self.atoms
        return {
            block: [
                replace(one, rows=replace(one.rows, values=one.rows.values[:, at]))
                for one in many
            ]
            for block, many in draws.items()
        }


def submodel(
    released: Study,
    formula: str,
    *,
    family: str | None = None,
    link: str | None = None,
    method: str | None = None,
) -> Submodel:
    """
    A model of released columns.

    Parameters
    ----------
    released : Study
        What the sites were asked.
    formula : str
        lme4 syntax.
    family, link : str or None
        Those of the release when None.
    method : str or None
        That of the release when None.

    Raises
    ------
    StudyError
        If the release does not hold what the model needs; it says what.
    """
    if released.is_joint:
        return _of_joint(released, formula, family, link, method)
    chosen = family or released.family
    same_family = chosen == released.family
    resolved = resolve_link(chosen, link or (released.link if same_family else None))
    if not same_family or resolved != released.link:
        raise StudyError(
            f"refit: family {chosen} with link {resolved}; the sites released sums "
            f"for {released.family} with link {released.link}; ask for that family, or "
            "ask the sites anew"
        )
    asked = replace(
        released,
        formula=formula,
        method=resolve_method(chosen, method or released.method),
    )
    _require_released(released.model, asked.model)
    return Submodel(released, asked)


def _require_released(released: Model, asked: Model) -> None:
    _same("response", _response(released), _response(asked))
    _require_columns(released, asked)
    _same("trials", _text(released.trials), _text(asked.trials))
    _same("weights", _text(released.weights), _text(asked.weights))
    if asked.offset is not None or released.offset_column is None:
        # Where the offset is a column like others, a model may do without it.
        _same("offset", _text(released.offset), _text(asked.offset))


def _require_columns(released: Model, asked: Model) -> None:
    atoms = {atom.name: atom for atom in released.atoms}
    names = ", ".join(column.name for column in _columns(released))
    places = [atom.name for atom in released.atoms]
    single = moment_degrees(released, 1)
    for column in _columns(asked):
        for monomial in column.polynomial:
            needed = [
                (atom, e) for atom, e in zip(asked.atoms, monomial, strict=True) if e
            ]
            found = [0] * len(places)
            missing = [a.name for a, _ in needed if atoms.get(a.name) != a]
            if not missing:
                for atom, e in needed:
                    found[places.index(atom.name)] = e
            if missing or any(
                d not in single for d in divisors(tuple(found), released.factors)
            ):
                raise StudyError(
                    f"refit: the sums of column {column.name!r} were not released; a "
                    f"model of the released columns is required, which are {names}; "
                    "leave it out, or ask the sites anew"
                )


def _of_joint(
    released: Study,
    formula: str,
    family: str | None,
    link: str | None,
    method: str | None,
) -> Submodel:
    """A model of any released response."""
    chosen = family or released.family
    if method is None and chosen == released.family:
        method = released.method
    asked = replace(
        released,
        formula=formula,
        family=chosen,
        link=resolve_link(chosen, link),
        method=resolve_method(chosen, method),
    )
    model = asked.model
    for what, text in (("trials", model.trials), ("offset", model.offset)):
        _same(what, "none", _text(text))
    _require_columns(released.moment_model, model)
    require_response(released, model)
    return Submodel(released, asked)


def _columns(model: Model) -> list[ModelColumn]:
    """Distinct columns, fixed and varying."""
    found = {column.name: column for column in model.fixed}
    for effect in model.random:
        for column in effect.columns:
            found.setdefault(column.name, column)
    return list(found.values())


def _response(model: Model) -> str:
    expression = model.response.expression
    return model.response.name if expression is None else expression.text


def _text(expression: Expression | None) -> str:
    return "none" if expression is None else expression.text


def _same(what: str, released: str, asked: str) -> None:
    if released != asked:
        raise StudyError(
            f"refit: {what} {asked}; the released sums have {what} {released}; the "
            "same is required; correct the formula, or ask the sites anew"
        )
