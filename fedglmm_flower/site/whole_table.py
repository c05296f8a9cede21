"""The study of a simulation: given, or proposed from the table itself."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from fedglmm_flower.errors import DataError, StudyError, UsageError
from fedglmm_flower.glmm.evaluate import atom_rows
from fedglmm_flower.glmm.fitted import FittedModel
from fedglmm_flower.glmm.on_table import (
    fit_table,
    require_both_outcomes,
    require_determined,
)
from fedglmm_flower.glmm.propose import Question, propose_columns
from fedglmm_flower.glmm.table import (
    as_text,
    missing_text,
    require_columns,
    typed_table,
)
from fedglmm_flower.site.parquet import ParquetSource
from fedglmm_flower.site.source import FrameSource, file_source
from fedglmm_flower.study.expression import column_or_expression
from fedglmm_flower.study.families import resolve_link, resolve_method
from fedglmm_flower.study.file import read_study
from fedglmm_flower.study.formula import Formula, parse_formula
from fedglmm_flower.study.grouping import cluster_columns
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.offers import (
    Offer,
    best_offer,
    moderate_order,
    parse_offer,
)
from fedglmm_flower.study.products import SETS, join_set, split_set
from fedglmm_flower.study.study import Study

DEFAULT_ORDER = 4
TableLike: TypeAlias = pd.DataFrame | Path | str


@dataclass(frozen=True)
class Table:
    """
    All rows of a simulation.

    Parameters
    ----------
    frame : DataFrame
        Cells as text, or native values.
    name : str
        Name for messages.
    """

    frame: pd.DataFrame
    name: str


@dataclass(frozen=True)
class TableStudy:
    """
    A study and the table that answers it.

    Parameters
    ----------
    study : Study
        The question.
    frame : DataFrame
        All rows that name a site.
    labels : Series
        Site of each row, as text.
    site_column : str
        Column of the table that names the site.
    """

    study: Study
    frame: pd.DataFrame
    labels: pd.Series
    site_column: str

    def source(self, site: str) -> FrameSource:
        """Rows of one site, in the order of the table."""
        rows = self.frame[(self.labels == site).to_numpy()]
        return FrameSource(rows, f"site {site!r}")

    def pooled_fit(self, sites: Collection[str], method: str | None) -> FittedModel:
        """Fit of the rows of some sites as one table, for comparison."""
        names = [n for p in self.study.model.formula.random for n in p.group]
        inside = self.study.clusters
        return fit_table(
            self.study.model,
            self.frame[self.labels.isin(list(sites)).to_numpy()],
            groups={n: n if n in inside else self.site_column for n in names},
            method=method or self.study.method,
        )


def read_table(data: TableLike) -> Table:
    """
    Read a CSV file as text or a Parquet file, or take a table as it is.

    Raises
    ------
    DataError
        If the file cannot be read or has no rows.
    """
    if isinstance(data, pd.DataFrame):
        table = Table(data, "table")
    else:
        source = file_source(Path(data))
        if isinstance(source, ParquetSource):
            frame = source.whole()
        else:
            batches = list(source.batches(source.header(), 100_000))
            frame = pd.concat(batches, ignore_index=True) if batches else pd.DataFrame()
        table = Table(frame, source.name)
    if len(table.frame) == 0:
        raise DataError(
            f"{table.name}: has no rows; at least one row is required; check the export"
        )
    return table


def study_of_table(
    table: Table,
    formula: str | None,
    family: str | None,
    *,
    link: str | None,
    site_column: str | None,
    trials: str | None,
    offset: str | None,
    weights: str | None,
    levels: Mapping[str, Sequence[str]],
    study: Path | str | None,
    order: int | None,
    release_set: str | None,
    method: str | None,
    anchor: Mapping[str, float] | None = None,
) -> TableStudy:
    """
    The study of a table, with its rows checked against it.

    Parameters are those of :func:`~fedglmm_flower.flower.simulate.simulate`.

    Raises
    ------
    UsageError, StudyError, DataError
        If question and table do not fit together; every site would say the same.
    """
    trials, offset, weights = (
        None if text is None else column_or_expression(text, table.frame.columns)
        for text in (trials, offset, weights)
    )
    if study is not None:
        given: list[object] = [formula, family, link, trials, offset, weights]
        given += [release_set, order, anchor]
        if any(value is not None for value in given) or levels:
            raise UsageError(
                "simulate: a study and parts of a question were given; the study holds "
                "formula, family, columns, levels, set and order; leave out either"
            )
        asked = read_study(study)
        if method is not None:
            resolve_method(asked.family, method)
        column = _column(table, site_column or asked.site_column)
        labels = _labels(table, column)
        asked = _with_sites(asked, labels)
    else:
        if formula is None or family is None:
            raise UsageError(
                "simulate: formula or family is missing; both are required, or a "
                "study; add --formula and --family"
            )
        column, asked = _propose(
            table,
            parse_formula(formula),
            family,
            link=link,
            site_column=site_column,
            trials=trials,
            offset=offset,
            weights=weights,
            levels=levels,
            order=order,
            release_set=release_set,
            method=method,
            anchor=anchor,
        )
        labels = _labels(table, column)
    named = ~missing_text(labels)
    require_columns(table.frame.columns, asked.clusters, table.name)
    # One spelling at all sites: 1.0 is "1" only where the whole column is whole.
    texts = {name: as_text(table.frame[name]) for name in asked.clusters}
    frame = table.frame.assign(**texts)[named.to_numpy()]
    model = asked.model
    columns = [model.columns[name] for name in model.used_columns]
    checked = typed_table(frame, columns, where=table.name)
    rows = atom_rows(model, checked, where=table.name)
    if len(rows.response) == 0:
        raise DataError(
            f"{table.name}: no row is complete at any site and of positive weight; "
            "complete rows are required; check the columns "
            f"{', '.join(model.used_columns)}"
        )
    require_both_outcomes(model, rows, table.name)
    require_determined(model, rows)
    return TableStudy(asked, frame, labels[named.to_numpy()], column)


def _propose(
    table: Table,
    formula: Formula,
    family: str,
    *,
    link: str | None,
    site_column: str | None,
    trials: str | None,
    offset: str | None,
    weights: str | None,
    levels: Mapping[str, Sequence[str]],
    order: int | None,
    release_set: str | None,
    method: str | None,
    anchor: Mapping[str, float] | None,
) -> tuple[str, Study]:
    chosen = resolve_link(family, link)
    resolved = resolve_method(family, method)
    if site_column is None:
        if not formula.random:
            raise UsageError(
                "simulate: no site column is given and the formula has no random part "
                "to take it from; a column that names the site is required; add "
                "--site-column"
            )
        site_column = formula.random[0].group[0]
    column = _column(table, site_column)
    question = Question(formula, family, chosen, trials, offset, weights, levels)
    columns, scales = propose_columns(question, table.frame, where=table.name)
    labels = _labels(table, column)
    sites = tuple(sorted(labels[~missing_text(labels)].unique().tolist()))
    groups = [part.group for part in formula.random]
    study = Study(
        name=Path(table.name).stem[:200].strip() or "simulation",
        formula=formula.text,
        family=family,
        link=chosen,
        method=resolved,
        site_column=column,
        clusters=cluster_columns(groups, column),
        columns=columns,
        sites=sites,
        trials=trials,
        offset=offset,
        weights=weights,
        scales=scales,
    )
    if anchor is not None:
        base, products = split_set(release_set or "public")
        if base not in ("anchored", "public"):
            raise UsageError(
                f"simulate: a public anchor and the {release_set} set; the public set "
                "is required with an anchor; leave one of the two out"
            )
        release_set = join_set("public", products)
    name, k = _first(study.model, order, release_set)
    given = tuple(sorted((anchor or {}).items()))
    study = replace(study, release_set=name, order=k, anchor=given)
    study.anchor_values  # noqa: B018 - checks its names
    for name, k in study.offers:
        study.statistics(k, name)
    return column, study


def _first(model: Model, order: int | None, release_set: str | None) -> Offer:
    """The set that is asked first: the best one, or what the user says."""
    best, usual = best_offer(model)
    name = release_set or best
    if order is None:
        base, products = split_set(name)
        alike = base == best or (base == "public" and best == "anchored")
        order = usual if alike else DEFAULT_ORDER
        if products != "all" and name in SETS and model.family != "gaussian":
            order = moderate_order(model, name)
    return parse_offer(f"{name}:{order}")


def _column(table: Table, name: str) -> str:
    require_columns(table.frame.columns, [name], table.name)
    return name


def _labels(table: Table, column: str) -> pd.Series:
    labels = as_text(table.frame[column])
    if bool(missing_text(labels).all()):
        raise DataError(
            f"{table.name}: column {column!r} names no site; every row needs a site; "
            "fill the column"
        )
    return labels


def _with_sites(study: Study, labels: pd.Series) -> Study:
    """A study with the sites of the table, where it names none of its own."""
    found = set(labels[~missing_text(labels)].unique().tolist())
    if not study.sites:
        return replace(study, sites=tuple(sorted(found)))
    unexpected = sorted(found - set(study.sites))
    if unexpected:
        raise StudyError(
            f"study {study.name!r}: does not expect {len(unexpected)} sites of the "
            "table; every site of the table must be one of the study's; add them to "
            "'sites' in the study, or remove their rows"
        )
    return study
