"""The joint release: the response is one more atom, any column may respond later."""

from dataclasses import replace

from fedglmm_flower.errors import StudyError
from fedglmm_flower.study.atoms import Atom
from fedglmm_flower.study.model import Model, ModelColumn
from fedglmm_flower.study.polynomial import Polynomial

JOINT = "joint"
# A column of this unit brings the sum of log y!, so that Poisson fits have constants.
COUNT = "count"
FAMILIES = (("gaussian", "identity"), ("binomial", "logit"), ("poisson", "log"))


def joint_model(model: Model) -> Model:
    """
    A model with its response among the atoms and the columns.

    Parameters
    ----------
    model : Model
        The question.

    Returns
    -------
    Model
        The same one, whose moment functions are products of columns and response.

    Raises
    ------
    StudyError
        If the rows have trials or an offset, which belong to one response alone.
    """
    require_family(model)
    for what, given in (("trials", model.trials), ("an offset", model.offset)):
        if given is not None:
            raise StudyError(
                f"study: the joint set with {what}, which belong to one response; a "
                "model without is required there; ask for another set"
            )
    atom = _response_atom(model)
    at = len(model.atoms)
    unit = (0,) * at + (1,)
    return replace(
        model,
        atoms=(*model.atoms, atom),
        fixed=(
            *(replace(c, polynomial=_longer(c.polynomial)) for c in model.fixed),
            ModelColumn(atom.name, {unit: 1.0}),
        ),
        random=tuple(
            replace(
                effect,
                columns=tuple(
                    replace(c, polynomial=_longer(c.polynomial)) for c in effect.columns
                ),
            )
            for effect in model.random
        ),
    )


def require_family(model: Model) -> None:
    """
    Refuse a family whose likelihood needs more than products with the response.

    Raises
    ------
    StudyError
        For all but gaussian, binomial with logit, and poisson.
    """
    if (model.family, model.link) not in FAMILIES:
        raise StudyError(
            f"joint set: {model.family} with link {model.link}; it holds gaussian, "
            "binomial (logit) and poisson models; ask for another family, or another "
            "set in a new study"
        )


def count_atoms(model: Model) -> list[int]:
    """Atoms of a joint model that may be the counts of a Poisson model."""
    last = len(model.atoms) - 1
    found = []
    for at, atom in enumerate(model.atoms):
        column = model.columns.get(atom.name)
        declared = column is not None and column.unit == COUNT
        own = at == last and model.family == "poisson"
        if (declared or own) and not atom.is_factor:
            found.append(at)
    return found


def _response_atom(model: Model) -> Atom:
    response = model.response
    column = model.columns.get(response.name)
    if column is not None and column.kind == "categorical":
        return Atom(response.name, None, column.levels)
    if column is not None and column.kind == "binary":
        return Atom(response.name, None, ("0", "1"))
    center, scale = response.center, response.scale
    if column is not None:
        center, scale = column.center, column.scale
    return Atom(response.name, response.expression, (), center, scale)


def _longer(polynomial: Polynomial) -> Polynomial:
    return {(*monomial, 0): value for monomial, value in polynomial.items()}
