"""The squares whose sums a release determines, through which a record may be seen."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from fedglmm_flower.glmm.anchor import AnchorFrame
from fedglmm_flower.glmm.curves import curves_of
from fedglmm_flower.glmm.evaluate import AtomRows, evaluate_monomials
from fedglmm_flower.glmm.expansion import Expansion
from fedglmm_flower.glmm.marginal_shape import NEUTRAL, marginal_shape
from fedglmm_flower.site.measures import measure_on_rows
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.release import Measure, Statistic, moment_degrees

FloatArray = npt.NDArray[np.float64]
Expansions: TypeAlias = Mapping[Measure, Expansion]
Kind = Literal["moments", "responses", "gaussian", "anchor"]


@dataclass(frozen=True, order=True)
class Window:
    """
    Functions whose products with each other are summed under a measure.

    Parameters
    ----------
    kind : {"moments", "responses", "gaussian", "anchor"}
        Products of columns; these under the response as a measure; columns and a
        gaussian response; columns under the second derivative at an anchor.
    measure : str
        What weighs the rows.
    degree : int
        Most columns in a function.
    """

    kind: Kind
    measure: Measure
    degree: int

    @property
    def words(self) -> str:
        """What it is, for people."""
        what = {
            "moments": "squares of the columns",
            "responses": "squares of the columns times the response",
            "gaussian": "squares of columns and response",
            "anchor": "squares of the columns at the anchor",
        }[self.kind]
        if self.degree > 1:
            what = what.replace("columns", "columns and their products")
        return what if self.measure == "rows" else f"{what} under {self.measure}"


def windows_of(statistics: Iterable[Statistic]) -> tuple[Window, ...]:
    """
    The windows that a release opens.

    Moments of order K determine the sum of the square of every combination of products
    of ``K // 2`` columns, and whoever has them can search for the combination that one
    record dominates.  Those of order 3 are judged as of order 4: a sum of cubes is
    that of its one extreme record as well.
    """
    highest: dict[tuple[Kind, Measure], int] = {}
    gaussian = False
    for s in statistics:
        kinds: dict[str, Kind] = {"x": "moments", "y": "responses"}
        if s.role in kinds:
            at = (kinds[s.role], s.measure)
            highest[at] = max(highest.get(at, 0), s.degree)
        elif s.role == "information":
            highest["anchor", s.measure] = 2
        gaussian = gaussian or s.role == "yy"
    found = []
    for (kind, measure), order in highest.items():
        if gaussian:
            if kind == "moments":
                found.append(Window("gaussian", measure, 1))
        elif order >= 2:
            found.append(Window(kind, measure, 2 if order == 3 else order // 2))
    return tuple(sorted(found))


def expansions_of(
    model: Model,
    sums: Mapping[Statistic, float],
    n_rows: int,
    public: FloatArray | None,
) -> dict[Measure, Expansion]:
    """
    The functions at a cluster's anchor, from its sums alone.

    Parameters
    ----------
    model : Model
        The question.
    sums : mapping
        Sums of the cluster, those at its own anchor among them if there are any.
    n_rows : int
        Its rows.
    public : array of shape (p,) or None
        The study's anchor, if it gives one.
    """
    own = {s.column: v for s, v in sums.items() if s.role == "anchor"}
    if not own and public is None:
        return {}
    frame = AnchorFrame(model)
    shape = NEUTRAL if public is not None else marginal_shape(model, sums, n_rows)
    anchor = np.array([own[k] for k in sorted(own)]) if public is None else public
    flat = np.zeros((len(anchor), len(anchor)))
    curves = curves_of(model, shape)
    return {curve.measure: Expansion(frame, anchor, flat, curve) for curve in curves}


def roots_on_rows(
    model: Model, window: Window, rows: AtomRows, expansions: Expansions
) -> FloatArray:
    """
    Functions whose products are the summands of a window, shape (functions, n).

    Does not leave the site.
    """
    degrees = moment_degrees(model, window.degree)
    monomials = tuple(dict.fromkeys([model.constant, *degrees]))
    functions = evaluate_monomials(rows.values, monomials, model.factors)
    weight = measure_on_rows(rows, window.measure)
    if window.kind == "responses":
        weight = rows.weights * np.abs(rows.response)
    elif window.kind == "anchor":
        weight = weight * expansions[window.measure].weights(rows.values)["information"]
    elif window.kind == "gaussian":
        shifted = rows.response - rows.offset
        functions = np.vstack([functions, shifted])
    return np.asarray(functions * np.sqrt(np.maximum(weight, 0.0)))
