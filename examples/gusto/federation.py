"""Makes 48 sites of the GUSTO table: folders, keys, configuration, and the study."""

import csv
import json
import shutil
from pathlib import Path

from fedglmm_flower.envelope import new_identity, write_identity, write_public
from fedglmm_flower.flower.files import file_name
from fedglmm_flower.study import Column, Study, read_study, write_study

FORMULA = "day30 ~ age10 + sysbp10 + pulse10 + hf + pmi + (1 | grpl)"
SITE_COLUMN = "grpl"


def make_study(sites: list[str]) -> Study:
    """The question: centres and scales are round numbers that anybody may know."""
    no_yes = ("no", "yes")
    return Study(
        name="GUSTO-I, death within 30 days",
        formula=FORMULA,
        family="binomial",
        link="logit",
        method="laplace",
        site_column=SITE_COLUMN,
        columns=(
            Column("age10", "continuous", unit="10 years", center=6.0, scale=1.2),
            Column("day30", "binary"),
            Column("hf", "categorical", levels=no_yes),
            Column("pmi", "categorical", levels=no_yes),
            Column("pulse10", "continuous", unit="10/min", center=7.5, scale=1.8),
            Column("sysbp10", "continuous", unit="10 mmHg", center=13.0, scale=2.4),
        ),
        sites=tuple(sorted(sites)),
        release_set="anchored",
        order=5,
    )


def make_federation(table: Path, folder: Path) -> Study:
    """
    Split a table into sites, each with data, key, pinned coordinator and policy.

    Parameters
    ----------
    table : Path
        CSV file with a column that names the site.
    folder : Path
        Takes ``study.toml``, ``keys/`` and ``sites/``; emptied first.

    Returns
    -------
    Study
        What all sites have approved.
    """
    shutil.rmtree(folder, ignore_errors=True)
    rows = _rows_by_site(table)
    keys = folder / "keys"
    keys.mkdir(parents=True)
    write_study(make_study(list(rows)), keys / "study.toml")
    study = read_study(keys / "study.toml")  # the file is what the sites approve
    coordinator = new_identity("coordinator")
    write_identity(coordinator, keys / "coordinator.key")
    for site in study.sites:
        home = folder / "sites" / file_name(site)
        home.mkdir(parents=True)
        with (home / "data.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows[site])
        identity = new_identity(site)
        write_identity(identity, home / "site.key")
        write_public(coordinator.public, home / "coordinator.pub")
        write_public(identity.public, keys / "sites" / f"{file_name(site)}.pub")
        (home / "site.toml").write_text(_site_toml(site, study), encoding="utf-8")
    return study


def _rows_by_site(table: Path) -> dict[str, list[list[str]]]:
    """Rows of each site under the header, as a hospital would export them."""
    sites: dict[str, list[list[str]]] = {}
    with table.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header = next(reader)
        position = header.index(SITE_COLUMN)
        for row in reader:
            sites.setdefault(row[position], [header]).append(row)
    return sites


def _site_toml(site: str, study: Study) -> str:
    """A site's configuration; the disclosure gate keeps its default thresholds."""
    return (
        "format = 1\n"
        f"site = {json.dumps(site)}\n"
        f'approved = ["{study.digest}"]\n\n'
        '[data]\npath = "data.csv"\n\n'
        '[keys]\nidentity = "site.key"\ncoordinator = "coordinator.pub"\n'
    )
