"""How well the common estimates fit a site's own rows; nothing of it leaves."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedglmm_flower.errors import DataError
from fedglmm_flower.glmm.design import rows_of_table
from fedglmm_flower.glmm.evaluate import AtomRows, atom_rows
from fedglmm_flower.glmm.families import family_class
from fedglmm_flower.glmm.residuals import response_variance
from fedglmm_flower.glmm.rows import BoolArray, FloatArray
from fedglmm_flower.glmm.table import typed_table
from fedglmm_flower.site.labels import Path, parts_of
from fedglmm_flower.site.policy import Policy
from fedglmm_flower.site.source import TableSource
from fedglmm_flower.study.grouping import is_site
from fedglmm_flower.study.study import Study

FORMAT = 1
BINS = 10
_BATCH = 65_536
_FAR = 2.0  # standard deviations


def fit_check(
    study: Study,
    source: TableSource,
    policy: Policy,
    estimates: Mapping[str, Any],
    *,
    site: str,
) -> dict[str, Any]:
    """
    Compare the rows of a site with what the common model predicts for them.

    Predictions are those of the site itself: with its own random effects, and those of
    its clusters, where the estimates hold them.  A cluster without one, because it was
    pooled or left out or its name stayed here, is predicted as an average one.  Rows of
    weight w count as w rows.

    Stays at the site.  Groups of fewer than ``min_cell`` rows are merged all the same,
    and of a 0/1 response so are those of fewer events or non-events, so that the file
    can be shown to somebody.

    Parameters
    ----------
    study : Study
        What was asked.
    source : TableSource
        The site's rows; five numbers of each are held in memory.
    policy : Policy
        Says what a small group is.
    estimates : mapping
        ``estimates.json``.
    site : str
        Name of this site.

    Returns
    -------
    dict
        Plain JSON.  ``calibration`` has up to ten groups of rising prediction, with
        mean observed and mean predicted response (by trial, for a binomial one).
        ``pearson_dispersion`` is the mean of ``(y - mean)^2 / variance`` at the
        model's own dispersion: 1 where the model is right about the spread of the
        rows, more where it is too sure.  ``far`` is the share of rows beyond two
        standard deviations, None if that is few rows.

    Raises
    ------
    DataError
        If the estimates are not of the study's columns, or the table is not readable.
    """
    rows = _Predicted.of(study, source, estimates, site)
    n = len(rows.mean)
    if not n:
        raise DataError(
            f"{source.name}: no complete row; at least one is required to check a fit; "
            "look at the table"
        )
    mass = rows.weights * rows.trials
    share = rows.response / rows.trials
    variance = response_variance(
        study.family,
        rows.mean,
        rows.trials,
        estimates["dispersion"],
        estimates["residual_sd"],
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        residuals = (share - rows.mean) / np.sqrt(variance)
    residuals = np.where(share == rows.mean, 0.0, residuals)
    far = int((np.abs(residuals) > _FAR).sum())
    events = rows.response if study.family == "binomial" else None
    return {
        "format": FORMAT,
        "study_digest": study.digest,
        "site": site,
        "n_rows": n,
        "rows_with_own_effects": int(rows.known.sum()),
        "observed": float(np.average(share, weights=mass)),
        "predicted": float(np.average(rows.mean, weights=mass)),
        "pearson_dispersion": float(np.average(residuals**2, weights=rows.weights)),
        "mean_residual": float(np.average(residuals, weights=rows.weights)),
        "far": None if 0 < far < policy.min_cell else far / n,
        "calibration": [
            {
                "rows": len(group),
                "observed": float(np.average(share[group], weights=mass[group])),
                "predicted": float(np.average(rows.mean[group], weights=mass[group])),
            }
            for group in _groups(rows.mean, events, rows.trials, policy.min_cell)
        ],
    }


@dataclass(frozen=True)
class _Predicted:
    """Rows of a site and their predictions; arrays of shape (n,)."""

    mean: FloatArray
    response: FloatArray
    trials: FloatArray
    weights: FloatArray
    known: BoolArray

    @classmethod
    def of(
        cls,
        study: Study,
        source: TableSource,
        estimates: Mapping[str, Any],
        site: str,
    ) -> "_Predicted":
        """Predict batch by batch."""
        one = np.ones(1)
        inverse = family_class(study.family, study.link)(one, one, one, 0.0).inverse
        model = _Estimates.of(study, estimates, site, source.name)
        parts = []
        for path, rows in _batches(study, source):
            eta, known = model.predictor(path, rows)
            parts.append(
                (inverse(eta), rows.response, rows.trials, rows.weights, known)
            )
        if not parts:
            none = np.zeros(0)
            return cls(none, none, none, none, none.astype(np.bool_))
        joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
        kept = joined[2] > 0  # rows without trials say nothing
        mean, response, trials, weights, known = (column[kept] for column in joined)
        return cls(mean, response, trials, weights, known.astype(np.bool_))


@dataclass(frozen=True)
class _Estimates:
    """Coefficients, and the random effects of one site by group and level."""

    study: Study
    site: str
    beta: FloatArray
    effects: Mapping[tuple[str, str], Mapping[str, float]]

    @classmethod
    def of(
        cls, study: Study, estimates: Mapping[str, Any], site: str, where: str
    ) -> "_Estimates":
        """Take from ``estimates.json`` what predictions need."""
        found = {row["name"]: row["estimate"] for row in estimates["fixed"]}
        names = [column.name for column in study.model.fixed]
        if sorted(found) != sorted(names) or None in found.values():
            raise DataError(
                f"{where}: the estimates have not the study's coefficients, or one has "
                "no finite value; a finite one for each of the study's columns is "
                "required to check a fit; see the warnings of the result"
            )
        effects: dict[tuple[str, str], dict[str, float]] = {}
        for row in estimates["ranef"]:
            own = effects.setdefault((row["group"], row["level"]), {})
            own[row["term"]] = row["estimate"]
        return cls(study, site, np.array([found[name] for name in names]), effects)

    def predictor(self, path: Path, rows: AtomRows) -> tuple[FloatArray, BoolArray]:
        """Linear predictor of the rows of a cluster, and whether its effects are in."""
        study, n = self.study, len(rows.response)
        cluster = dict(zip(study.clusters, path, strict=True))
        label = {
            name: self.site if is_site(name, study.site_column) else cluster[name]
            for effect in study.model.random
            for name in effect.group
        }
        groups = {
            name: np.full(n, value, dtype=object) for name, value in label.items()
        }
        built = rows_of_table(study.model, rows, groups, n_rows=n)
        eta = built.offset + built.basis @ (built.coefficients.T @ self.beta)
        known = True
        for effect, term in zip(study.model.random, built.random, strict=True):
            level = ":".join(label[name] for name in effect.group)
            own = self.effects.get((effect.name, level))
            if own is None:
                known = False
                continue
            eta = eta + term.Z @ np.array([own[name] for name in term.names])
        return eta, np.full(n, known)


def _batches(study: Study, source: TableSource) -> Iterator[tuple[Path, AtomRows]]:
    model = study.model
    used = [model.columns[name] for name in model.used_columns]
    columns = list(dict.fromkeys([*model.used_columns, *study.clusters]))
    first = 0
    for frame in source.batches(columns, _BATCH):
        table = typed_table(frame, used, where=source.name, first_row=first + 1)
        first += len(frame)
        complete = atom_rows(model, table, where=source.name)
        for path, _, rows in parts_of(frame, study.clusters, complete, source.name)[0]:
            yield path, rows


def _groups(
    mean: FloatArray, events: FloatArray | None, trials: FloatArray, least: int
) -> list[np.ndarray[Any, Any]]:
    """Rows by tenths of their prediction, merged upwards until none is small."""
    edges = np.unique(np.quantile(mean, np.arange(1, BINS) / BINS))
    tenth = np.searchsorted(edges, mean)  # equal predictions stay together
    order = np.argsort(tenth, kind="stable")
    cuts = np.searchsorted(tenth[order], np.arange(1, len(edges) + 1))

    def small(group: np.ndarray[Any, Any]) -> bool:
        if len(group) < least:
            return True
        if events is None:
            return False
        yes = events[group].sum()
        return bool(min(yes, trials[group].sum() - yes) < least)

    whole: list[np.ndarray[Any, Any]] = []
    rest = order[:0]
    for part in np.split(order, cuts):
        rest = np.concatenate([rest, part])
        if not small(rest):
            whole.append(rest)
            rest = order[:0]
    if len(rest) and whole:
        whole[-1] = np.concatenate([whole[-1], rest])
    return whole
