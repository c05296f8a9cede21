"""Models that are asked later of a release that was made for another one."""

from typing import Any

import numpy as np

from benchmarks.release_sets.cases import GUSTO, Case, case
from benchmarks.release_sets.fitting import drawn, shift_of
from fedglmm_flower.coordinator.pooling import PseudoSite
from fedglmm_flower.coordinator.pseudodata import PseudoRows
from fedglmm_flower.coordinator.responses import responses_of

_CHOP = "y ~ gender + patient_class + drive_thru_ind + pan_day_z + age_z"
_RARE = "y ~ x1 + x2 + x3"
QUESTIONS: dict[str, dict[str, str]] = {
    "GUSTO-I, 5 columns": {
        "without pulse10": GUSTO.replace(" + pulse10", ""),
        "without hf": GUSTO.replace(" + hf", ""),
        "slope of age10 by site": GUSTO.replace("(1 |", "(1 + age10 |"),
    },
    "CHOP": {
        "without age_z": f"{_CHOP} + (1 | clinic_name)".replace(" + age_z", ""),
        "without patient_class": f"{_CHOP} + (1 | clinic_name)".replace(
            " + patient_class", ""
        ),
        "slope of age_z by site": f"{_CHOP} + (1 + age_z | clinic_name)",
    },
    "Poisson, 30 x 100": {
        "without x1": f"{_RARE} + (1 | g)".replace("x1 + ", ""),
        "without x3": f"{_RARE} + (1 | g)".replace(" + x3", ""),
        "slope of x1 by site": f"{_RARE} + (1 + x1 | g)",
    },
}


def from_one_release(name: str, label: str, order: int = 3) -> dict[str, Any]:
    """
    A later model's shift, from the release at hand and from one made for it.

    Parameters
    ----------
    name : str
        Case.
    label : str
        Which of its questions.
    order : int
        Order of the anchored release.
    """
    made, later = case(name), case(name, QUESTIONS[name][label])
    targets = made.targets("anchored", order)
    draws = {
        site: [_seen_by(later, made, one) for one in many]
        for site, many in drawn(made, targets, 1).items()
    }
    own = later.targets("anchored", order)
    for site, many in draws.items():
        for i, one in enumerate(many):
            responses, missed = responses_of(later.model, one.rows, own[site])
            many[i] = PseudoSite(one.rows, responses, max(one.residual, missed))
    at_hand = shift_of(later, own, draws)
    best = shift_of(later, own, drawn(later, own, 1))
    return {"at_hand": vars(at_hand), "made_for_it": vars(best)}


def _seen_by(later: Case, made: Case, one: PseudoSite) -> PseudoSite:
    """The same rows in the atoms of another model."""
    names = [atom.name for atom in made.model.atoms]
    at = [names.index(atom.name) for atom in later.model.atoms]
    rows = one.rows
    values = np.ascontiguousarray(rows.values[:, at])
    seen = PseudoRows(values, rows.weights, rows.residual, rows.exact)
    return PseudoSite(seen, one.responses, one.residual)
