"""A joint release as the canonical one of whatever responds now."""

from collections.abc import Mapping
from dataclasses import replace

from fedglmm_flower.coordinator.targets import Targets
from fedglmm_flower.errors import StudyError
from fedglmm_flower.study.joint import require_family
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.polynomial import Monomial, multiply_monomials
from fedglmm_flower.study.release import moment_degrees
from fedglmm_flower.study.study import Study


def joint_targets(
    released: Study,
    asked: Model,
    targets: Targets,
    moments: Mapping[Monomial, float],
) -> Targets:
    """
    Sums with the response, from the products that hold it.

    Parameters
    ----------
    released : Study
        What the sites were asked, with a joint set.
    asked : Model
        What is fitted: its response is one of the released atoms.
    targets : Targets
        All released sums of one site.
    moments : mapping
        Those of the asked model's columns, in its own atoms.

    Returns
    -------
    Targets
        What a canonical release for the asked model would hold.
    """
    basis = released.moment_model
    names = [atom.name for atom in basis.atoms]
    places = [names.index(atom.name) for atom in asked.atoms]
    at = names.index(asked.response.name)
    atom = basis.atoms[at]
    unit = tuple(1 if i == at else 0 for i in range(len(names)))
    # A gaussian response is shifted and scaled as its atom is; a count is not.
    center, scale = (0.0, 1.0) if atom.is_factor else (atom.center, atom.scale)
    if asked.family == "gaussian":
        center, scale = 0.0, 1.0

    def mean(monomial: Monomial) -> float:
        found = [0] * len(names)
        for place, exponent in zip(places, monomial, strict=True):
            found[place] = exponent
        alone = tuple(found)
        product = multiply_monomials(alone, unit, basis.factors)
        with_response = 0.0 if product is None else targets.moments[product]
        return center * targets.moments[alone] + scale * with_response

    square = multiply_monomials(unit, unit, basis.factors)
    squares = 0.0
    if asked.family == "gaussian" and square is not None:
        squares = targets.total * targets.moments[square]
    return replace(
        targets,
        moments=moments,
        responses={m: targets.total * mean(m) for m in moment_degrees(asked, 1)},
        squares=squares,
        constant=targets.factorials.get(at, 0.0) if asked.family == "poisson" else 0.0,
        anchored=None,
        factorials={},
    )


def require_response(released: Study, asked: Model) -> None:
    """
    Refuse a response that the joint release does not hold.

    Raises
    ------
    StudyError
        It says what is missing.
    """
    require_family(asked)
    basis = released.moment_model
    response, names = asked.response, [atom.name for atom in basis.atoms]
    if response.name not in names:
        raise StudyError(
            f"refit: response {response.name!r} was not released; one of "
            f"{', '.join(names)} is required; ask the sites anew"
        )
    at = names.index(response.name)
    atom = basis.atoms[at]
    if asked.family == "binomial" and len(atom.levels) != 2:
        raise StudyError(
            f"refit: response {response.name!r} with family binomial; a 0/1 column or "
            "a factor of two levels is required, for its products alone are released; "
            "ask for another family, or the sites anew"
        )
    if asked.family == "poisson" and not any(
        s.role == "log_factorial" and s.column == at
        for s in released.statistics(released.order)
    ):
        raise StudyError(
            f"refit: response {response.name!r} with family poisson; the sum of "
            "log(y!) was not released; a column of unit 'count' is required; declare "
            "it in a new study"
        )
    single = moment_degrees(basis, 1)
    if tuple(1 if i == at else 0 for i in range(len(names))) not in single:
        raise StudyError(
            f"refit: response {response.name!r} was released only in products; a "
            "column of its own is required; ask the sites anew"
        )
