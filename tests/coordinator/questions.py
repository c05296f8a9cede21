"""Small questions and tables with their releases, made by the site's own code."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from fedglmm_flower.coordinator.targets import Targets, targets_of
from fedglmm_flower.envelope import (
    Binding,
    Identity,
    PublicIdentity,
    encode_release,
    new_identity,
    seal,
)
from fedglmm_flower.glmm import FittedModel
from fedglmm_flower.glmm.on_table import fit_table
from fedglmm_flower.site import (
    NO_DISCLOSURE_CONTROL,
    FrameSource,
    Released,
    release,
)
from fedglmm_flower.study import Column, Study
from fedglmm_flower.study.families import resolve_link

SITES = ("east", "north", "south", "west")
RUN = "run-1"
LEVELS = ("p", "q", "r")


def study_of(formula, family, *, order=3, link=None, **options) -> Study:
    """A study over every column that :func:`table_of` makes."""
    link = resolve_link(family, link)
    columns = (
        Column("a", "continuous", center=1.0, scale=2.0),
        Column("b", "continuous"),
        Column("c", "continuous"),
        Column("f", "categorical", LEVELS),
        Column("g", "categorical", ("n", "y")),
        Column("h", "binary"),
        Column("w", "continuous"),
        Column("m", "continuous"),
        Column("t", "continuous"),
        Column("y", "continuous"),
    )
    values = {
        "name": "small",
        "method": "reml" if family == "gaussian" else "laplace",
        "site_column": "site",
        "columns": columns,
        "sites": SITES,
        "order": order,
        **options,
    }
    return Study(formula=formula, family=family, link=link, **values)


def table_of(family, rng, *, n=60, sites=SITES, trials=False) -> pd.DataFrame:
    """Rows of several sites, with dependent columns of every kind."""
    total = n * len(sites)
    site = np.repeat(list(sites), n)
    effect = np.repeat(np.linspace(-1, 1, len(sites)), n)
    a = rng.gamma(4, 0.5, total)
    f = rng.integers(0, 3, total)
    h = rng.integers(0, 2, total)
    frame = pd.DataFrame(
        {
            "site": site,
            "a": a,
            "b": 0.5 * a + rng.normal(size=total) + 0.4 * h,
            "c": rng.normal(size=total),
            "f": np.array(LEVELS)[f],
            "g": np.where(rng.random(total) < 0.4, "y", "n"),
            "h": h.astype(float),
            "w": rng.uniform(0.5, 2.0, total),
            "m": rng.integers(1, 6, total).astype(float),
            "t": rng.uniform(0.5, 3.0, total),
        }
    )
    eta = -0.3 + 0.3 * a - 0.4 * (f == 1) + 0.5 * h + effect
    if family == "gaussian":
        frame["y"] = eta + rng.normal(size=total)
    elif family == "poisson":
        frame["y"] = rng.poisson(np.exp(0.4 * eta)).astype(float)
    elif family == "gamma":
        frame["y"] = np.exp(0.4 * eta) * rng.gamma(2.0, 0.5, total)
    elif family == "nbinom2":
        mean = np.exp(0.4 * eta) * rng.gamma(2.0, 0.5, total)
        frame["y"] = rng.poisson(mean).astype(float)
    else:
        m = frame["m"].to_numpy() if trials else np.ones(total)
        p = 1 / (1 + np.exp(-eta))
        frame["y"] = rng.binomial(m.astype(int), p).astype(float)
    return frame


def rows_of(frame, site) -> pd.DataFrame:
    """One site's rows."""
    found: pd.DataFrame = frame[frame["site"] == site].drop(columns="site")
    return found


def released_of(study, frame, site, *, order=None) -> Released:
    """What a site releases without a gate, or as if a gate had lowered the order."""
    asked = study if order is None else replace(study, order=order)
    source = FrameSource(rows_of(frame, site))
    answer = release(asked, source, NO_DISCLOSURE_CONTROL, site=site)
    return replace(answer, study_digest=study.digest)


def targets_at(study, frame, site, *, order=None) -> Targets:
    """A site's sums by role."""
    answer = released_of(study, frame, site, order=order)
    statistics = study.statistics(answer.order)
    return targets_of(study.model, statistics, answer.clusters[0], site)


def targets_for(study, frame) -> dict[str, Targets]:
    """Sums of all sites."""
    return {site: targets_at(study, frame, site) for site in study.sites}


def pooled_fit(study, frame, method=None) -> FittedModel:
    """The engine's fit of all rows together."""
    groups = {"site": "site"}
    return fit_table(study.model, frame, groups=groups, method=method or study.method)


@dataclass
class Consortium:
    """Keys of a coordinator and its sites, and the table they hold."""

    study: Study
    frame: pd.DataFrame
    coordinator: Identity
    identities: dict[str, Identity]

    @property
    def publics(self) -> dict[str, PublicIdentity]:
        return {site: one.public for site, one in self.identities.items()}

    def sealed(self, site, *, released=None, binding=None, sender=None) -> bytes:
        """A site's sealed release, with some part replaced."""
        released = released or released_of(self.study, self.frame, site)
        binding = binding or Binding("release", self.study.digest, RUN, site)
        sender = sender or self.identities[site]
        return seal(
            encode_release(released),
            binding=binding,
            sender=sender,
            recipient=self.coordinator.public,
        )

    def all_sealed(self) -> dict[str, bytes]:
        return {site: self.sealed(site) for site in self.study.sites}


def consortium(study, frame) -> Consortium:
    """Fresh keys for everybody."""
    identities = {site: new_identity(site) for site in study.sites}
    return Consortium(study, frame, new_identity("coordinator"), identities)
