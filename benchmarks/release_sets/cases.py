"""Real and simulated tables, with everything any release set could hold."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from benchmarks.simulation.designs import SETTINGS, rows_of
from fedglmm_flower.coordinator.targets import Targets, targets_of
from fedglmm_flower.glmm import FittedModel
from fedglmm_flower.glmm.evaluate import AtomRows, atom_rows
from fedglmm_flower.glmm.table import typed_table
from fedglmm_flower.site import ClusterRelease
from fedglmm_flower.site.moments import Moments
from fedglmm_flower.site.summarise import summarise
from fedglmm_flower.site.whole_table import Table, TableStudy, study_of_table
from fedglmm_flower.study.model import Model
from fedglmm_flower.study.offers import Offer
from fedglmm_flower.study.release import moment_degrees, release_statistics
from tests.reference.rows import load

GUSTO = "day30 ~ age10 + sysbp10 + pulse10 + hf + pmi + (1 | grpl)"
GUSTO_7 = GUSTO.replace("+ (1", "+ miloc + sex + (1")
# Name, reference set, formula, highest order of its moments.
_REAL = {
    "GUSTO-I, 5 columns": ("gusto", GUSTO, 6),
    "GUSTO-I, 7 columns": ("gusto", GUSTO_7, 6),
    "CHOP": ("chop", None, 6),
    "contraception": ("contraception", None, 6),
}
_SIMULATED = {
    "Poisson, 30 x 100": ("poisson-30x100", 6),
    "logistic, 30 x 100": ("logistic-30x100", 6),
}
NAMES = (*_REAL, *_SIMULATED)


@dataclass(frozen=True)
class Case:
    """
    A federation in one table.

    Parameters
    ----------
    name : str
    table : TableStudy
    order : int
        Highest order of the moments.
    """

    name: str
    table: TableStudy
    order: int

    @property
    def model(self) -> Model:
        """The question."""
        return self.table.study.model

    @property
    def groups(self) -> dict[str, str]:
        """Grouping columns, all of which mean the site."""
        parts = self.model.formula.random
        return {part.group[0]: self.table.site_column for part in parts}

    @cached_property
    def degrees(self) -> Mapping[tuple[int, ...], int]:
        """Moment functions by degree."""
        return moment_degrees(self.model, self.order)

    @cached_property
    def pooled(self) -> FittedModel:
        """The fit that all others are measured by."""
        return self.table.pooled_fit(self.table.study.sites, "laplace")

    @cached_property
    def moments(self) -> dict[str, Moments]:
        """Sums of every site, to the highest order and at its anchor."""
        study = self.table.study
        return {s: summarise(study, self.table.source(s), site=s) for s in study.sites}

    @cached_property
    def rows(self) -> dict[str, AtomRows]:
        """Rows of every site, for what no site sends yet."""
        model, found = self.model, {}
        columns = [model.columns[name] for name in model.used_columns]
        for site in self.table.study.sites:
            frame = self.table.source(site).frame
            found[site] = atom_rows(model, typed_table(frame, columns))
        return found

    def targets(self, release_set: str, order: int) -> dict[str, Targets]:
        """What a release of every site fixes; canonical where no anchor exists."""
        found = {}
        for site, moments in self.moments.items():
            at = dict(zip(moments.statistics, moments.values, strict=True))
            statistics = release_statistics(self.model, release_set, order)
            if not all(s in at for s in statistics):
                statistics = release_statistics(self.model, "canonical", order)
            values = tuple(float(at[s]) for s in statistics)
            cluster = ClusterRelease((), moments.n_rows, values)
            found[site] = targets_of(self.model, statistics, cluster, site)
        return found


def case(name: str, formula: str | None = None) -> Case:
    """
    A case by its name, with another formula if wanted.

    Examples
    --------
    >>> case("Poisson, 30 x 100").model.family
    'poisson'
    """
    if name in _SIMULATED:
        setting, order = _SIMULATED[name]
        design = SETTINGS[setting]
        frame = rows_of(design, 0)
        asked, family, site = formula or design.formula, design.family, "g"
        levels: dict[str, list[str]] = {}
    else:
        reference, stored, order = _REAL[name]
        about, frame = load(reference)
        asked = (formula or stored or about["formula"]).replace("^", "**")
        family, site = about["family"], about["site"]
        levels = {
            column: found
            for column, found in about["factors"].items()
            if re.search(rf"\b{column}\b", asked) and column != site
        }
    offers: tuple[Offer, ...] = (("anchored", order), ("canonical", order))
    return Case(name, table_study(frame, asked, family, site, levels, offers), order)


def table_study(
    frame: pd.DataFrame,
    formula: str,
    family: str,
    site: str,
    levels: Mapping[str, list[str]],
    offers: tuple[Offer, ...],
    *,
    link: str | None = None,
) -> TableStudy:
    """A question about a table, as ``simulate`` asks it."""
    name, order = offers[0]
    return study_of_table(
        Table(frame, "table"),
        formula,
        family,
        link=link,
        site_column=site,
        trials=None,
        offset=None,
        weights=None,
        levels=levels,
        study=None,
        order=order,
        release_set=name,
        method="laplace",
    )
