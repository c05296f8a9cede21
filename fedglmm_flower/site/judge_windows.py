"""A cluster's sums, and how far each record stands out in what they determine."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from fedglmm_flower.glmm.evaluate import AtomRows
from fedglmm_flower.site.leverage import largest_leverage
from fedglmm_flower.site.moments import Moments
from fedglmm_flower.site.unit_leverage import largest_unit_leverage
from fedglmm_flower.site.windows import (
    Expansions,
    Window,
    expansions_of,
    roots_on_rows,
    windows_of,
)
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.study import Study


def with_leverage(
    study: Study, moments: Moments, again: Callable[[], Iterable[AtomRows]]
) -> Moments:
    """
    The same sums, with the largest leverage in each window that an offer opens.

    Parameters
    ----------
    study : Study
        The question.
    moments : Moments
        Sums of a cluster, those at its anchor too.
    again : callable
        Gives its rows anew at each call; twice for each window.
    """
    model = study.moment_model
    sums = dict(zip(moments.statistics, moments.values, strict=True))
    public = study.anchor_values
    expansions = expansions_of(
        model, sums, moments.n_rows, None if public is None else np.array(public)
    )
    windows = {
        window
        for name, order in study.offers
        for window in windows_of(study.statistics(order, name))
        if window.kind != "anchor" or expansions
    }
    found = {}
    for window in sorted(windows):
        found[window] = (
            largest_unit_leverage(partial(_owned, model, window, again, expansions))
            if moments.has_units
            else largest_leverage(partial(_roots, model, window, again, expansions))
        )
    return replace(moments, leverage=found)


def _roots(
    model: Model,
    window: Window,
    again: Callable[[], Iterable[AtomRows]],
    expansions: Expansions,
) -> Iterator[npt.NDArray[np.float64]]:
    for rows in again():
        yield roots_on_rows(model, window, rows, expansions)


def _owned(
    model: Model,
    window: Window,
    again: Callable[[], Iterable[AtomRows]],
    expansions: Expansions,
) -> Iterator[tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]]:
    for rows in again():
        assert rows.units is not None  # noqa: S101 - asked of moments with units alone
        yield roots_on_rows(model, window, rows, expansions), rows.units
